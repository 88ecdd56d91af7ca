//! Taking over what a daemon before has published, while the kernel program serves it.
//!
//! An entry's key is its name, and so all there is to know is in the map and in the slabs: which
//! names there are, by which ids events call them, and where their content lies. Whose content it
//! is, is seen when the daemon publishes the name again: the same bytes stay where they are, others
//! replace them as any new version does. What nobody has claimed when everything is published goes.
//!
//! Transfers go on over all that. Versions that only they refer to are retired: they are free when
//! the last of them has ended.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tftp_ebpf::abi::{FileEntry, kind};
use tftp_ebpf::name::{NameKey, directory_key};
use tftp_ebpf::stage::Stage;

use super::{Directory, Files, Name};
use crate::content::Version;
use crate::kernel::Error;
use crate::kernel::slabs::{Banks, Extent};

impl<F: Files, B: Banks<Error = Error>> Directory<F, B> {
    /// Takes over the entries of the map, before anything is published. Those that make no sense are
    /// removed: returns how many.
    pub fn adopt(&mut self, entries: impl IntoIterator<Item = (NameKey, FileEntry)>) -> usize {
        let mut sound = Vec::new();
        let mut unsound = Vec::new();
        let mut ids = HashSet::new();
        for (key, entry) in entries {
            let is_sound = entry.is_whole() && is_known(&entry) && ids.insert(entry.file_id);
            match text_of(&key) {
                Some(text) if is_sound => sound.push((text, key, entry)),
                _ => unsound.push(key),
            }
        }
        sound.sort_unstable_by_key(|(_, _, entry)| (entry.position, entry.length));
        let overlapping = overlaps(sound.iter().map(|(_, _, entry)| extent_of(entry)));
        for ((text, key, entry), overlaps) in sound.into_iter().zip(overlapping) {
            let extent = extent_of(&entry);
            if overlaps || extent.is_some_and(|extent| !self.slabs.take(extent)) {
                unsound.push(key);
                continue;
            }
            self.take_over(text, key, &entry, extent);
        }
        for key in &unsound {
            self.files.remove(key);
        }
        unsound.len()
    }

    fn take_over(&mut self, text: Arc<str>, key: NameKey, entry: &FileEntry, at: Option<Extent>) {
        if let Some(extent) = at {
            self.counts.files += 1;
            if extent.len > 0 {
                self.placed.insert(extent.position, Arc::clone(&text));
            }
        }
        self.counts.names += 1;
        self.ids.adopt(entry.file_id, &text);
        self.unclaimed.insert(Arc::clone(&text));
        let name = Name {
            text: Arc::clone(&text),
            key,
            stage: Stage::from_index(entry.stage),
            file_id: entry.file_id,
            extent: at,
            version: None,
            waits: None,
            used_at: 0,
        };
        self.names.insert(text, name);
    }

    /// Keeps what live transfers read from, each given by its position and length, and belongs to no
    /// entry any more. Returns the positions of those that read what is not there, or what is
    /// somebody else's: they must be ended.
    pub fn adopt_transfers(&mut self, reading: &BTreeSet<(u64, u64)>) -> HashSet<u64> {
        let is_of_entry = |(position, len): &(u64, u64)| {
            let text = self.placed.get(position);
            let name = text.and_then(|text| self.names.get(text));
            let extent = name.and_then(|name| name.extent);
            extent.is_some_and(|extent| extent.len == *len)
        };
        let mut others = reading
            .iter()
            .filter(|read| read.1 > 0 && !is_of_entry(read));
        let mut lost = HashSet::new();
        let mut next = others.next().copied();
        while let Some((position, len)) = next {
            // Versions lie apart; if not, all that is between the first and the last is kept.
            let mut union = Extent { position, len };
            let mut together = vec![position];
            next = others.next().copied();
            while let Some((position, len)) = next
                && position < union.end()
            {
                union.len = union.len.max(position.saturating_add(len) - union.position);
                together.push(position);
                next = others.next().copied();
            }
            if self.slabs.take(union) {
                self.retire(union);
            } else {
                lost.extend(together);
            }
        }
        lost
    }

    /// The version of a name that was taken over, if its bytes are those that are there: then they
    /// stay, and only the entry is renewed. `false` if it is to be published as any other.
    pub(super) fn claim(&mut self, text: &Arc<str>, version: &Arc<Version>) -> Result<bool, Error> {
        let Some(name) = self.names.get(text) else {
            return Ok(false);
        };
        let (Some(extent), None) = (name.extent, &name.version) else {
            return Ok(false);
        };
        let is_same = extent.len == version.bytes.len() as u64
            && self.slabs.holds(extent, &version.bytes);
        if !is_same {
            return Ok(false);
        }
        // The daemon numbers its versions anew, and events have to tell them apart.
        let entry = name.entry(extent, version.generation);
        self.files.insert(&name.key, entry.sealed())?;
        self.counts.files -= 1;
        self.keep_content(text, version, extent);
        Ok(true)
    }

    /// A name that was taken over is told of, or goes.
    pub(super) fn claimed(&mut self, text: &str) {
        self.unclaimed.remove(text);
    }

    /// Gives the place of a name that nobody has claimed yet to another.
    pub(super) fn make_room_for_name(&mut self) -> bool {
        let Some(text) = self.unclaimed.first().cloned() else {
            return false;
        };
        self.forget(&text);
        true
    }

    /// Everything is published: what was taken over and not claimed is gone for good.
    pub fn settle(&mut self) {
        while self.make_room_for_name() {}
    }
}

fn is_known(entry: &FileEntry) -> bool {
    matches!(entry.kind, kind::CONTENT | kind::ABSENT | kind::ELSEWHERE)
        && usize::from(entry.stage) < Stage::COUNT
}

/// The name of a key, if it can be one.
fn text_of(key: &NameKey) -> Option<Arc<str>> {
    let len = key.iter().position(|&byte| byte == 0).unwrap_or(key.len());
    let text = std::str::from_utf8(&key[..len]).ok()?;
    (directory_key(text).ok()? == *key).then(|| text.into())
}

/// Where the content of an entry lies, if it has any.
fn extent_of(entry: &FileEntry) -> Option<Extent> {
    (entry.kind == kind::CONTENT).then_some(Extent {
        position: entry.position,
        len: entry.length.into(),
    })
}

/// Which extents of a list that is in order reach into each other.
fn overlaps(extents: impl Iterator<Item = Option<Extent>>) -> Vec<bool> {
    let extents: Vec<_> = extents.collect();
    let mut overlaps = vec![false; extents.len()];
    let mut furthest: Option<(usize, Extent)> = None;
    for (index, extent) in extents.iter().enumerate() {
        let Some(extent) = extent.filter(|extent| extent.len > 0) else {
            continue;
        };
        match furthest {
            Some((before, reach)) if extent.position < reach.end() => {
                (overlaps[before], overlaps[index]) = (true, true);
                if extent.end() > reach.end() {
                    furthest = Some((index, extent));
                }
            }
            _ => furthest = Some((index, extent)),
        }
    }
    overlaps
}
