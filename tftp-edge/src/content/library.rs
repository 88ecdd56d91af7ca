//! The catalog: answers requests from what the curator has published.

mod knocking;
mod upstream;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use notify::RecommendedWatcher;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tftp_ebpf::name::{NameError, has_pattern, normalise, respell};
use tftp_ebpf::stage::Stage;

use super::curator::{Curator, Message, Messages};
use super::loader::Loader;
use super::regeneration::Regenerations;
use super::root::Root;
use super::table::{Entry, Table};
use super::tree::MAX_NAME;
use super::upstream::{Forwarders, Settings as UpstreamSettings, Snapshot, Upstream};
use super::watch::{TemplateWatch, watch_folder};
use super::{Catalog, ContentError, Listener, Lookup, Query, Settings, Version};
use crate::alarms::Alarms;
use crate::inventory::{self, Inventory, Watch};
use crate::live::Live;
use crate::provisioning::{self, Knocks};
use crate::service::capabilities::{Role, settle};

/// How often the inventory is looked at for commits of another process.
const INVENTORY_INTERVAL: Duration = Duration::from_millis(100);

/// What there is at the moment, for metrics and `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files on disk that can be served.
    pub files: u64,
    pub generated: u64,
    /// Names known to be absent.
    pub absent: u64,
    /// Names on disk that must not be served.
    pub refused: u64,
    /// Files left out because their name differs from another one's only in case.
    pub clashes: u64,
    /// Names on disk that no request can ask for: hidden, not ASCII, or too long.
    pub unreachable: u64,
    /// Content in memory.
    pub bytes: u64,
    pub bytes_limit: u64,
    /// Files on disk dropped from memory to make room, since the start.
    pub evicted: u64,
    pub sip_devices: u64,
    pub sccp_devices: u64,
    pub last_regeneration: Regeneration,
    pub regenerations: Regenerations,
    /// Files fetched from upstream, their bytes, and names that are not there either.
    pub proxied: u64,
    pub proxied_bytes: u64,
    pub missed: u64,
    /// Devices that may fetch their configuration; none if all may, always.
    pub windows_open: Option<u64>,
}

/// One run of rendering after a change of the inventory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Regeneration {
    /// Names whose content became another one.
    pub files: u64,
    /// From hearing of the change to the last listener having taken it.
    pub took: Duration,
}

/// What requests and the curator share.
pub(super) struct Shared {
    pub(super) table: Table,
    /// Spellings of names that differ only in case, where each is a file of its own.
    pub(super) exact: RwLock<HashMap<Vec<u8>, Arc<Version>>>,
    pub(super) has_exact: AtomicBool,
    /// Files that are being read now: each is read once, however many ask.
    pub(super) loading: Mutex<HashSet<Arc<str>>>,
    pub(super) waiting: Mutex<HashMap<Arc<str>, Vec<Wake>>>,
    pub(super) counts: Mutex<Counts>,
    /// Who is asked for what is not here.
    pub(super) upstream: Option<Upstream>,
    /// What the inventory was last seen to be.
    pub(super) inventory: ArcSwapOption<inventory::Snapshot>,
    knocks: Mutex<Knocks>,
    pub(super) messages: Messages,
}

pub(super) type Wake = Box<dyn FnOnce() + Send>;

/// The content of a site: a disk tree, the files of the inventory, and what upstream servers have.
pub struct Library {
    shared: Arc<Shared>,
    forwarders: Forwarders,
    running: Mutex<Option<Running>>,
}

/// What goes on until [`Library::shutdown`]; the watches end when dropped.
struct Running {
    templates: TemplateWatch,
    watch: Watch,
    loader: Weak<()>,
    curator: JoinHandle<()>,
}

