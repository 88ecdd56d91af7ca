//! Who is registered: one table for both protocols, in memory.
//!
//! A registration is one immutable version behind an `Arc`, in one of [`SHARDS`] parts of the table
//! under a lock each. [`Table::edit`] is the one way to change it: a registrar looks at what there
//! is and decides, with nobody in between. Keepalives move the end alone, by [`Table::touch`].
//!
//! ```text
//! edit ──▶ shard (entries, deadlines, what the store does not have yet)
//!            ├─▶ by user: the devices a line is registered from
//!            ├─▶ by source: the first and the last phone of an address, for the guard
//!            ├─▶ journal: who comes and leaves
//!            └─▶ changes: for export and orders; a slow reader loses some, and is told how many
//! ```
//!
//! Locks are taken in that order, from the left to the right and never back, and nothing is called
//! under them that waits. Every shard keeps its deadlines in order, one for each device: what is
//! over is found without looking at the others. A keepalive does not move its place in that order;
//! the sweep finds the later deadline when it comes to it.
//!
//! A registration costs less than 1.0 kB with all of that: `tests/memory.rs` counts every byte.

mod change;
mod counts;
mod shard;
mod sources;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use self::change::is_refresh;
use self::counts::Tally;
use self::shard::{Ended, Shard};
use self::sources::Sources;
use super::by_user::ByUser;
use super::told;
use super::{Binding, ConnectionId, Departure, Guard, NoGuard, Refusal, Registration};
use crate::alarms::{AlarmKind, Alarms};
use crate::clock::steady;
use crate::inventory::{DeviceName, Protocol};
use crate::journal::Journal;
pub use change::{Change, Edit};
pub use counts::{Counts, Event};

/// Parts of the table: few enough to be summed up, many enough that two threads seldom meet.
pub const SHARDS: usize = 64;

/// Changes a slow reader may be behind before it loses some.
const BEHIND: usize = 4096;

/// Most devices there may be, if nothing else is said.
pub const MAX_REGISTRATIONS: usize = 200_000;

/// Ended registrations taken out of a shard at once, before others get at it.
const SWEEP: usize = 256;

/// The subject of the alarm for a table that is full.
const FULL: &str = "table";

/// All phones that are registered.
pub struct Table {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    by_user: ByUser,
    sources: Sources,
    registered: [AtomicUsize; Protocol::ALL.len()],
    /// Devices in the table, and those for which somebody is making room now.
    taken: AtomicUsize,
    limit: usize,
    refused: AtomicU64,
    is_full: AtomicBool,
    expected: AtomicUsize,
    /// A store takes what it does not have yet; else nothing is noted for it.
    has_store: AtomicBool,
    changes: broadcast::Sender<Change>,
    journal: Option<Arc<Journal>>,
    alarms: Arc<Alarms>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new(MAX_REGISTRATIONS, Arc::new(NoGuard), Arc::default())
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Table")
            .field("registered", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Table {
    /// With room for `limit` devices. The guard hears of the addresses they register from.
    pub fn new(limit: usize, guard: Arc<dyn Guard>, alarms: Arc<Alarms>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            by_user: ByUser::default(),
            sources: Sources::new(guard),
            registered: Default::default(),
            taken: AtomicUsize::new(0),
            limit,
            refused: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            expected: AtomicUsize::new(0),
            has_store: AtomicBool::new(false),
            changes: broadcast::Sender::new(BEHIND),
            journal: None,
            alarms,
        }
    }

    /// Has the journal told who comes and leaves.
    pub fn telling(mut self, journal: Arc<Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    fn shard(&self, device: &DeviceName) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(device) as usize % SHARDS]
    }

    pub fn get(&self, device: &DeviceName) -> Option<Arc<Registration>> {
        let shard = self.shard(device).lock();
        let entry = shard.entries.get(device)?;
        Some(Arc::clone(&entry.registration))
    }

    /// Looks at what there is and decides what becomes of it, with nobody in between. `decide` must
    /// not wait, nor call the table.
    ///
    /// A device that is not registered yet finds no room in a full table: then nothing is done but
    /// count it and raise the alarm. A registrar that has to tell the phone uses
    /// [`Self::try_edit`].
    pub fn edit<T>(
        &self,
        device: &DeviceName,
        decide: impl FnOnce(Option<&Arc<Registration>>) -> (T, Edit),
    ) -> T {
        self.decided(device, decide).0
    }

    /// As [`Self::edit`]; with [`Refusal::Capacity`] if there is no room for what was decided.
    pub fn try_edit<T>(
        &self,
        device: &DeviceName,
        decide: impl FnOnce(Option<&Arc<Registration>>) -> (T, Edit),
    ) -> Result<T, Refusal> {
        let (told, done) = self.decided(device, decide);
        done.map(|()| told)
    }

