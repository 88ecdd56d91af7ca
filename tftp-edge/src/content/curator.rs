//! The one thread that decides what each name stands for, and tells it.

mod collect;
mod publish;
mod rooted;
mod upstream;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use bytes::Bytes;
use notify::RecommendedWatcher;
use tftp_ebpf::stage::Stage;

use super::generated::GeneratedFiles;
use super::library::{Regeneration, Shared};
use super::loader::{Loaded, Loader, Order};
use super::media::{Heads, Media};
use super::regeneration::{Cause, Regenerations};
use super::root::{Denied, Fingerprint, Root};
use super::table::Entry;
use super::tree::{Found, NoContent, Tree};
use super::upstream::{Answer, Cache, Order as Fetch, Upstream};
use super::{Change, Listener, Settings};
use crate::alarms::{AlarmKind, Alarms};
use crate::inventory::{DeviceName, Snapshot};
use crate::live::Live;
use crate::phonefile::Templates;
use crate::provisioning::{self, Gate, since_epoch};
use crate::service::pulse::LONGEST_WAIT;
use crate::service::{self, Beat, Role};
use publish::rank;

/// From the first sign of a change on disk to looking: one change is often several events.
const DISK_SETTLES: Duration = Duration::from_millis(20);

/// A tree that is written to all the time is looked through a fifth of the time.
const SCAN_SHARE: u32 = 4;

/// To the next look at a file that was being written when it was read.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How soon it is seen that the clock was set while windows are open.
const CLOCK_IS_SET: Duration = Duration::from_secs(1);

/// How often the tree is looked through when it cannot be watched.
const UNWATCHED: Duration = Duration::from_secs(5);

pub(super) enum Message {
    /// Something was written in the tree.
    Disk,
    Inventory(Snapshot),
    /// The folder of templates is another one.
    Templates(Box<Templates>),
    /// A large file was asked for.
    Want(Arc<str>),
    Loaded(Order, Loaded),
    /// Upstream servers were asked.
    Fetched(Fetch, Answer),
    /// What came from there was asked for again.
    Hot(Arc<str>),
    /// The settings are others.
    Settings,
    Stop,
}

pub(super) type Messages = Sender<Message>;

/// A name on disk.
struct DiskFile {
    path: PathBuf,
    /// None for what is no file.
    fingerprint: Option<Fingerprint>,
    /// To be read again at the next look, whatever its fingerprint says.
    look_again: bool,
    content: DiskContent,
    others: Vec<PathBuf>,
}

enum DiskContent {
    /// Always in memory.
    Small(Bytes),
    /// In memory after it was asked for, until the room is needed.
    Large(Option<Bytes>),
    Folder,
    Refused,
}

impl DiskContent {
    fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Small(bytes) | Self::Large(Some(bytes)) => Some(bytes),
            Self::Large(None) | Self::Folder | Self::Refused => None,
        }
    }

    fn len(&self) -> u64 {
        self.bytes().map_or(0, |bytes| bytes.len() as u64)
    }
}

pub(super) struct Curator {
    settings: Live<Settings>,
    /// Those that were last gone by as a whole.
    followed: Arc<Settings>,
    provisioning: Live<provisioning::Settings>,
    root: Arc<Root>,
    shared: Arc<Shared>,
    loader: Loader,
    alarms: Arc<Alarms>,
    listeners: Vec<Arc<dyn Listener>>,
    disk: HashMap<Arc<str>, DiskFile>,
    generated: GeneratedFiles,
    upstream: Cache,
    /// Lists of the rings and pictures on disk.
    media: Media,
    heads: Heads,
    gate: Gate,
    generation: u64,
    changes: Vec<Change>,
    /// Names that several files have: requests for them go by their exact spelling.
    ambiguous: HashSet<Arc<str>>,
    unreachable: u64,
    /// Bytes of the files on disk that are in memory.
    disk_bytes: u64,
    evicted: u64,
    /// None if the system does not let us watch the tree.
    watcher: Option<RecommendedWatcher>,
    incomplete: bool,
    /// When the path of the root is looked at next.
    look_at_root: Instant,
    next_scan: Option<Instant>,
    last_scan: (Instant, Duration),
    last_regeneration: Regeneration,
    regenerations: Regenerations,
    told_no_room: bool,
    /// Listeners know what lies on disk.
    surveyed: bool,
    beat: Beat,
}

