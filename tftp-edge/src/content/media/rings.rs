//! Rings: recordings without a header, named in lists by their file.
//!
//! Sources: the page on ring tones at usecallmanager.nz; Cisco's administration guides for the
//! 7900 phones ("Custom Phone Rings"), which want a multiple of 240 samples.

use std::path::Path;

use super::{Heads, Media};
use crate::content::{OnDisk, Survey};
use crate::phonefile::{
    MAX_ENTRIES, MAX_RING_NAME, Ring, RingFormat, distinctive_ring_list, ring_list,
};

/// Samples that the firmware of 7900 phones plays at a time.
const FRAME: u64 = 240;

/// What files with a header begin with.
const HEADERS: [(&[u8], &str); 5] = [
    (b"RIFF", "a WAV file"),
    (b".snd", "an AU file"),
    (b"ID3", "an MP3 file"),
    (b"OggS", "an Ogg file"),
    (b"<", "a web page"),
];

type Write = fn(&[Ring]) -> Vec<u8>;

const NARROW: [(&str, Write); 2] = [
    ("Ringlist.xml", ring_list),
    ("DistinctiveRingList.xml", distinctive_ring_list),
];

const WIDE: [(&str, Write); 1] = [("Ringlist-wb.xml", ring_list)];

pub(super) fn list(survey: &Survey, heads: &mut Heads, media: &mut Media) {
    list_format(survey, RingFormat::Narrow, &NARROW, heads, media);
    list_format(survey, RingFormat::Wide, &WIDE, heads, media);
}

fn list_format(
    survey: &Survey,
    format: RingFormat,
    lists: &[(&str, Write)],
    heads: &mut Heads,
    media: &mut Media,
) {
    // What the operator's own lists name is theirs.
    let ours = lists.iter().filter(|(name, _)| survey.get(name).is_none());
    let ours: Vec<_> = ours.collect();
    if ours.is_empty() {
        return;
    }
    let rings = rings(survey, format, heads, media);
    if !rings.is_empty() {
        for (name, write) in ours {
            media.put(name, write(&rings));
        }
    }
}

/// Those that a phone can play, in the order of their names.
fn rings(survey: &Survey, format: RingFormat, heads: &mut Heads, media: &mut Media) -> Vec<Ring> {
    let mut files: Vec<_> = survey
        .files()
        .filter(|(name, _)| RingFormat::of_name(name) == Some(format))
        .collect();
    files.sort_unstable_by_key(|(name, _)| *name);
    let mut rings = Vec::new();
    for (folded, file) in files {
        let name = file.path.to_string_lossy().into_owned();
        let head = heads.of(survey, folded, file);
        if let Err(problem) = head.and_then(|head| check(head, file, &name, format)) {
            media.leave_out(&name, problem);
            continue;
        }
        if rings.len() == MAX_ENTRIES {
            let problem = format!("phones take {MAX_ENTRIES} rings, those before it are as many");
            media.leave_out(&name, problem);
            continue;
        }
        if format == RingFormat::Narrow && !file.len_bytes().is_multiple_of(FRAME) {
            let problem = format!(
                "{} samples are no multiple of {FRAME}: older phones may end it with a click",
                file.len_bytes()
            );
            media.warn(&name, problem);
        }
        rings.push(Ring {
            display_name: display_name(&file.path),
            file_name: name,
        });
    }
    rings
}

fn check(head: &[u8], file: &OnDisk, name: &str, format: RingFormat) -> Result<(), String> {
    let len = name.chars().count();
    if len > MAX_RING_NAME {
        return Err(format!(
            "its name has {len} characters, phones take {MAX_RING_NAME}: give it a shorter one"
        ));
    }
    if let Some((_, what)) = HEADERS.iter().find(|(begin, _)| head.starts_with(begin)) {
        let encoding = match format {
            RingFormat::Narrow => "-e u-law -b 8 -r 8000",
            RingFormat::Wide => "-e signed-integer -b 16 -r 16000",
        };
        return Err(format!(
            "it is {what}, phones play samples without a header: `sox FILE -t raw {encoding} -c 1 \
             {name}` writes them"
        ));
    }
    format.check_len(file.len_bytes())
}

/// `Old_Telephone.raw` is shown as `Old Telephone`.
fn display_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.replace('_', " ").trim().to_owned()
}
