//! Where metrics, status and the web page get their numbers: each part that runs, asked when
//! somebody wants to know.

use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::task::AbortHandle;

use super::readings::{content, devices, sockets};
use super::reload::Reloader;
use crate::alarms::Alarms;
use crate::audit::Auditor;
use crate::content::Library;
use crate::journal::diagnosis::Reviewer;
use crate::journal::{self, Board};
use crate::kernel::Kernel;
use crate::ops::log::Log;
use crate::ops::sources::Sources;
use crate::register::bans::Bans;
use crate::register::export::Export;
use crate::register::pacer::{self, Orders};
use crate::register::{self, Keeper, Registrars};
use crate::service;
use crate::stats::Counters;
use crate::trace::Tracer;
use crate::{http, tftp};

/// The parts that are asked. Those that stop when they are dropped are not kept alive by it.
pub(super) struct Probes {
    pub(super) started: Instant,
    pub(super) counters: Arc<Counters>,
    pub(super) kernel: Arc<Kernel>,
    pub(super) tftp: Weak<tftp::Server>,
    pub(super) http: Weak<http::Server>,
    pub(super) library: Arc<Library>,
    pub(super) auditor: Arc<Auditor>,
    /// The task that looks after scans.
    pub(super) misses: AbortHandle,
    pub(super) keeper: Weak<Keeper>,
    pub(super) ordering: Weak<pacer::Running>,
    pub(super) reviewer: Weak<Reviewer>,
    pub(super) journal: Weak<journal::Store>,
    pub(super) registrars: Weak<Registrars>,
    pub(super) export: Arc<Export>,
    pub(super) orders: Arc<Orders>,
    pub(super) bans: Arc<Bans>,
    pub(super) board: Arc<Board>,
    pub(super) tracer: Arc<Tracer>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) log: Log,
    pub(super) reloader: Arc<Reloader>,
}

impl Probes {
    pub(super) fn into_sources(self) -> Sources {
        let Self {
            counters,
            kernel,
            tftp,
            http,
            library,
            auditor,
            misses,
            keeper,
            ordering,
            reviewer,
            journal,
            registrars,
            orders,
            reloader,
            ..
        } = self;
        let (counted, asked, knocked) = (library.clone(), library.clone(), library.clone());
        let seen = Arc::clone(&reloader);
        let (kept, saver, ordered) = (keeper.clone(), journal.clone(), orders.clone());
        Sources {
            started: self.started,
            socket: Arc::new(move || counters.tally()),
            kernel: Arc::new(move || kernel.snapshot()),
            sockets: Arc::new(move || {
                let server = tftp.upgrade();
                server.map(|it| sockets(&it)).unwrap_or_default()
            }),
            http: Arc::new(move || {
                let server = http.upgrade();
                server.map(|it| it.snapshot()).unwrap_or_default()
            }),
            content: Arc::new(move || {
                let mut content = content(&counted, &auditor);
                let has_ended = misses.is_finished();
                content.ended.extend(has_ended.then_some("misses"));
                if let Some(keeper) = keeper.upgrade() {
                    content.ended.extend(keeper.ended());
                }
                let has_ended = ordering.upgrade().is_some_and(|it| it.has_ended());
                content.ended.extend(has_ended.then_some("orders"));
                let has_ended = reviewer.upgrade().is_some_and(|it| it.has_ended());
                content.ended.extend(has_ended.then_some("diagnosis"));
                let has_ended = saver.upgrade().is_some_and(|it| it.has_ended());
                content.ended.extend(has_ended.then_some("journal"));
                content
            }),
            upstream: Arc::new(move || asked.upstream()),
            devices: Arc::new(move || devices(&library)),
            register: Arc::new(move || {
                let registrars = registrars.upgrade();
                let kept = kept.upgrade();
                register::Snapshot {
                    store: kept.map(|it| it.snapshot()).unwrap_or_default(),
                    orders: ordered.snapshot(),
                    ..registrars.map(|it| it.snapshot()).unwrap_or_default()
                }
            }),
            knocking: Arc::new(move |who| knocked.knocking(who)),
            export: self.export,
            orders,
            bans: self.bans,
            board: self.board,
            tracer: self.tracer,
            journal: Arc::new(move || {
                let store = journal.upgrade();
                store.map(|it| it.snapshot()).unwrap_or_default()
            }),
            alarms: self.alarms,
            log: self.log,
            loops: Arc::new(service::loops),
            health: Arc::default(),
            refusals: Arc::default(),
            configuration: Arc::new(move || seen.snapshot()),
            reload: Arc::new(move || reloader.reload()),
        }
    }
}
