//! Names we do not have, asked of other TFTP servers: what CUCM calls alternate TFTP servers.
//!
//! A request for a name that is neither on disk nor generated is parked, and up to three servers
//! are asked in turn, over HTTP or TFTP. However many clients ask, each server is asked once. What
//! comes is kept in memory, and never written to disk, for its lifetime; that a name is nowhere is
//! kept too, for a shorter one. The curator publishes both, as it does everything else.
//!
//! - A server that does not answer is left alone for a while, and then tried again. While none
//!   answers, what has outlived its lifetime is served on, for a bounded time.
//! - A name is absent when all servers say so, or when those that answer do. While none answers,
//!   clients get silence and ask again (HTTP: 503): a phone that is told that it has no
//!   configuration goes on to register as an unknown one. Names that phones can do without are
//!   absent then: a site must boot without its upstream.
//! - The kernel gets a file with the second request within its lifetime: most are one phone's own,
//!   asked for once in a boot. It gives it back when the lifetime ends, so that the next request
//!   comes up to the daemon and has the file fetched anew.
//! - Of a device whose window is closed ([`crate::provisioning`]) nothing is given out that comes
//!   from there.
//! - Never a loop: see [`forwarded`]. Other edges get what is on disk or generated here, and not
//!   what was fetched: two that ask each other would keep a deleted file alive for ever.

mod cache;
pub mod forwarded;
mod health;
mod http;
mod misses;
mod names;
mod outcome;
mod pace;
mod room;
mod settings;
mod tftp;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;

use crate::alarms::Alarms;
use crate::live::Live;
use crate::service::capabilities::{Role, settle};
use health::Health;
use misses::Misses;
use outcome::{Failure, Outcome};
use room::{Room, Rooms};

pub(super) use cache::{Cache, Miss, Missing};
pub use forwarded::{Forwarders, MARK};
pub use health::ServerSnapshot;
pub use names::Names;
pub(super) use outcome::Answer;
pub use settings::{BudgetSettings, MAX_SERVERS, Protocol, Server, ServerError, Settings};

/// Names that wait to be asked for, at most: a few seconds' worth.
const MAX_QUEUED: u64 = 4096;

/// A name to be asked for.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Normalised.
    pub(super) name: Arc<str>,
    /// As the client wrote it, without drive letters and the like: upstream servers may tell upper
    /// from lower case.
    pub(super) spelling: Arc<[u8]>,
    /// Who paid for it; nobody pays for a file that is here already.
    pub(super) payer: Option<IpAddr>,
}

/// What the packet threads, the curator and the fetches share.
struct Shared {
    settings: Live<Settings>,
    servers: Vec<Health>,
    misses: Misses,
    rooms: Rooms,
    queued: AtomicU64,
    running: AtomicU64,
    /// Requests answered from memory, and those of them that got an old version.
    hits: AtomicU64,
    stale: AtomicU64,
}

/// The upstream servers; ends when dropped.
pub(super) struct Upstream {
    shared: Arc<Shared>,
    names: ArcSwap<Names>,
    orders: Mutex<Option<UnboundedSender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is told in metrics and status. All zero without upstream servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub servers: Vec<ServerSnapshot>,
    /// Files in memory, and names that no server has.
    pub files: u64,
    pub absent: u64,
    pub bytes: u64,
    pub bytes_limit: u64,
    pub in_flight: u64,
    pub hits: u64,
    /// Of these, with a version that had outlived its lifetime.
    pub stale_hits: u64,
    /// Requests that were not asked on, by whose budget was used up.
    pub over_budget: u64,
    pub over_source_budget: u64,
}

