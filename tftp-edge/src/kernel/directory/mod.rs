//! What the kernel knows of: names, and the versions of their content in the slabs.
//!
//! A version is written to fresh space, read back, and only then named in the directory, by
//! replacing one entry. The space of the version before is used again when no transfer refers to
//! it any more.
//!
//! What does not fit is the daemon's until there is room; who gets it is in `room`. A name keeps
//! its version all the time. That holds no memory of its own: the catalog has the same one, and
//! tells of each version it drops, at which the name drops it too. The same goes for a name that
//! found no room: it comes in when another is forgotten, in the order of their coming.

mod adoption;
mod compaction;
mod ids;
#[cfg(test)]
mod invariants;
mod outside;
mod room;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tftp_ebpf::abi::{FileEntry, kind};
use tftp_ebpf::name::{self, NameKey};
use tftp_ebpf::stage::Stage;

use self::ids::Ids;
use self::outside::Outside;
use self::room::Retired;
use self::waiting::{Place, Waiting};
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
    /// The version it should have, in the slabs or waiting for room there.
    version: Option<Arc<Version>>,
    /// Its place among those that wait for room.
    waits: Option<Place>,
    /// [`Directory::uses`] when it was last asked for.
    used_at: u64,
}

impl Name {
    /// Its entry, with content.
    fn entry(&self, extent: Extent, generation: u64) -> FileEntry {
        FileEntry {
            position: extent.position,
            generation,
            length: extent.len as u32,
            file_id: self.file_id,
            kind: kind::CONTENT,
            stage: self.stage as u8,
            ..FileEntry::default()
        }
    }
}

fn is_small(version: &Version) -> bool {
    version.stage != Stage::Firmware && version.bytes.len() <= SMALL_BYTES
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
    /// Of these, those of the daemon before that this one was not told of yet.
    unclaimed: BTreeSet<Arc<str>>,
    ids: Ids,
    max_names: usize,
    /// Names that found no room.
    outside: Outside,
    /// Large files in the slabs, the one unused longest first.
    evictable: BTreeMap<u64, Arc<str>>,
    /// Position → name, for the files in the slabs that have bytes.
    placed: BTreeMap<u64, Arc<str>>,
    /// Bytes of the large files in the slabs.
    large_bytes: u64,
    uses: u64,
    retired: Vec<Retired>,
    retired_bytes: u64,
    /// Names whose version found no room.
    waiting: Waiting,
    sweep: u64,
    counts: Counts,
    /// A name found no room.
    is_partial: bool,
    warned_full: bool,
    warned_memory: bool,
    /// Memory did not keep what was written: nothing is moved any more.
    is_doubtful: bool,
}

/// What came of an attempt to put a version into the slabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Placed,
    NoRoom,
    /// The memory does not keep what is written: it must never be served.
    Unsound,
}

impl<F: Files, B: Banks<Error = Error>> Directory<F, B> {
    pub fn new(files: F, slabs: Slabs<B>, max_names: u32) -> Self {
        Self {
            files,
            slabs,
            names: HashMap::new(),
            unclaimed: BTreeSet::new(),
            ids: Ids::default(),
            max_names: max_names as usize,
            outside: Outside::default(),
            evictable: BTreeMap::new(),
            placed: BTreeMap::new(),
            large_bytes: 0,
            uses: 0,
            retired: Vec::new(),
            retired_bytes: 0,
            waiting: Waiting::default(),
            sweep: 0,
            counts: Counts::default(),
            is_partial: false,
            warned_full: false,
            warned_memory: false,
            is_doubtful: false,
        }
    }

    pub fn slabs(&self) -> &Slabs<B> {
        &self.slabs
    }

    /// As [`Slabs::take_all`].
    pub fn take_all_banks(&mut self) {
        if let Err(error) = self.slabs.take_all() {
            self.warn_memory(&error);
        }
    }

    /// So many ids were given by a daemon before: a transfer that runs has one of them.
    pub fn reserve_id(&mut self, id: u32) {
        self.ids.reserve(id);
    }

    pub fn counts(&self) -> Counts {
        Counts {
            content_bytes: self.slabs.used() - self.retired_bytes,
            ..self.counts
        }
    }

    /// Whether there are, or were, names that found no room: one that is not here may be the
    /// daemon's then.
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub fn name_of(&self, file_id: u32) -> Option<&Arc<str>> {
        self.ids.name(file_id)
    }