    fn decided<T>(
        &self,
        device: &DeviceName,
        decide: impl FnOnce(Option<&Arc<Registration>>) -> (T, Edit),
    ) -> (T, Result<(), Refusal>) {
        let mut shard = self.shard(device).lock();
        let before = shard.entries.get(device).map(|entry| &entry.registration);
        let (told, edit) = decide(before);
        let done = match edit {
            Edit::Keep => Ok(()),
            Edit::Put(registration) => {
                debug_assert_eq!(registration.device, *device);
                self.put(&mut shard, Arc::new(registration))
            }
            Edit::Remove(why) => {
                if let Some(entry) = shard.remove(device) {
                    self.unexpect(entry.is_expected);
                    self.left(&mut shard, entry.registration, why);
                }
                Ok(())
            }
        };
        (told, done)
    }

    fn put(&self, shard: &mut Shard, now: Arc<Registration>) -> Result<(), Refusal> {
        let device = now.device;
        let known = shard.entries.get(&device);
        let was_expected = known.is_some_and(|entry| entry.is_expected);
        if known.is_none() && !self.take_room() {
            return Err(self.refuse());
        }
        self.unexpect(was_expected);
        let (event, change) = match shard.put(Arc::clone(&now), false) {
            None => {
                self.came(&now);
                (Event::New, Some(Change::New(Arc::clone(&now))))
            }
            Some(before) if is_refresh(&before, &now) => (Event::Refresh, None),
            Some(before) => {
                self.moved(&before, &now);
                let now = Arc::clone(&now);
                (Event::Replace, Some(Change::Moved { before, now }))
            }
        };
        shard.tally.event(now.protocol, event);
        if self.has_store.load(Ordering::Relaxed) {
            match change {
                Some(_) => shard.soil(&device),
                None => shard.soil_by_time(&device, steady()),
            }
        }
        if let Some(change) = change {
            self.tell(change);
        }
        Ok(())
    }

    /// Moves the end of a registration, after a keepalive: no event, and mostly no allocation. Only
    /// if it is the one of this connection; whether it is. The bindings of a SIP phone keep theirs.
    pub fn touch(
        &self,
        device: &DeviceName,
        over: Option<ConnectionId>,
        expires: SystemTime,
    ) -> bool {
        let mut shard = self.shard(device).lock();
        let Some(entry) = shard.entries.get(device) else {
            return false;
        };
        if entry.registration.connection != over {
            return false;
        }
        let protocol = entry.registration.protocol;
        self.unexpect(entry.is_expected);
        shard.prolong(device, expires);
        shard.tally.event(protocol, Event::Refresh);
        if self.has_store.load(Ordering::Relaxed) {
            shard.soil_by_time(device, steady());
        }
        true
    }

    /// Takes out what is over. Looks at nothing else.
    pub fn sweep(&self, now: SystemTime) {
        for shard in &self.shards {
            while self.sweep_some(&mut shard.lock(), now) == SWEEP {}
        }
    }

    fn sweep_some(&self, shard: &mut Shard, now: SystemTime) -> usize {
        for done in 0..SWEEP {
            match shard.next_ended(now) {
                None => return done,
                Some(Ended::Whole(entry)) => {
                    self.unexpect(entry.is_expected);
                    self.left(shard, entry.registration, Departure::KeepaliveTimeout);
                }
                Some(Ended::Part { before, now }) => {
                    self.moved(&before, &now);
                    if self.has_store.load(Ordering::Relaxed) {
                        shard.soil(&now.device);
                    }
                    self.tell(Change::Moved { before, now });
                }
            }
        }
        SWEEP
    }