impl Upstream {
    /// None if there is nobody to ask. `done` hears the answer to every order, in any order, from
    /// a thread of its own.
    pub(super) fn start(
        live: Live<Settings>,
        alarms: &Arc<Alarms>,
        done: impl Fn(Order, Answer) + Clone + Send + Sync + 'static,
    ) -> io::Result<Option<Self>> {
        let settings = &*live.take();
        if settings.servers.is_empty() {
            return Ok(None);
        }
        let health = |server: &Server| Health::new(*server, alarms.clone());
        let shared = Arc::new(Shared {
            servers: settings.servers.iter().map(health).collect(),
            misses: Misses::new(live.clone()),
            rooms: Rooms::new(settings.memory_limit.0),
            settings: live,
            queued: AtomicU64::new(0),
            running: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            stale: AtomicU64::new(0),
        });
        let (orders, incoming) = mpsc::unbounded_channel();
        // One thread is enough for what waits most of the time; and none of the others' has to.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let work = {
            let shared = shared.clone();
            move || {
                settle(Role::Plain);
                runtime.block_on(run(shared, incoming, done));
                // Fetches under way end here.
                runtime.shutdown_background();
            }
        };
        let servers: Vec<_> = settings.servers.iter().map(ToString::to_string).collect();
        tracing::info!(event = "upstream.configured", ?servers, "upstream");
        Ok(Some(Self {
            shared,
            names: ArcSwap::from_pointee(Names::new(settings)),
            orders: Mutex::new(Some(orders)),
            thread: Mutex::new(Some(
                thread::Builder::new().name("upstream".into()).spawn(work)?,
            )),
        }))
    }

    /// An empty cache for what comes.
    pub(super) fn cache(&self) -> Cache {
        Cache::new(self.shared.settings.clone())
    }

    /// Takes over the names of the settings as they are now.
    pub(super) fn follow(&self) {
        let names = Names::new(&self.shared.settings.get());
        self.names.store(Arc::new(names));
    }

    /// Whether a normalised name is one to ask for.
    pub(super) fn asks_for(&self, name: &str) -> bool {
        self.names.load().hold(name)
    }

    /// Whether any server may be asked now.
    pub(super) fn is_up(&self) -> bool {
        let now = Instant::now();
        self.shared.queued.load(Ordering::Relaxed) < MAX_QUEUED
            && self.shared.servers.iter().any(|server| server.is_up(now))
    }

    /// Whether this client may have a name asked for that may be nowhere.
    pub(super) fn may_ask(&self, client: IpAddr) -> bool {
        self.is_up() && self.shared.misses.has(client, Instant::now())
    }

    /// Takes what that costs; given back if the name is found.
    pub(super) fn pay(&self, client: IpAddr) -> bool {
        self.shared.misses.take(client, Instant::now())
    }

    /// To be given a name once until its answer has come.
    pub(super) fn ask(&self, order: Order) {
        if let Some(orders) = &*self.orders.lock() {
            self.shared.queued.fetch_add(1, Ordering::Relaxed);
            // Fails only when the thread has panicked, which has been printed.
            let _ = orders.send(order);
        }
    }

    pub(super) fn count_hit(&self, is_stale: bool) {
        self.shared.hits.fetch_add(1, Ordering::Relaxed);
        if is_stale {
            self.shared.stale.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread
            .lock()
            .as_ref()
            .is_some_and(JoinHandle::is_finished)
    }

    /// What is known here; what the cache holds is the curator's to add.
    pub(super) fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let shared = &self.shared;
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Snapshot {
            servers: shared.servers.iter().map(|it| it.snapshot(now)).collect(),
            bytes_limit: shared.settings.get().memory_limit.0,
            in_flight: read(&shared.running),
            hits: read(&shared.hits),
            stale_hits: read(&shared.stale),
            over_budget: read(&shared.misses.over_overall),
            over_source_budget: read(&shared.misses.over_source),
            ..Snapshot::default()
        }
    }

    /// Ends the thread and what it is fetching.
    pub(super) fn stop(&self) {
        *self.orders.lock() = None;
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Upstream")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

async fn run(
    shared: Arc<Shared>,
    mut orders: UnboundedReceiver<Order>,
    done: impl Fn(Order, Answer) + Clone + Send + Sync + 'static,
) {
    let permits = Arc::new(Semaphore::new(shared.settings.get().max_fetches));
    loop {
        // Never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let Some(order) = orders.recv().await else {
            return;
        };
        shared.queued.fetch_sub(1, Ordering::Relaxed);
        let (shared, done) = (shared.clone(), done.clone());
        tokio::spawn(async move {
            shared.running.fetch_add(1, Ordering::Relaxed);
            let asked = tokio::spawn(ask_all(shared.clone(), order.spelling.clone())).await;
            shared.running.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
            // A panic has been printed; those who wait are not to wait for ever.
            let answer = asked.unwrap_or(Answer::Unknown);
            if let (Answer::Content(_), Some(client)) = (&answer, order.payer) {
                shared.misses.give_back(client, Instant::now());
            }
            done(order, answer);
        });
    }
}

/// Asks one server after the other until one has the file.
async fn ask_all(shared: Arc<Shared>, spelling: Arc<[u8]>) -> Answer {
    let mut failures = Vec::with_capacity(shared.servers.len());
    for health in &shared.servers {
        if !health.is_up(Instant::now()) {
            health.skipped();
            failures.push(None);
            continue;
        }
        let mut room = shared.rooms.open();
        let began = Instant::now();
        let settings = shared.settings.take();
        let fetched = fetch(&settings, health.server, &spelling, &mut room);
        let outcome = timeout(pace::LONGEST, fetched)
            .await
            .unwrap_or(Err(Failure::Timeout));
        tracing::debug!(
            server = %health.server,
            file = %spelling.escape_ascii(),
            outcome = outcome.as_ref().map_or_else(|failure| failure.as_str(), |_| "found"),
            took_ms = began.elapsed().as_millis() as u64,
            "asked upstream"
        );
        match outcome {
            Ok(bytes) => {
                health.found();
                return Answer::Content(bytes);
            }
            Err(failure) => {
                health.failed(failure, Instant::now());
                failures.push(Some(failure));
            }
        }
    }
    Answer::of_failures(failures)
}

async fn fetch(settings: &Settings, server: Server, name: &[u8], room: &mut Room) -> Outcome {
    let (max_len, patience) = (settings.max_file.0, settings.timeout());
    match server.protocol {
        Protocol::Http => http::fetch(server.address, name, max_len, patience, room).await,
        Protocol::Tftp => tftp::fetch(server.address, name, max_len, patience, room).await,
    }
}