impl Library {
    /// Reads everything once, hands it to the listeners, and goes on doing so with every change.
    /// When it returns, the content is complete.
    pub fn start(
        settings: impl Into<Live<Settings>>,
        upstream: impl Into<Live<UpstreamSettings>>,
        mut inventory: Inventory,
        provisioning: impl Into<Live<provisioning::Settings>>,
        alarms: Arc<Alarms>,
        listeners: Vec<Arc<dyn Listener>>,
    ) -> Result<Arc<Self>, ContentError> {
        let (live, upstream) = (settings.into(), upstream.into());
        let settings = &*live.take();
        let root = Arc::new(Root::open(&settings.root)?);
        let snapshot = inventory.snapshot_if_changed()?;
        let (messages, incoming) = mpsc::channel();
        let servers = {
            let messages = messages.clone();
            let done = move |order, answer| {
                let _ = messages.send(Message::Fetched(order, answer));
            };
            Upstream::start(upstream.clone(), &alarms, done).map_err(ContentError::Thread)?
        };
        let shared = Arc::new(Shared {
            table: Table::default(),
            exact: RwLock::default(),
            has_exact: AtomicBool::new(false),
            loading: Mutex::default(),
            waiting: Mutex::default(),
            counts: Mutex::default(),
            upstream: servers,
            inventory: ArcSwapOption::empty(),
            knocks: Mutex::default(),
            messages: messages.clone(),
        });
        // Before the first scan, so that nothing falls between the two.
        let watcher = watch_tree(root.path(), messages.clone());
        let loader = {
            let messages = messages.clone();
            let done = move |order, loaded| {
                let _ = messages.send(Message::Loaded(order, loaded));
            };
            Loader::start(root.clone(), done).map_err(ContentError::Thread)?
        };
        let loader_life = loader.life();
        // Before they are read for the first time, for the same reason.
        let templates = {
            let messages = messages.clone();
            TemplateWatch::start(&settings.templates, move |templates| {
                let _ = messages.send(Message::Templates(Box::new(templates)));
            })
            .map_err(ContentError::Thread)?
        };
        let curator = Curator::new(
            live,
            root,
            shared.clone(),
            loader,
            alarms,
            listeners,
            watcher,
        )
        .with_windows(provisioning.into());
        let (ready, is_ready) = mpsc::sync_channel(1);
        let curator = spawn_curator(curator, snapshot, incoming, ready)?;
        let watch = Watch::start(inventory, INVENTORY_INTERVAL, move |snapshot| {
            let _ = messages.send(Message::Inventory(snapshot));
        })
        .map_err(ContentError::Thread)?;
        // Comes back with an error only if the curator has panicked; joining tells.
        let _ = is_ready.recv();
        Ok(Arc::new(Self {
            shared,
            forwarders: Forwarders::new(&upstream.get().servers),
            running: Mutex::new(Some(Running {
                templates,
                watch,
                loader: loader_life,
                curator,
            })),
        }))
    }

    /// The settings it was given are others now. Those that hold for one piece of work are followed
    /// without being told.
    pub fn follow_settings(&self) {
        // Fails only when the curator has panicked, which has been printed.
        let _ = self.shared.messages.send(Message::Settings);
    }

    pub fn counts(&self) -> Counts {
        *self.shared.counts.lock()
    }

    /// The upstream servers, and what came from them.
    pub fn upstream(&self) -> Snapshot {
        let Some(upstream) = &self.shared.upstream else {
            return Snapshot::default();
        };
        let counts = self.counts();
        Snapshot {
            files: counts.proxied,
            absent: counts.missed,
            bytes: counts.proxied_bytes,
            ..upstream.snapshot()
        }
    }