impl Curator {
    pub(super) fn new(
        settings: Live<Settings>,
        root: Arc<Root>,
        shared: Arc<Shared>,
        loader: Loader,
        alarms: Arc<Alarms>,
        listeners: Vec<Arc<dyn Listener>>,
        watcher: Option<RecommendedWatcher>,
    ) -> Self {
        let upstream = shared.upstream.as_ref();
        let upstream = upstream.map(Upstream::cache).unwrap_or_default();
        let templates = Templates::load(&settings.get().templates);
        Self {
            followed: settings.take(),
            settings,
            provisioning: Live::default(),
            root,
            shared,
            loader,
            alarms,
            listeners,
            disk: HashMap::new(),
            generated: GeneratedFiles::new(templates),
            upstream,
            media: Media::default(),
            heads: Heads::default(),
            gate: Gate::default(),
            generation: 0,
            changes: Vec::new(),
            ambiguous: HashSet::new(),
            unreachable: 0,
            disk_bytes: 0,
            evicted: 0,
            watcher,
            incomplete: false,
            look_at_root: Instant::now(),
            next_scan: None,
            last_scan: (Instant::now(), Duration::ZERO),
            last_regeneration: Regeneration::default(),
            regenerations: Regenerations::default(),
            told_no_room: false,
            surveyed: false,
            beat: service::beat("curator", Role::Content),
        }
    }

    /// Publishes within windows where the settings want it; else everything is open.
    pub(super) fn with_windows(self, provisioning: Live<provisioning::Settings>) -> Self {
        let gate = Gate::new(provisioning.get().has_windows());
        Self {
            gate,
            provisioning,
            ..self
        }
    }

    /// The first, whole publication.
    pub(super) fn begin(&mut self, snapshot: Option<Snapshot>) {
        let began = Instant::now();
        let mut regenerated = Vec::new();
        // First, so that what is left of the memory is known when the disk is read.
        if let Some(snapshot) = snapshot {
            let (names, _) = self.generate(snapshot);
            self.scan();
            names.iter().for_each(|name| self.publish(name));
            regenerated = names;
        } else {
            self.scan();
        }
        self.deliver();
        self.note_regeneration(Cause::Start, &regenerated, began);
        self.count();
    }

