//! Background pictures: a folder for each kind of display, `Desktops/<W>x<H>x<D>`, with a list.
//!
//! Source: the page on background images at usecallmanager.nz.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Heads, Media, picture};
use crate::content::{OnDisk, Survey};
use crate::phonefile::{MAX_ENTRIES, Wallpaper, wallpaper_list};

/// The thumbnail of `Harbour.png` is `TN-Harbour.png`.
const THUMBNAIL: &str = "tn-";

/// Displays of key expansion modules. They ask for the picture that was chosen on the phone by its
/// name, and have neither list nor thumbnails.
const OF_MODULES: [&str; 2] = ["272x480x24", "320x480x24"];

type Folder<'s> = BTreeMap<&'s str, (&'s Arc<str>, &'s OnDisk)>;

pub(super) fn list(survey: &Survey, heads: &mut Heads, media: &mut Media) {
    let mut folders: BTreeMap<&str, Folder<'_>> = BTreeMap::new();
    for (name, file) in survey.files() {
        if let Some((display, picture)) = parts(name) {
            folders
                .entry(display)
                .or_default()
                .insert(picture, (name, file));
        }
    }
    for (display, folder) in folders {
        list_folder(survey, display, &folder, heads, media);
    }
}

/// The display and the file of `desktops/<display>/<file>.png`.
fn parts(name: &str) -> Option<(&str, &str)> {
    let (display, file) = name.strip_prefix("desktops/")?.split_once('/')?;
    let is_picture = file.ends_with(".png") && !file.contains('/');
    is_picture.then_some((display, file))
}

/// Width and height of `320x196x4`.
fn dimensions(display: &str) -> Option<(u32, u32)> {
    let mut numbers = display.split('x').map(str::parse::<u32>);
    match (
        numbers.next(),
        numbers.next(),
        numbers.next(),
        numbers.next(),
    ) {
        (Some(Ok(width)), Some(Ok(height)), Some(Ok(_)), None) => Some((width, height)),
        _ => None,
    }
}

fn list_folder(
    survey: &Survey,
    display: &str,
    folder: &Folder<'_>,
    heads: &mut Heads,
    media: &mut Media,
) {
    let Some((width, height)) = dimensions(display) else {
        let problem = "no phone asks for this folder: its name is <width>x<height>x<depth>";
        return media.warn(&format!("Desktops/{display}"), problem);
    };
    let list = format!("Desktops/{display}/List.xml");
    if survey.get(&list).is_some() {
        return;
    }
    let is_module = OF_MODULES.contains(&display);
    let mut listed = Vec::new();
    for (base, (name, file)) in folder {
        if base.starts_with(THUMBNAIL) {
            continue;
        }
        let path = file.path.to_string_lossy().into_owned();
        match heads.of(survey, name, file).and_then(picture::size) {
            Err(problem) => {
                media.leave_out(&path, problem);
                continue;
            }
            Ok(size) if size != (width, height) => {
                let problem = format!(
                    "it is {}x{} pixels, the phones of this folder show {width}x{height}",
                    size.0, size.1
                );
                media.warn(&path, problem);
            }
            Ok(_) => {}
        }
        if is_module {
            continue;
        }
        let Some((name, thumbnail)) = folder.get(format!("{THUMBNAIL}{base}").as_str()) else {
            let file = file.path.file_name().unwrap_or_default().to_string_lossy();
            media.leave_out(&path, format!("it has no thumbnail TN-{file}"));
            continue;
        };
        let thumbnail_path = thumbnail.path.to_string_lossy().into_owned();
        let head = heads.of(survey, name, thumbnail);
        if let Err(problem) = head.and_then(picture::size) {
            media.leave_out(&path, format!("its thumbnail {thumbnail_path}: {problem}"));
            continue;
        }
        if listed.len() == MAX_ENTRIES {
            let problem =
                format!("phones take {MAX_ENTRIES} pictures, those before it are as many");
            media.leave_out(&path, problem);
            continue;
        }
        listed.push(Wallpaper {
            thumbnail: thumbnail_path,
            image: path,
        });
    }
    if !listed.is_empty() {
        media.put(&list, wallpaper_list(&listed));
    }
}