    /// Takes in what changed.
    ///
    /// # Errors
    /// An entry could not be written: the kernel may go on serving what is no longer so. Want of
    /// room or memory is no error.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        for change in changes {
            self.apply_one(change)?;
        }
        Ok(())
    }

    fn apply_one(&mut self, change: &Change) -> Result<(), Error> {
        if let State::Forgotten = change.state {
            self.outside.remove(&change.name);
            self.forget(&change.name);
            return self.let_in();
        }
        self.put(change)
    }

    /// Gives room that has come back to names that found none.
    fn let_in(&mut self) -> Result<(), Error> {
        while self.names.len() < self.max_names
            && let Some(change) = self.outside.take_first()
        {
            self.put(&change)?;
        }
        Ok(())
    }

    fn put(&mut self, change: &Change) -> Result<(), Error> {
        if !self.learn(change) {
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
    fn learn(&mut self, change: &Change) -> bool {
        let (text, stage) = (&change.name, change.stage);
        if let Some(name) = self.names.get_mut(text) {
            name.stage = stage;
            self.claimed(text);
            return true;
        }
        // A longer name is simply unknown to the kernel, and so the daemon's.
        let Ok(key) = name::directory_key(text) else {
            return false;
        };
        if self.names.len() >= self.max_names && !self.make_room_for_name() {
            self.counts.refused += 1;
            self.is_partial = true;
            self.outside.insert(change);
            self.warn_full("names", "kernel.max_names");
            return false;
        }
        self.outside.remove(text);
        let file_id = self.ids.take(text, self.sweep);
        self.names.insert(
            Arc::clone(text),
            Name {
                text: Arc::clone(text),
                key,
                stage,
                file_id,
                extent: None,
                version: None,
                waits: None,
                used_at: 0,
            },
        );
        self.counts.names += 1;
        true
    }

    fn warn_full(&mut self, what: &str, setting: &str) {
        if !std::mem::replace(&mut self.warned_full, true) {
            tracing::warn!(
                event = "kernel.no_room",
                what,
                setting,
                "no room left in the kernel: what does not fit is served by the daemon"
            );
        }
    }

    fn forget(&mut self, text: &Arc<str>) {
        self.claimed(text);
        self.stop_waiting(text);
        self.retire_content(text);
        let Some(name) = self.names.remove(text) else {
            return;
        };
        self.files.remove(&name.key);
        self.counts.names -= 1;
        self.ids.give_back(name.file_id, self.sweep + 2);
    }

    /// An entry without content, and without a version to come.
    fn describe(&mut self, text: &Arc<str>, kind: u8) -> Result<(), Error> {
        self.take_out(text, kind)?;
        self.stop_waiting(text);
        if let Some(name) = self.names.get_mut(text) {
            name.version = None;
        }
        Ok(())
    }

    /// An entry without content.
    fn take_out(&mut self, text: &Arc<str>, kind: u8) -> Result<(), Error> {
        let Some(name) = self.names.get(text) else {
            return Ok(());
        };
        let entry = FileEntry {
            file_id: name.file_id,
            kind,
            stage: name.stage as u8,
            ..FileEntry::default()
        };
        self.files.insert(&name.key, entry.sealed())?;
        self.retire_content(text);
        Ok(())
    }

    /// Puts a version into the slabs and names it, or leaves it to the daemon if there is no room.
    fn publish(&mut self, text: &Arc<str>, version: Arc<Version>) -> Result<(), Error> {
        self.stop_waiting(text);
        if self.claim(text, &version)? {
            return Ok(());
        }
        match self.place(text, &version)? {
            Outcome::Placed => Ok(()),
            Outcome::NoRoom => self.leave_to_daemon(text, version),
            Outcome::Unsound => {
                self.counts.refused += 1;
                self.describe(text, kind::ELSEWHERE)
            }
        }
    }

    /// Tries to put a version into the slabs.
    fn place(&mut self, text: &Arc<str>, version: &Arc<Version>) -> Result<Outcome, Error> {
        let len = version.bytes.len() as u64;
        if u32::try_from(len).is_err() {
            return Ok(Outcome::NoRoom);
        }
        match self.find_room(len) {
            Some(extent) => self.place_at(text, version, extent),
            None => Ok(Outcome::NoRoom),
        }
    }

    fn warn_memory(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.warned_memory, true) {
            tracing::warn!(
                event = "kernel.no_memory", %error,
                "the kernel has no memory for more content: what does not fit is served by \
                 the daemon until there is some; lower kernel.memory_limit or free memory"
            );
        }
    }

    /// Room, if there is any; a bank that is refused only means that there is none.
    fn find_room(&mut self, len: u64) -> Option<Extent> {
        let found = self.slabs.allocate(len);
        found.unwrap_or_else(|error| {
            self.warn_memory(&error);
            None
        })
    }

    /// Writes a version to an extent of its own, reads it back, and names it.
    fn place_at(
        &mut self,
        text: &Arc<str>,
        version: &Arc<Version>,
        extent: Extent,
    ) -> Result<Outcome, Error> {
        let Some(name) = self.names.get(text) else {
            self.slabs.release(extent);
            return Ok(Outcome::NoRoom);
        };
        self.slabs.write(extent, &version.bytes);
        if !self.slabs.holds(extent, &version.bytes) {
            self.slabs.release(extent);
            self.is_doubtful = true;
            tracing::error!(event = "kernel.content_differs", file = %text, "content read back from the kernel differs: left to the daemon");
            return Ok(Outcome::Unsound);
        }
        let entry = name.entry(extent, version.generation);
        if let Err(error) = self.files.insert(&name.key, entry.sealed()) {
            // Nobody was told of it.
            self.slabs.release(extent);
            return Err(error);
        }
        self.retire_content(text);
        self.stop_waiting(text);
        self.keep_content(text, version, extent);
        Ok(Outcome::Placed)
    }

    fn keep_content(&mut self, text: &Arc<str>, version: &Arc<Version>, extent: Extent) {
        let Some(name) = self.names.get_mut(text) else {
            return;
        };
        self.uses += 1;
        name.used_at = self.uses;
        name.extent = Some(extent);
        name.version = Some(Arc::clone(version));
        if !is_small(version) {
            self.evictable.insert(name.used_at, Arc::clone(&name.text));
            self.large_bytes += extent.len;
        }
        if extent.len > 0 {
            self.placed.insert(extent.position, Arc::clone(&name.text));
        }
        self.counts.files += 1;
    }

    /// A file was asked for: it is the last that large files make room for.
    pub fn used(&mut self, file_id: u32) {
        let Some(text) = self.ids.name(file_id) else {
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
    ///
    /// # Errors
    /// An entry could not be written: a name that waits, waits on.
    pub fn swept(&mut self, referred: &BTreeSet<u64>) -> Result<(), Error> {
        self.sweep += 1;
        let freed = self.free_retired(referred);
        let retried = if self.is_due(freed) {
            self.retry()
        } else {
            Ok(())
        };
        let compacted = self.compact();
        retried.and(compacted)
    }
}