    pub(super) fn run(&mut self, incoming: &Receiver<Message>) {
        loop {
            self.beat.pass();
            match incoming.recv_timeout(self.longest_wait()) {
                Ok(Message::Disk) => self.scan_within(DISK_SETTLES),
                Ok(Message::Inventory(snapshot)) => self.regenerate(snapshot),
                Ok(Message::Templates(templates)) => self.use_templates(*templates),
                Ok(Message::Want(name)) => self.want(name),
                Ok(Message::Loaded(order, loaded)) => self.loaded(order, loaded),
                Ok(Message::Fetched(order, answer)) => self.fetched(order, answer),
                Ok(Message::Hot(name)) => self.heat(&name),
                Ok(Message::Settings) => self.follow_settings(),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // Not only on a timeout: a stream of messages must hold up neither windows nor the disk.
            self.close_windows();
            self.look_at_root();
            if self.next_scan.is_some_and(|at| at <= Instant::now()) {
                self.scan();
                self.hand_out();
                self.count();
            }
            self.expire();
        }
    }

    /// Takes over what does not follow the settings by itself.
    fn follow_settings(&mut self) {
        let has_windows = self.provisioning.get().has_windows();
        if has_windows != self.gate.has_windows() {
            let snapshot = self.shared.inventory.load_full();
            let moved = self
                .gate
                .switch(has_windows, snapshot.as_deref(), since_epoch().as_secs());
            self.publish_own_files(&moved);
        }
        let settings = self.settings.take();
        if *settings != *self.followed {
            self.followed = settings;
            // What does not fit any more goes; what did not fit before is looked at again.
            self.make_room(0);
            for file in self.disk.values_mut() {
                let is_out = matches!(
                    file.content,
                    DiskContent::Refused | DiskContent::Large(None)
                );
                file.look_again |= is_out;
            }
            self.scan_within(Duration::ZERO);
        }
        self.forget_excepted();
        self.hand_out();
        self.count();
    }

    /// Until there is something to do by itself, and no longer than a loop may.
    fn longest_wait(&self) -> Duration {
        let at = self.next_scan.into_iter().chain(self.upstream.due()).min();
        let at = at.map(|at| at.saturating_duration_since(Instant::now()));
        let close = self.gate.next_close().map(|until| {
            let left = Duration::from_secs(until).saturating_sub(since_epoch());
            left.min(CLOCK_IS_SET)
        });
        let look = self.look_at_root;
        let look = look.saturating_duration_since(Instant::now());
        let due = at.into_iter().chain(close);
        due.chain([look, LONGEST_WAIT])
            .min()
            .unwrap_or(LONGEST_WAIT)
    }

    /// Takes out what belongs to devices whose window is over. Transfers under way end as they
    /// began.
    fn close_windows(&mut self) {
        let closed = self.gate.expire(since_epoch().as_secs());
        if closed.is_empty() {
            return;
        }
        self.publish_own_files(&closed);
        self.hand_out();
        self.count();
        tracing::info!(
            event = "provisioning.windows_closed",
            devices = closed.len(),
            "provisioning windows closed"
        );
    }

    fn publish_own_files(&mut self, devices: &[DeviceName]) {
        for device in devices {
            for name in device.own_files() {
                let name = name.into();
                // What was fetched, or not, was so with the window as it was.
                self.upstream.forget(&name);
                self.publish(&name);
            }
        }
        self.publish_exact();
    }

    /// Takes over a new state of the inventory; gives back the names whose content is another one,
    /// and the devices that were let in or shut out.
    fn generate(&mut self, snapshot: Snapshot) -> (Vec<Arc<str>>, Vec<DeviceName>) {
        let snapshot = Arc::new(snapshot);
        for listener in &self.listeners {
            listener.inventory_changed(&snapshot);
        }
        self.shared.inventory.store(Some(snapshot.clone()));
        self.alarms
            .set(AlarmKind::NumberPool, provisioning::used_up(&snapshot));
        let moved = self.gate.update(&snapshot, since_epoch().as_secs());
        let names = self.generated.update(snapshot);
        self.tell_failures();
        (names, moved)
    }

    fn tell_failures(&self) {
        let failures = self.generated.failures();
        let problems = failures.map(|(subject, failure)| (subject.into(), failure.to_string()));
        self.alarms.set(AlarmKind::Generation, problems);
    }

    fn regenerate(&mut self, snapshot: Snapshot) {
        let began = Instant::now();
        let (names, moved) = self.generate(snapshot);
        self.publish_generated(Cause::Inventory, &names, &moved, began);
        tracing::info!(
            event = "content.regenerated",
            files = names.len(),
            cause = "inventory",
            took_ms = self.last_regeneration.took.as_millis() as u64,
            "regenerated after a change of the inventory"
        );
    }

    fn use_templates(&mut self, templates: Templates) {
        let began = Instant::now();
        let names = self.generated.use_templates(templates);
        self.tell_failures();
        self.publish_generated(Cause::Templates, &names, &[], began);
        tracing::info!(
            event = "content.regenerated",
            files = names.len(),
            cause = "templates",
            took_ms = self.last_regeneration.took.as_millis() as u64,
            "regenerated after a change of the templates"
        );
    }

    fn publish_generated(
        &mut self,
        cause: Cause,
        names: &[Arc<str>],
        moved: &[DeviceName],
        began: Instant,
    ) {
        names.iter().for_each(|name| self.publish(name));
        if !moved.is_empty() {
            self.publish_own_files(moved);
        }
        self.hand_out();
        self.note_regeneration(cause, names, began);
        self.count();
    }

    fn note_regeneration(&mut self, cause: Cause, names: &[Arc<str>], began: Instant) {
        let (files, took) = (names.len() as u64, began.elapsed());
        self.last_regeneration = Regeneration { files, took };
        self.regenerations.note(cause, names, took);
    }

    fn scan_within(&mut self, delay: Duration) {
        let (ended, took) = self.last_scan;
        let at = (Instant::now() + delay).max(ended + took * SCAN_SHARE);
        self.next_scan = Some(self.next_scan.map_or(at, |next| next.min(at)));
    }

    /// Brings the files on disk up to date, and publishes those that are different.
    fn scan(&mut self) {
        self.next_scan = None;
        let began = Instant::now();
        if !self.is_rooted() {
            return;
        }
        let mut tree = Tree::scan(&self.root);
        self.unreachable = tree.unreachable;

        let gone: Vec<_> = self
            .disk
            .keys()
            .filter(|name| !tree.found.contains_key(*name))
            .cloned()
            .collect();
        let (hidden, gone): (Vec<_>, Vec<_>) =
            gone.into_iter().partition(|name| tree.is_hidden(name));
        let any_gone = !gone.is_empty();
        for name in gone {
            if let Some(file) = self.disk.remove(&name) {
                self.disk_bytes -= file.content.len();
                self.publish(&name);
            }
        }

        // The first in boot order get the memory.
        let mut found: Vec<_> = tree
            .found
            .drain()
            .filter(|(name, found)| self.is_different(name, found))
            .collect();
        found.sort_by_cached_key(|(name, found)| {
            let len = found.content.as_ref().map_or(0, |print| print.len);
            (rank(Stage::of_name(name.as_bytes())), len, name.clone())
        });
        let is_other = any_gone || !found.is_empty() || tree.incomplete != self.incomplete;
        for (name, found) in found {
            self.take(&name, found);
            self.publish(&name);
        }
        self.publish_exact();
        if is_other || !self.surveyed {
            self.survey(tree.incomplete);
        }

        self.last_scan = (Instant::now(), began.elapsed());
        self.tell_readable(&tree, hidden.len());
        self.incomplete = tree.incomplete;
        if tree.incomplete {
            self.scan_within(UNWATCHED);
        } else if self.disk.values().any(|file| file.look_again) {
            self.scan_within(LOOK_AGAIN);
        } else if self.watcher.is_none() {
            self.scan_within(UNWATCHED);
        }
    }

    fn is_different(&self, name: &str, found: &Found) -> bool {
        let Some(known) = self.disk.get(name) else {
            return true;
        };
        let same = match (&found.content, &known.content) {
            (Err(NoContent::Folder), DiskContent::Folder) => true,
            (Err(NoContent::Refused(_)), DiskContent::Refused) => known.fingerprint.is_none(),
            (Ok(fingerprint), _) => known.fingerprint == Some(*fingerprint),
            (Err(_), _) => false,
        };
        !same || known.look_again || known.path != found.path || known.others != found.others
    }

    /// Takes over a file that is new or different.
    fn take(&mut self, name: &Arc<str>, found: Found) {
        let before = self.disk.remove(name);
        self.disk_bytes -= before.as_ref().map_or(0, |file| file.content.len());
        if before
            .as_ref()
            .is_none_or(|file| file.others.len() != found.others.len())
            && !found.others.is_empty()
        {
            tracing::warn!(
                event = "content.case_clash", file = %found.path.display(), others = ?found.others,
                "names that differ only in case: each answers to its exact spelling, the first \
                 to any other"
            );
        }
        let fingerprint = found.content.as_ref().ok().copied();
        let mut file = DiskFile {
            path: found.path,
            fingerprint,
            look_again: false,
            content: DiskContent::Refused,
            others: found.others,
        };
        match found.content {
            Err(NoContent::Folder) => file.content = DiskContent::Folder,
            Err(NoContent::Refused(why)) => refuse(&mut file, &why),
            Ok(fingerprint) if self.is_small(fingerprint.len) => self.read(&mut file, before),
            Ok(_) => {
                let loaded = before.and_then(|before| before.content.bytes().cloned());
                if loaded.is_some() {
                    // Somebody uses it: the old one is served until the new one is there.
                    self.order(name, &file.path);
                }
                file.content = DiskContent::Large(loaded);
            }
        }
        self.disk_bytes += file.content.len();
        self.disk.insert(name.clone(), file);
    }

    /// Reads a small file. One that is being written keeps its old content until it is done.
    fn read(&self, file: &mut DiskFile, before: Option<DiskFile>) {
        match self.root.read(&file.path) {
            Ok((bytes, fingerprint)) => {
                file.content = DiskContent::Small(bytes);
                file.fingerprint = Some(fingerprint);
                file.look_again = fingerprint.is_fresh();
            }
            Err(Denied::Refused(why)) => refuse(file, &why),
            Err(Denied::Absent | Denied::Unstable) => {
                let old = before.and_then(|before| before.content.bytes().cloned());
                file.content = old.map_or(DiskContent::Large(None), DiskContent::Small);
                file.look_again = true;
            }
        }
    }

    fn is_small(&self, len: u64) -> bool {
        let settings = self.settings.get();
        len <= settings.preload_limit.0 && self.bytes() + len <= settings.memory_limit.0
    }

    fn bytes(&self) -> u64 {
        self.disk_bytes + self.generated.bytes + self.media.len_bytes()
    }

    /// A large file was asked for that is not in memory.
    fn want(&mut self, name: Arc<str>) {
        match self.disk.get(&name) {
            Some(file) if matches!(file.content, DiskContent::Large(None)) => {
                let path = file.path.clone();
                let len = file.fingerprint.map_or(0, |print| print.len);
                if len <= self.settings.get().memory_limit.0 && !self.could_fit(len) {
                    // Not worth reading.
                    self.tell_no_room(&path);
                    return self.wake(&name);
                }
                self.loader.order(Order { name, path });
            }
            // It has come, or has gone, meanwhile.
            _ => self.wake(&name),
        }
    }

    fn order(&self, name: &Arc<str>, path: &std::path::Path) {
        self.shared.loading.lock().insert(name.clone());
        self.loader.order(Order {
            name: name.clone(),
            path: path.into(),
        });
    }

    fn loaded(&mut self, order: Order, loaded: Loaded) {
        let Order { name, path } = order;
        let is_wanted =
            |file: &DiskFile| file.path == path && matches!(file.content, DiskContent::Large(_));
        if self.disk.get(&name).is_some_and(is_wanted) {
            self.store_loaded(&name, loaded);
            self.publish(&name);
            self.hand_out();
            self.count();
        }
        self.wake(&name);
    }

    fn store_loaded(&mut self, name: &Arc<str>, loaded: Loaded) {
        let Some(mut file) = self.disk.remove(name) else {
            return;
        };
        self.disk_bytes -= file.content.len();
        match loaded {
            Ok((bytes, fingerprint)) => {
                file.fingerprint = Some(fingerprint);
                if self.make_room(bytes.len() as u64) {
                    self.told_no_room = false;
                    file.content = DiskContent::Large(Some(bytes));
                    file.look_again = fingerprint.is_fresh();
                } else if bytes.len() as u64 > self.settings.get().memory_limit.0 {
                    refuse(&mut file, "it does not fit content.memory_limit");
                } else {
                    // Others have the memory now; it is tried again when it is asked for again.
                    self.tell_no_room(&file.path);
                    file.content = DiskContent::Large(None);
                }
            }
            Err(Denied::Refused(why)) => refuse(&mut file, &why),
            // What was in memory stays until the file holds still.
            Err(Denied::Unstable) => file.look_again = true,
            Err(Denied::Absent) => return self.scan_within(DISK_SETTLES),
        }
        if file.look_again {
            self.scan_within(LOOK_AGAIN);
        }
        self.disk_bytes += file.content.len();
        self.disk.insert(name.clone(), file);
    }

    /// Whether there is room for a large file once all others are dropped.
    fn could_fit(&self, len: u64) -> bool {
        let limit = self.settings.get().memory_limit.0;
        let large = |file: &DiskFile| match &file.content {
            DiskContent::Large(Some(bytes)) => bytes.len() as u64,
            _ => 0,
        };
        self.bytes() + len <= limit
            || self.bytes() - self.disk.values().map(large).sum::<u64>() + len <= limit
    }

    /// Told once until a large file fits again, not with every request.
    fn tell_no_room(&mut self, path: &std::path::Path) {
        if !std::mem::replace(&mut self.told_no_room, true) {
            tracing::warn!(
                event = "content.memory_full", file = %path.display(),
                "there is no room for it at the moment and its readers are kept waiting; raise \
                 content.memory_limit"
            );
        }
    }

    /// Drops large files, the longest unused first, until there is room; false if there is none.
    fn make_room(&mut self, len: u64) -> bool {
        let limit = self.settings.get().memory_limit.0;
        if self.bytes() + len <= limit {
            return true;
        }
        let mut cached: Vec<_> = self
            .disk
            .iter()
            .filter(|(_, file)| matches!(file.content, DiskContent::Large(Some(_))))
            .map(|(name, file)| {
                let used_ms = match self.shared.table.peek(name) {
                    Some(Entry::Cached(cached)) => cached.used_ms(),
                    _ => 0,
                };
                (used_ms, name.clone(), file.content.len())
            })
            .collect();
        let all: u64 = cached.iter().map(|(_, _, len)| len).sum();
        if self.bytes() - all + len > limit {
            return false;
        }
        cached.sort_unstable();
        // A little more than needed, so that the next small file does not go through all again.
        let enough = limit - limit / 16;
        for (_, name, _) in cached {
            if self.bytes() + len <= enough.max(len) {
                break;
            }
            if let Some(file) = self.disk.get_mut(&name) {
                self.disk_bytes -= file.content.len();
                file.content = DiskContent::Large(None);
                self.evicted += 1;
                tracing::debug!(file = %name, "dropped from memory to make room");
                self.publish(&name);
            }
        }
        true
    }

    /// Lets those go on that wait for a file.
    fn wake(&self, name: &Arc<str>) {
        self.shared.loading.lock().remove(name);
        let wakes = self.shared.waiting.lock().remove(name);
        wakes.into_iter().flatten().for_each(|wake| wake());
    }
}

fn refuse(file: &mut DiskFile, why: &str) {
    tracing::warn!(event = "content.not_served", file = %file.path.display(), reason = why, "not served");
    file.content = DiskContent::Refused;
}
