//! What the kernel knows of: names, and the versions of their content in the slabs.
//!
//! A version is written to fresh space, read back, and only then named in the directory, by
//! replacing one entry. The space of the version before is used again when no transfer refers to
//! it any more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tftp_ebpf::abi::{FileEntry, kind};
use tftp_ebpf::name::{self, NameKey};
use tftp_ebpf::stage::Stage;

use super::error::Error;
use super::slabs::{Banks, Extent, Slabs};
use crate::content::{Change, State, Version};

/// The map `FILES`, as far as it is written.
pub trait Files {
    fn insert(&mut self, key: &NameKey, entry: FileEntry) -> Result<(), Error>;
    fn remove(&mut self, key: &NameKey);
}

/// Files up to this size are never taken out for others: configurations and small boot files.
const SMALL_BYTES: usize = 64 * 1024;

/// A name the kernel was told of.
struct Name {
    text: Arc<str>,
    key: NameKey,
    stage: Stage,
    file_id: u32,
    /// Where its content lies, if it is in the slabs.
    extent: Option<Extent>,
    /// The version it should have; kept while it is not in the slabs, to try again.
    version: Option<Arc<Version>>,
    /// [`Directory::uses`] when it was last asked for.
    used_at: u64,
}

impl Name {
    fn is_small(&self) -> bool {
        self.stage != Stage::Firmware
            && self
                .version
                .as_ref()
                .is_none_or(|version| version.bytes.len() <= SMALL_BYTES)
    }
}

/// Space that a version left, and the sweep that must pass before it may be used again.
struct Retired {
    extent: Extent,
    free_after_sweep: u64,
}

/// What the directory holds, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub names: u64,
    pub files: u64,
    pub content_bytes: u64,
    pub evicted: u64,
    pub refused: u64,
}

pub struct Directory<F, B> {
    files: F,
    slabs: Slabs<B>,
    names: HashMap<Arc<str>, Name>,
    /// File id → name, for the events.
    ids: Vec<Arc<str>>,
    max_names: usize,
    /// Large files in the slabs, the one unused longest first.
    evictable: BTreeMap<u64, Arc<str>>,
    uses: u64,
    retired: Vec<Retired>,
    /// Names whose version found no room.
    waiting: HashSet<Arc<str>>,
    sweep: u64,
    counts: Counts,
    warned_full: bool,
}

impl<F: Files, B: Banks<Error = Error>> Directory<F, B> {
    pub fn new(files: F, slabs: Slabs<B>, max_names: u32) -> Self {
        Self {
            files,
            slabs,
            names: HashMap::new(),
            ids: Vec::new(),
            max_names: max_names as usize,
            evictable: BTreeMap::new(),
            uses: 0,
            retired: Vec::new(),
            waiting: HashSet::new(),
            sweep: 0,
            counts: Counts::default(),
            warned_full: false,
        }
    }

    pub fn slabs(&self) -> &Slabs<B> {
        &self.slabs
    }

    pub fn counts(&self) -> Counts {
        Counts {
            content_bytes: self.slabs.used() - self.retired_bytes(),
            ..self.counts
        }
    }

    fn retired_bytes(&self) -> u64 {
        self.retired.iter().map(|retired| retired.extent.len).sum()
    }

    pub fn name_of(&self, file_id: u32) -> Option<&Arc<str>> {
        self.ids.get(file_id as usize)
    }

