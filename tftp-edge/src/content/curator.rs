//! The one thread that decides what each name stands for, and tells it.

mod collect;
mod generate;
mod memory;
mod publish;
mod rooted;
mod scan;
mod upstream;
mod windows;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use bytes::Bytes;
use notify::RecommendedWatcher;

use super::generated::GeneratedFiles;
use super::library::{Regeneration, Shared};
use super::loader::{Loaded, Loader, Order};
use super::media::{Heads, Media};
use super::regeneration::{Cause, Regenerations};
use super::root::{Fingerprint, Root};
use super::upstream::{Answer, Cache, Order as Fetch, Upstream};
use super::{Change, Listener, Settings};
use crate::alarms::Alarms;
use crate::inventory::Snapshot;
use crate::live::Live;
use crate::phonefile::Templates;
use crate::provisioning::{self, Gate, since_epoch};
use crate::service::pulse::LONGEST_WAIT;
use crate::service::{self, Beat, Role};

/// From the first sign of a change on disk to looking: one change is often several events.
const DISK_SETTLES: Duration = Duration::from_millis(20);

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
}