    /// How many are registered.
    pub fn len(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether a device that is not registered yet would find room now.
    pub fn has_room(&self) -> bool {
        self.len() < self.limit
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are registered over a protocol.
    pub fn count(&self, protocol: Protocol) -> usize {
        self.registered[protocol as usize].load(Ordering::Relaxed)
    }

    /// The phones that have this line registered, by the user part of its address of record. A
    /// phone that registered one line for all of its lines is found by that one; for the others
    /// ask [`super::Directory::lines`].
    pub fn of_user(&self, user: &str) -> Vec<Arc<Registration>> {
        let devices = self.by_user.devices(user);
        devices
            .iter()
            .filter_map(|device| self.get(device))
            .collect()
    }

    /// How many phones are registered from an address.
    pub fn count_from(&self, source: IpAddr) -> usize {
        self.sources.phones(source)
    }

    /// Changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// One of the [`SHARDS`] parts of the table, in no order; none behind the last. Whoever
    /// subscribes to [`Self::changes`] first and reads the pages then misses nothing.
    pub fn page(&self, at: usize) -> Option<Vec<Arc<Registration>>> {
        let shard = self.shards.get(at)?.lock();
        let entries = shard.entries.values();
        Some(entries.map(|it| Arc::clone(&it.registration)).collect())
    }

    pub fn counts(&self) -> Counts {
        let mut tally = Tally::default();
        for shard in &self.shards {
            tally += &shard.lock().tally;
        }
        Counts {
            registered: Protocol::ALL.map(|it| self.count(it) as u64),
            limit: self.limit as u64,
            sources: self.sources.len() as u64,
            refused: self.refused.load(Ordering::Relaxed),
            expected: self.expected.load(Ordering::Relaxed) as u64,
            tally,
        }
    }

    fn came(&self, now: &Registration) {
        self.registered[now.protocol as usize].fetch_add(1, Ordering::Relaxed);
        for binding in &now.bindings {
            self.by_user.add(&binding.line, now.device);
        }
        self.sources.came(now.source.ip());
    }

    fn moved(&self, before: &Registration, now: &Registration) {
        if before.protocol != now.protocol {
            self.registered[now.protocol as usize].fetch_add(1, Ordering::Relaxed);
            self.registered[before.protocol as usize].fetch_sub(1, Ordering::Relaxed);
        }
        let has = |it: &Registration, line: &str| it.bindings.iter().any(|b| *b.line == *line);
        for binding in now.bindings.iter().filter(|it| !has(before, &it.line)) {
            self.by_user.add(&binding.line, now.device);
        }
        for binding in before.bindings.iter().filter(|it| !has(now, &it.line)) {
            self.by_user.remove(&binding.line, now.device);
        }
        if before.source.ip() != now.source.ip() {
            self.sources.came(now.source.ip());
            self.sources.left(before.source.ip());
        }
    }

    fn left(&self, shard: &mut Shard, was: Arc<Registration>, why: Departure) {
        self.registered[was.protocol as usize].fetch_sub(1, Ordering::Relaxed);
        for binding in &was.bindings {
            self.by_user.remove(&binding.line, was.device);
        }
        self.sources.left(was.source.ip());
        self.give_room_back();
        shard.tally.departure(was.protocol, why);
        if self.has_store.load(Ordering::Relaxed) {
            shard.soil(&was.device);
        }
        self.tell(Change::Left { was, why });
    }

    /// The journal at once: whoever else wants to know reads a channel, and may lose some.
    fn tell(&self, change: Change) {
        if let Some(journal) = &self.journal
            && let Some(event) = told::change(&change, SystemTime::now())
        {
            journal.tell(&event);
        }
        // Fails when nobody reads, which is no fault.
        let _ = self.changes.send(change);
    }

    fn take_room(&self) -> bool {
        let limit = self.limit;
        let grown = |taken| (taken < limit).then_some(taken + 1);
        let taken = &self.taken;
        taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, grown)
            .is_ok()
    }

    fn refuse(&self) -> Refusal {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if !self.is_full.swap(true, Ordering::AcqRel) {
            let problem = format!(
                "all {} places for registered phones are taken, and further phones are refused; \
                 raise register.max_registrations, or find out who registers that many",
                self.limit
            );
            self.alarms.raise(AlarmKind::Registrations, FULL, problem);
        }
        Refusal::Capacity
    }

    /// The alarm goes once a tenth of the room is free again, not with each phone that leaves.
    fn give_room_back(&self) {
        let left = self.taken.fetch_sub(1, Ordering::AcqRel) - 1;
        if left <= self.limit - self.limit.div_ceil(10)
            && self.is_full.load(Ordering::Acquire)
            && self.is_full.swap(false, Ordering::AcqRel)
        {
            self.alarms.clear(AlarmKind::Registrations, FULL);
        }
    }

    fn unexpect(&self, was_expected: bool) {
        if was_expected {
            self.expected.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// For the store: what was registered before the daemon was restarted, and what it does not have
/// yet.
impl Table {
    /// Puts in what was registered before a restart; no event. Whether there is room.
    pub(super) fn restore(&self, registration: Registration) -> bool {
        let mut shard = self.shard(&registration.device).lock();
        if shard.entries.contains_key(&registration.device) || !self.take_room() {
            return false;
        }
        let registration = Arc::new(registration);
        self.came(&registration);
        let is_expected = registration.transport.has_connections();
        if is_expected {
            self.expected.fetch_add(1, Ordering::Relaxed);
        }
        shard.put(registration, is_expected);
        true
    }

    /// From now on it is noted what the store does not have; or not any more.
    pub(super) fn set_store(&self, has_store: bool) {
        self.has_store.store(has_store, Ordering::Relaxed);
        if !has_store {
            for shard in &self.shards {
                shard.lock().dirt = Default::default();
            }
        }
    }

    /// Notes that the store has another state of a device.
    pub(super) fn soil(&self, device: &DeviceName) {
        self.shard(device).lock().soil(device);
    }

    /// Devices of which the store has an older state.
    pub(super) fn dirt(&self) -> usize {
        self.shards.iter().map(|it| it.lock().dirt.len()).sum()
    }

    /// Takes what the store does not have of one of the [`SHARDS`] parts: the last state of each
    /// device, none if it is not registered any more.
    pub(super) fn take_dirt(&self, at: usize) -> Vec<(DeviceName, Option<Arc<Registration>>)> {
        let mut shard = self.shards[at].lock();
        let dirt = std::mem::take(&mut shard.dirt);
        let state = |device: DeviceName| {
            let entry = shard.entries.get(&device);
            (device, entry.map(|it| Arc::clone(&it.registration)))
        };
        dirt.into_iter().map(state).collect()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
