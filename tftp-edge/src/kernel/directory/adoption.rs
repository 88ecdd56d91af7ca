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
        let others = reading
            .iter()
            .filter(|read| read.1 > 0 && !is_of_entry(read));
        let others: Vec<_> = others.copied().collect();
        let mut others = others.into_iter();
        let mut lost = HashSet::new();
        let mut next = others.next();
        while let Some((position, len)) = next {
            // Versions lie apart; if not, all that is between the first and the last is kept.
            let mut union = Extent { position, len };
            let mut together = vec![position];
            next = others.next();
            while let Some((position, len)) = next
                && position < union.end()
            {
                union.len = union.len.max(position.saturating_add(len) - union.position);
                together.push(position);
                next = others.next();
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
        let is_same =
            extent.len == version.bytes.len() as u64 && self.slabs.holds(extent, &version.bytes);
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use tftp_ebpf::name::PATTERNS;

    use super::*;
    use crate::content::{Change, State};
    use crate::kernel::slabs::testing::Memory;
    use crate::kernel::slabs::{BANK_SPACE, Slabs};

    type Tested = Directory<HashMap<NameKey, FileEntry>, Memory>;

    /// What a daemon before has left: an entry of 1,000 bytes for each name, in this order.
    fn left(names: &[&str]) -> (HashMap<NameKey, FileEntry>, Memory) {
        let mut directory = over(HashMap::new(), Memory::default());
        for (number, name) in names.iter().enumerate() {
            publish(&mut directory, name, 50, &[number as u8; 1000]);
        }
        let Directory { files, slabs, .. } = directory;
        (files, slabs.into_banks())
    }

    fn over(files: HashMap<NameKey, FileEntry>, banks: Memory) -> Tested {
        Directory::new(files, Slabs::new(banks, 2), 3)
    }

    fn publish(directory: &mut Tested, name: &str, generation: u64, bytes: &[u8]) {
        let stage = Stage::of_name(name.as_bytes());
        let version = Version {
            name: name.into(),
            stage,
            generation,
            published: std::time::SystemTime::UNIX_EPOCH,
            bytes: Bytes::copy_from_slice(bytes),
        };
        let state = State::Published(Arc::new(version));
        let name = name.into();
        directory.apply(&[Change { name, stage, state }]).unwrap();
    }

    fn entry(directory: &Tested, name: &str) -> Option<FileEntry> {
        directory.files.get(&directory_key(name).unwrap()).copied()
    }

    fn adopted(files: HashMap<NameKey, FileEntry>, banks: Memory) -> (Tested, usize) {
        let entries = files.clone();
        let mut directory = over(files, banks);
        let removed = directory.adopt(entries);
        (directory, removed)
    }

    #[test]
    fn the_same_bytes_stay_where_they_are_under_the_same_id() {
        let (files, banks) = left(&["a.xml", "b.xml"]);
        let (mut directory, removed) = adopted(files, banks);
        assert_eq!(removed, 0);
        let before = entry(&directory, "b.xml").unwrap();
        let slabs_used = directory.slabs.used();
        publish(&mut directory, "b.xml", 3, &[1; 1000]);
        let after = entry(&directory, "b.xml").unwrap();
        assert!(after.is_whole());
        assert_eq!(
            (after.position, after.file_id),
            (before.position, before.file_id)
        );
        assert_eq!(
            after.generation, 3,
            "as the versions of this daemon are numbered"
        );
        assert_eq!(directory.slabs.used(), slabs_used);
    }

    #[test]
    fn other_bytes_replace_them_and_what_nobody_claims_goes() {
        let (files, banks) = left(&["a.xml", "b.xml", "c.xml"]);
        let (mut directory, _) = adopted(files, banks);
        let before = entry(&directory, "a.xml").unwrap();
        publish(&mut directory, "a.xml", 3, &[9; 1000]);
        let after = entry(&directory, "a.xml").unwrap();
        assert_ne!(after.position, before.position);
        assert_eq!(after.file_id, before.file_id);
        let gone = entry(&directory, "b.xml").unwrap();
        publish(&mut directory, "c.xml", 4, &[2; 1000]);
        directory.settle();
        assert_eq!(entry(&directory, "b.xml"), None);
        assert!(entry(&directory, "c.xml").is_some());
        assert_eq!(
            directory.name_of(gone.file_id).map(|it| &**it),
            Some("b.xml")
        );
        for _ in 0..3 {
            directory.swept(&BTreeSet::new()).unwrap();
        }
        assert_eq!(directory.slabs.used(), 2000);
    }

    #[test]
    fn a_new_name_is_not_refused_for_one_that_nobody_has_claimed() {
        let (files, banks) = left(&["a.xml", "b.xml", "c.xml"]);
        let (mut directory, _) = adopted(files, banks);
        publish(&mut directory, "b.xml", 1, &[1; 1000]);
        publish(&mut directory, "new.xml", 2, &[7; 10]);
        assert!(entry(&directory, "new.xml").is_some() && entry(&directory, "b.xml").is_some());
        assert!(!directory.is_partial());
        assert_eq!(directory.counts().names, 3);
    }

    #[test]
    fn patterns_are_taken_over_as_they_are() {
        let mut directory = over(HashMap::new(), Memory::default());
        let absent = |name: &str| Change {
            name: name.into(),
            stage: Stage::Trust,
            state: State::Absent,
        };
        directory.apply(&PATTERNS.map(absent)).unwrap();
        let Directory { files, slabs, .. } = directory;
        let before = files.clone();
        let (mut directory, removed) = adopted(files, slabs.into_banks());
        assert_eq!(removed, 0);
        directory.apply(&PATTERNS.map(absent)).unwrap();
        directory.settle();
        assert_eq!(directory.files, before);
    }

    #[test]
    fn entries_that_make_no_sense_are_removed_and_the_others_kept() {
        let (files, banks) = left(&["a.xml", "b.xml", "c.xml"]);
        let spoilt = |spoil: &dyn Fn(&mut FileEntry)| {
            let mut files = files.clone();
            let b = directory_key("b.xml").unwrap();
            spoil(files.get_mut(&b).unwrap());
            let entries = files.clone();
            let mut memory = Memory::default();
            for _ in 0..banks.count() {
                memory.add().unwrap();
            }
            let mut directory = over(files, memory);
            let removed = directory.adopt(entries);
            let names = ["a.xml", "b.xml", "c.xml"];
            (removed, names.map(|name| entry(&directory, name).is_some()))
        };
        let sealed = |spoil: fn(&mut FileEntry)| {
            spoilt(&|entry: &mut FileEntry| {
                spoil(entry);
                *entry = entry.sealed();
            })
        };
        assert_eq!(spoilt(&|_| {}), (0, [true; 3]));
        let only_b = (1, [true, false, true]);
        assert_eq!(spoilt(&|entry| entry.check ^= 1), only_b, "torn");
        assert_eq!(
            sealed(|entry| entry.position = 2 * BANK_SPACE),
            only_b,
            "outside"
        );
        assert_eq!(
            sealed(|entry| entry.position = u64::MAX),
            only_b,
            "far outside"
        );
        assert_eq!(
            sealed(|entry| entry.position += 4),
            (2, [true, false, false]),
            "into c"
        );
        assert_eq!(
            sealed(|entry| entry.length = 2000),
            (2, [true, false, false]),
            "into c"
        );
        assert_eq!(
            sealed(|entry| entry.position -= 8),
            (2, [false, false, true]),
            "into a"
        );
        assert_eq!(sealed(|entry| entry.kind = 9), only_b, "of no kind");
        assert_eq!(sealed(|entry| entry.stage = 99), only_b, "of no stage");
    }

    #[test]
    fn a_key_that_is_no_name_is_removed() {
        let (mut files, banks) = left(&["a.xml"]);
        let stranger = files.values().next().copied().unwrap();
        let stranger = FileEntry {
            kind: kind::ABSENT,
            file_id: 9,
            ..stranger
        };
        let mut key = [0; tftp_ebpf::name::KEY_LEN];
        key[..5].copy_from_slice(b"A.XML");
        files.insert(key, stranger.sealed());
        let (directory, removed) = adopted(files, banks);
        assert_eq!(removed, 1);
        assert_eq!(directory.files.len(), 1);
    }

    #[test]
    fn what_transfers_read_is_kept_until_they_end_and_those_that_read_nothing_are_told() {
        let (mut files, banks) = left(&["a.xml", "b.xml"]);
        let key = directory_key("a.xml").unwrap();
        let (a, b) = (files.remove(&key).unwrap(), *files.values().next().unwrap());
        let (mut directory, _) = adopted(files, banks);
        let reading = [
            (a.position, 1000),
            (b.position, 1000),
            (b.position + 8, 1000),
            (5 * BANK_SPACE, 7),
            (0, 0),
        ];
        let lost = directory.adopt_transfers(&reading.into_iter().collect());
        assert_eq!(lost, [b.position + 8, 5 * BANK_SPACE].into_iter().collect());
        assert_eq!(directory.slabs.used(), 2000);
        let live = [a.position].into_iter().collect();
        for _ in 0..5 {
            directory.swept(&live).unwrap();
        }
        assert_eq!(directory.slabs.used(), 2000);
        directory.swept(&BTreeSet::new()).unwrap();
        assert_eq!(directory.slabs.used(), 1000);
        directory.settle();
        for _ in 0..3 {
            directory.swept(&BTreeSet::new()).unwrap();
        }
        assert_eq!(directory.slabs.used(), 0);
    }
}