    /// Takes in what changed.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            self.apply_one(change)?;
        }
        Ok(())
    }

    fn apply_one(&mut self, change: &Change) -> Result<(), Error> {
        if let State::Forgotten = change.state {
            self.forget(&change.name);
            return Ok(());
        }
        if !self.learn(&change.name, change.stage) {
            return Ok(());
        }
        match &change.state {
            State::Published(version) => self.publish(&change.name, Arc::clone(version)),
            State::OnDisk => self.describe(&change.name, kind::ELSEWHERE),
            State::Absent => self.describe(&change.name, kind::ABSENT),
            State::Forgotten => Ok(()),
        }
    }

    /// Makes sure that there is an entry for the name; `false` if the kernel cannot have one.
    fn learn(&mut self, text: &Arc<str>, stage: Stage) -> bool {
        if self.names.contains_key(text) {
            return true;
        }
        // A longer name is simply unknown to the kernel, and so the daemon's.
        let Ok(key) = name::key(text.as_bytes()) else {
            return false;
        };
        if self.names.len() >= self.max_names {
            self.counts.refused += 1;
            self.warn_full("names", "kernel.max_names");
            return false;
        }
        let file_id = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.ids.push(Arc::clone(text));
        self.names.insert(
            Arc::clone(text),
            Name {
                text: Arc::clone(text),
                key,
                stage,
                file_id,
                extent: None,
                version: None,
                used_at: 0,
            },
        );
        self.counts.names += 1;
        true
    }

    fn warn_full(&mut self, what: &str, setting: &str) {
        if !std::mem::replace(&mut self.warned_full, true) {
            tracing::warn!(
                what,
                setting,
                "no room left in the kernel: what does not fit is served by the daemon"
            );
        }
    }

    fn forget(&mut self, text: &Arc<str>) {
        let Some(name) = self.names.remove(text) else {
            return;
        };
        self.files.remove(&name.key);
        self.counts.names -= 1;
        self.waiting.remove(text);
        self.evictable.remove(&name.used_at);
        self.retire(name.extent);
    }

    /// An entry without content.
    fn describe(&mut self, text: &Arc<str>, kind: u8) -> Result<(), Error> {
        let Some(name) = self.names.get_mut(text) else {
            return Ok(());
        };
        let entry = FileEntry {
            file_id: name.file_id,
            kind,
            stage: name.stage as u8,
            ..FileEntry::default()
        };
        self.files.insert(&name.key, entry.sealed())?;
        let before = name.extent.take();
        name.version = None;
        let used_at = name.used_at;
        self.waiting.remove(text);
        self.evictable.remove(&used_at);
        self.retire(before);
        Ok(())
    }

    /// Puts a version into the slabs and names it, or leaves it to the daemon if there is no room.
    fn publish(&mut self, text: &Arc<str>, version: Arc<Version>) -> Result<(), Error> {
        let len = version.bytes.len();
        let small = {
            let Some(name) = self.names.get_mut(text) else {
                return Ok(());
            };
            name.version = Some(Arc::clone(&version));
            name.is_small()
        };
        let fits = u32::try_from(len).is_ok();
        let extent = if fits {
            self.allocate(len as u64, small)?
        } else {
            None
        };
        let Some(extent) = extent else {
            return self.leave_to_daemon(text, fits);
        };
        self.slabs.write(extent, &version.bytes);
        if !self.slabs.holds(extent, &version.bytes) {
            // Memory that does not keep what is written must never be served.
            self.slabs.release(extent);
            tracing::error!(name = %text, "content read back from the kernel differs: left to the daemon");
            return self.leave_to_daemon(text, false);
        }
        self.uses += 1;
        let used_at = self.uses;
        let Some(name) = self.names.get_mut(text) else {
            return Ok(());
        };
        let entry = FileEntry {
            position: extent.position,
            generation: version.generation,
            length: len as u32,
            file_id: name.file_id,
            kind: kind::CONTENT,
            stage: name.stage as u8,
            ..FileEntry::default()
        };
        self.files.insert(&name.key, entry.sealed())?;
        let before = name.extent.replace(extent);
        self.evictable.remove(&name.used_at);
        name.used_at = used_at;
        if !small {
            self.evictable.insert(used_at, Arc::clone(&name.text));
        }
        self.counts.files += 1;
        self.waiting.remove(text);
        self.retire(before);
        Ok(())
    }

    fn leave_to_daemon(&mut self, text: &Arc<str>, may_fit_later: bool) -> Result<(), Error> {
        let version = self.names.get(text).and_then(|name| name.version.clone());
        self.describe(text, kind::ELSEWHERE)?;
        self.counts.refused += 1;
        self.warn_full("content", "kernel.memory_limit");
        if may_fit_later && let Some(name) = self.names.get_mut(text) {
            name.version = version;
            self.waiting.insert(Arc::clone(text));
        }
        Ok(())
    }

    /// Room for a version. A small file makes large ones leave, the one unused longest first; a
    /// large one may do so only to files that were used before it was asked for.
    fn allocate(&mut self, len: u64, small: bool) -> Result<Option<Extent>, Error> {
        if let Some(extent) = self.slabs.allocate(len)? {
            return Ok(Some(extent));
        }
        // What is evicted now is free only after a sweep; until then the daemon serves.
        let mut room = self.retired_bytes();
        while room < len {
            let Some((used_at, victim)) = self.evictable.pop_first() else {
                break;
            };
            let Some(extent) = self.names.get(&victim).and_then(|name| name.extent) else {
                continue;
            };
            if !small && extent.len > len * 4 {
                // Not worth it: one large file out for a much smaller one that is no more urgent.
                self.evictable.insert(used_at, victim);
                break;
            }
            room += extent.len;
            self.counts.evicted += 1;
            self.describe(&victim, kind::ELSEWHERE)?;
        }
        Ok(None)
    }

    fn retire(&mut self, extent: Option<Extent>) {
        let Some(extent) = extent else {
            return;
        };
        self.counts.files -= 1;
        // The sweep that runs now may have passed a transfer that a program, still at the old
        // entry, is about to insert: the one after the next has certainly not.
        self.retired.push(Retired {
            extent,
            free_after_sweep: self.sweep + 2,
        });
    }

    /// A file was asked for: it is the last that large files make room for.
    pub fn used(&mut self, file_id: u32) {
        let Some(text) = self.ids.get(file_id as usize) else {
            return;
        };
        let Some(name) = self.names.get_mut(text) else {
            return;
        };
        if self.evictable.remove(&name.used_at).is_some() {
            self.uses += 1;
            name.used_at = self.uses;
            self.evictable.insert(self.uses, Arc::clone(text));
        }
    }

    /// A sweep over all transfers is complete; `referred` holds the positions they read from.
    pub fn swept(&mut self, referred: &HashSet<u64>) -> Result<(), Error> {
        self.sweep += 1;
        let sweep = self.sweep;
        let mut free = Vec::new();
        self.retired.retain(|retired| {
            let done =
                sweep >= retired.free_after_sweep && !referred.contains(&retired.extent.position);
            if done {
                free.push(retired.extent);
            }
            !done
        });
        if free.is_empty() {
            return Ok(());
        }
        for extent in free {
            self.slabs.release(extent);
        }
        self.retry()
    }

    /// Tries the names that found no room again, small ones first.
    fn retry(&mut self) -> Result<(), Error> {
        let mut waiting: Vec<_> = self.waiting.drain().collect();
        waiting.sort_by_key(|text| {
            self.names
                .get(text)
                .and_then(|name| name.version.as_ref())
                .map_or(usize::MAX, |version| version.bytes.len())
        });
        for text in waiting {
            let Some(version) = self.names.get(&text).and_then(|name| name.version.clone()) else {
                continue;
            };
            let small = self.names.get(&text).is_some_and(Name::is_small);
            // Only into room that is there: trying again must not evict in circles.
            match self.slabs.allocate(version.bytes.len() as u64)? {
                Some(extent) => {
                    self.slabs.release(extent);
                    self.publish(&text, version)?;
                }
                None => {
                    self.waiting.insert(text);
                    if small {
                        continue;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::slabs::BANK_SPACE;
    use super::super::slabs::testing::Memory;
    use super::*;

    impl Files for HashMap<NameKey, FileEntry> {
        fn insert(&mut self, key: &NameKey, entry: FileEntry) -> Result<(), Error> {
            HashMap::insert(self, *key, entry);
            Ok(())
        }

        fn remove(&mut self, key: &NameKey) {
            HashMap::remove(self, key);
        }
    }

    type Tested = Directory<HashMap<NameKey, FileEntry>, Memory>;

    fn directory(max_banks: usize) -> Tested {
        Directory::new(
            HashMap::new(),
            Slabs::new(Memory::default(), max_banks),
            100,
        )
    }

    fn published(name: &str, generation: u64, bytes: Vec<u8>) -> Change {
        let name: Arc<str> = name.into();
        let stage = Stage::of_name(name.as_bytes());
        let version = Version {
            name: Arc::clone(&name),
            stage,
            generation,
            bytes: Bytes::from(bytes),
        };
        Change {
            name,
            stage,
            state: State::Published(Arc::new(version)),
        }
    }

    fn becomes(name: &str, state: State) -> Change {
        Change {
            name: name.into(),
            stage: Stage::of_name(name.as_bytes()),
            state,
        }
    }

    fn entry(directory: &Tested, name: &str) -> Option<FileEntry> {
        directory
            .files
            .get(&name::key(name.as_bytes()).unwrap())
            .copied()
    }

    fn content<'a>(directory: &'a Tested, entry: &FileEntry) -> &'a [u8] {
        directory
            .slabs
            .block(entry.position, entry.length as usize)
            .unwrap()
    }

    fn sweeps(directory: &mut Tested, count: usize, referred: &[u64]) {
        for _ in 0..count {
            directory
                .swept(&referred.iter().copied().collect())
                .unwrap();
        }
    }

    #[test]
    fn what_is_published_can_be_read_where_the_entry_says() {
        let mut directory = directory(1);
        directory
            .apply(&[published("ringlist.xml", 1, b"<rings/>".to_vec())])
            .unwrap();
        let entry = entry(&directory, "ringlist.xml").unwrap();
        assert!(entry.is_whole());
        assert_eq!(entry.kind, kind::CONTENT);
        assert_eq!(content(&directory, &entry), b"<rings/>");
    }

    #[test]
    fn the_space_of_an_old_version_is_kept_while_a_transfer_reads_it() {
        let mut directory = directory(1);
        directory
            .apply(&[published("a.xml", 1, vec![1; 4000])])
            .unwrap();
        let old = entry(&directory, "a.xml").unwrap();
        directory
            .apply(&[published("a.xml", 2, vec![2; 4000])])
            .unwrap();
        sweeps(&mut directory, 5, &[old.position]);
        directory
            .apply(&[published("b.xml", 3, vec![3; 4000])])
            .unwrap();
        assert_eq!(content(&directory, &old), [1; 4000]);

        sweeps(&mut directory, 1, &[]);
        directory
            .apply(&[published("c.xml", 4, vec![4; 4000])])
            .unwrap();
        assert_eq!(content(&directory, &old), [4; 4000]);
    }

    #[test]
    fn a_version_keeps_the_id_of_its_name() {
        let mut directory = directory(1);
        directory
            .apply(&[published("a.xml", 1, vec![1; 10])])
            .unwrap();
        let first = entry(&directory, "a.xml").unwrap();
        directory
            .apply(&[published("a.xml", 2, vec![2; 10])])
            .unwrap();
        assert_eq!(entry(&directory, "a.xml").unwrap().file_id, first.file_id);
        assert_eq!(
            directory.name_of(first.file_id).map(|name| &**name),
            Some("a.xml")
        );
    }

    #[test]
    fn a_file_that_goes_becomes_absent_and_then_unknown() {
        let mut directory = directory(1);
        directory
            .apply(&[published("a.xml", 1, vec![1; 10])])
            .unwrap();
        directory.apply(&[becomes("a.xml", State::Absent)]).unwrap();
        assert_eq!(entry(&directory, "a.xml").unwrap().kind, kind::ABSENT);
        directory
            .apply(&[becomes("a.xml", State::Forgotten)])
            .unwrap();
        assert_eq!(entry(&directory, "a.xml"), None);
        assert_eq!(directory.counts(), Counts::default());
    }

    #[test]
    fn large_files_leave_for_small_ones_the_one_unused_longest_first() {
        let mut directory = directory(1);
        let third = BANK_SPACE as usize / 3 - 8;
        for (generation, name) in ["a.sbn", "b.sbn", "c.sbn"].into_iter().enumerate() {
            directory
                .apply(&[published(name, generation as u64, vec![7; third])])
                .unwrap();
        }
        let a = entry(&directory, "a.sbn").unwrap();
        directory.used(a.file_id);
        directory
            .apply(&[published("sep0.cnf.xml", 9, vec![9; 9000])])
            .unwrap();
        assert_eq!(
            entry(&directory, "sep0.cnf.xml").unwrap().kind,
            kind::ELSEWHERE
        );
        sweeps(&mut directory, 3, &[]);
        assert_eq!(
            entry(&directory, "sep0.cnf.xml").unwrap().kind,
            kind::CONTENT
        );
        assert_eq!(entry(&directory, "b.sbn").unwrap().kind, kind::ELSEWHERE);
        assert_eq!(entry(&directory, "a.sbn").unwrap().kind, kind::CONTENT);
        assert_eq!(directory.counts().evicted, 1);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_left_to_the_daemon() {
        let mut directory = directory(1);
        directory
            .apply(&[published("big.bin", 1, vec![1; BANK_SPACE as usize + 1])])
            .unwrap();
        assert_eq!(entry(&directory, "big.bin").unwrap().kind, kind::ELSEWHERE);
        assert_eq!(directory.counts().refused, 1);
    }

    #[test]
    fn names_that_are_too_long_for_a_key_are_the_daemons() {
        let mut directory = directory(1);
        let long = "x".repeat(200);
        directory
            .apply(&[published(&long, 1, vec![1; 10])])
            .unwrap();
        assert_eq!(directory.counts().names, 0);
    }
}