    /// Threads that have ended by themselves: what they do is not done any more. None after
    /// [`Self::shutdown`].
    pub fn ended(&self) -> Vec<&'static str> {
        let running = self.running.lock();
        let Some(running) = &*running else {
            return Vec::new();
        };
        let has_curator = !running.curator.is_finished();
        // The curator's own; ends with it.
        let has_loader = running.loader.strong_count() > 0;
        let threads = [
            ("curator", !has_curator),
            ("loader", has_curator && !has_loader),
            ("inventory", running.watch.has_ended()),
            ("templates", running.templates.has_ended()),
            (
                "upstream",
                self.shared
                    .upstream
                    .as_ref()
                    .is_some_and(Upstream::has_ended),
            ),
        ];
        let ended = threads.into_iter().filter(|(_, ended)| *ended);
        ended.map(|(name, _)| name).collect()
    }

    /// Stops watching. What is published stays and can still be looked up.
    pub fn shutdown(&self) {
        let Some(running) = self.running.lock().take() else {
            return;
        };
        let _ = self.shared.messages.send(Message::Stop);
        // A panic in it has been printed already.
        let _ = running.curator.join();
        if let Some(upstream) = &self.shared.upstream {
            upstream.stop();
        }
        // Taken out first: those who wake may wait again.
        let waiting = std::mem::take(&mut *self.shared.waiting.lock());
        waiting.into_values().flatten().for_each(|wake| wake());
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Catalog for Library {
    fn lookup(&self, query: Query<'_>) -> Lookup {
        let raw = query.name;
        let mut folded = [0; MAX_NAME];
        let name = match folded_name(raw, &mut folded) {
            Ok(name) => name,
            Err(NameError::DotSegment) => return Lookup::Refused,
            Err(_) => return Lookup::Absent,
        };
        if self.shared.has_exact.load(Ordering::Acquire) {
            let exact = self.shared.exact.read();
            if let Some(version) = spelled(raw).and_then(|spelling| exact.get(&spelling)) {
                return Lookup::Found(version.clone());
            }
        }
        match self.shared.table.get(name) {
            Some(Entry::Pinned(version)) => Lookup::Found(version),
            Some(Entry::Cached(cached)) => Lookup::Found(cached.version.clone()),
            Some(Entry::OnDisk) => Lookup::Loading,
            Some(Entry::Refused) => Lookup::Refused,
            Some(Entry::BySite(versions)) => match versions.at(query.client) {
                Some(version) => Lookup::Found(version.clone()),
                None => Lookup::Absent,
            },
            entry => {
                let lookup = self.lookup_upstream(query, name, entry.as_ref());
                let is_expected =
                    has_pattern(name.as_bytes()) || entry.is_some_and(|entry| entry.is_optional());
                if matches!(lookup, Lookup::Absent) && !is_expected {
                    self.knocked(name, query);
                }
                lookup
            }
        }
    }

    fn when_ready(&self, query: Query<'_>, wake: Wake) {
        let mut folded = [0; MAX_NAME];
        if let Ok(name) = folded_name(query.name, &mut folded) {
            // The curator changes the table first and looks for waiters afterwards, so one of the
            // two sees the other.
            let mut waiting = self.shared.waiting.lock();
            if let Some(wanted) = self.wanted(query, name)
                && self.running.lock().is_some()
                && self.want(name, wanted)
            {
                waiting.entry(name.into()).or_default().push(wake);
                return;
            }
        }
        wake();
    }

    fn names(&self, stage: Stage) -> Vec<Arc<str>> {
        let is_of_stage = |name: &str| Stage::of_name(name.as_bytes()) == stage;
        self.shared.table.found(is_of_stage)
    }

    fn forwarders(&self) -> &Forwarders {
        &self.forwarders
    }
}

fn folded_name<'n>(raw: &[u8], folded: &'n mut [u8; MAX_NAME]) -> Result<&'n str, NameError> {
    let name = normalise(raw, folded)?;
    std::str::from_utf8(name).map_err(|_| NameError::Byte)
}

/// The name as [`normalise`] has it, but in its own case.
fn spelled(raw: &[u8]) -> Option<Vec<u8>> {
    let mut spelling = [0; MAX_NAME];
    respell(raw, &mut spelling).ok().map(<[u8]>::to_vec)
}

fn spawn_curator(
    mut curator: Curator,
    snapshot: Option<inventory::Snapshot>,
    incoming: Receiver<Message>,
    ready: SyncSender<()>,
) -> Result<JoinHandle<()>, ContentError> {
    thread::Builder::new()
        .name("curator".into())
        .spawn(move || {
            settle(Role::Content);
            curator.begin(snapshot);
            let _ = ready.send(());
            curator.run(&incoming);
        })
        .map_err(ContentError::Thread)
}

/// Tells the curator when something in the tree was written; none if the system does not let us.
pub(super) fn watch_tree(root: &Path, messages: Messages) -> Option<RecommendedWatcher> {
    let tell = move || {
        let _ = messages.send(Message::Disk);
    };
    watch_folder(root, tell)
        .inspect_err(|error| {
            tracing::warn!(
                event = "content.not_watched", %error,
                "the content cannot be watched and is looked through every few seconds instead; \
                 raising fs.inotify.max_user_watches may help"
            );
        })
        .ok()
}
