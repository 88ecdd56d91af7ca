//! Where metrics, health and status get their numbers: one probe for each part of the daemon,
//! all asked at the same moment. Nothing is copied between scrapes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tftp_ebpf::verdict::Rung;

use super::health::{self, Check, Health, State};
use super::serve::{self, Refusals};
use crate::alarms::Alarms;
use crate::content::{Regenerations, upstream};
use crate::http::{self, Scheme};
use crate::journal::{self, Board, Cause};
use crate::kernel::{Mode, Snapshot};
use crate::ops::log::{self, Log};
use crate::ops::reload::{self, Reloaded};
use crate::provisioning::{Knockers, Knocking};
use crate::register;
use crate::register::bans::Bans;
use crate::register::export::Export;
use crate::register::pacer::Orders;
use crate::service::pulse::LoopStatus;
use crate::stats::{Path, Tally};
use crate::tftp::Workers;
use crate::trace::Tracer;

/// Asks one part of the daemon. Must not wait for a packet loop.
pub type Probe<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// What the TFTP sockets are doing.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    /// Request sockets that are bound.
    pub bound: Vec<SocketAddr>,
    pub workers: Workers,
    pub transfers: u64,
    pub transfers_limit: u64,
    /// Datagrams the system dropped because a socket's buffer was full.
    pub receive_errors: u64,
}

/// What there is to serve.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The tree was read and the inventory rendered once.
    pub settled: bool,
    /// Files on disk that can be served.
    pub on_disk: u64,
    /// Files generated from the inventory.
    pub generated: u64,
    /// Names that are known to be absent.
    pub absent: u64,
    /// Names on disk that must not be served.
    pub refused: u64,
    /// Files left out because their name differs from another one's only in case.
    pub clashes: u64,
    /// Payload bytes held in memory, and the most there may be.
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    /// Files dropped from memory to make room, since the start.
    pub evicted: u64,
    /// How long the last regeneration took, from the change to its last file.
    pub last_regeneration: Duration,
    /// All since the start.
    pub regenerations: Regenerations,
    /// Threads behind the sockets that have ended by themselves.
    pub ended: Vec<&'static str>,
}

/// Devices of the inventory by protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Devices {
    pub sip: u64,
    pub sccp: u64,
    /// Devices that asked and that nobody knows.
    pub unknown: u64,
    /// Of those, they were too many to be remembered, since the start.
    pub forgotten: u64,
    /// Devices that may fetch their configuration; none if all may, always.
    pub windows_open: Option<u64>,
}

/// The parts of a running daemon. A part that does not run is left at its default.
#[derive(Clone)]
pub struct Sources {
    pub started: Instant,
    /// The settings in force.
    pub configuration: Probe<reload::Snapshot>,
    /// Reads them anew.
    pub reload: Probe<Reloaded>,
    pub socket: Probe<Tally>,
    pub kernel: Probe<Snapshot>,
    pub sockets: Probe<Sockets>,
    pub http: Probe<http::Snapshot>,
    pub content: Probe<Content>,
    pub upstream: Probe<upstream::Snapshot>,
    pub devices: Probe<Devices>,
    pub register: Probe<register::Snapshot>,
    pub knocking: Arc<dyn Fn(Knockers) -> Vec<Knocking> + Send + Sync>,
    pub export: Arc<Export>,
    pub orders: Arc<Orders>,
    /// Who is shut out from registration.
    pub bans: Arc<Bans>,
    /// What every phone did.
    pub board: Arc<Board>,
    pub tracer: Arc<Tracer>,
    /// Its file.
    pub journal: Probe<journal::StoreSnapshot>,
    pub alarms: Arc<Alarms>,
    pub log: Log,
    /// Whether the loops go round.
    pub loops: Probe<Vec<LoopStatus>>,
    pub health: Arc<Health>,
    /// At the ports of operators.
    pub refusals: Arc<Refusals>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            configuration: Arc::new(reload::Snapshot::default),
            reload: Arc::new(|| Reloaded::Stopping),
            socket: Arc::new(Tally::default),
            kernel: Arc::new(Snapshot::default),
            sockets: Arc::new(Sockets::default),
            http: Arc::new(http::Snapshot::default),
            content: Arc::new(Content::default),
            upstream: Arc::new(upstream::Snapshot::default),
            devices: Arc::new(Devices::default),
            register: Arc::new(register::Snapshot::default),
            knocking: Arc::new(|_| Vec::new()),
            export: Arc::default(),
            orders: Arc::default(),
            bans: Arc::default(),
            board: Arc::default(),
            tracer: Arc::default(),
            journal: Arc::new(journal::StoreSnapshot::default),
            alarms: Arc::default(),
            log: Log::default(),
            loops: Arc::new(Vec::new),
            health: Arc::default(),
            refusals: Arc::default(),
        }
    }
}

impl Sources {
    pub fn read(&self) -> Reading {
        Reading {
            uptime: self.started.elapsed(),
            configuration: (self.configuration)(),
            socket: (self.socket)(),
            kernel: (self.kernel)(),
            sockets: (self.sockets)(),
            http: (self.http)(),
            content: (self.content)(),
            upstream: (self.upstream)(),
            devices: (self.devices)(),
            register: (self.register)(),
            stuck: self.board.stuck_by_cause(),
            overview: self.board.overview(),
            journal: (self.journal)(),
            alarms: Arc::clone(&self.alarms),
            log: self.log.now(Instant::now()),
            loops: (self.loops)(),
            health: Arc::clone(&self.health),
            refusals: self.refusals.counts(),
        }
    }
}

/// All numbers at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    pub uptime: Duration,
    pub configuration: reload::Snapshot,
    pub socket: Tally,
    pub kernel: Snapshot,
    pub sockets: Sockets,
    pub http: http::Snapshot,
    pub content: Content,
    pub upstream: upstream::Snapshot,
    pub devices: Devices,
    pub register: register::Snapshot,
    /// Phones that do not get on.
    pub stuck: BTreeMap<Cause, u64>,
    /// All phones together.
    pub overview: Arc<journal::Overview>,
    /// The file of what they did.
    pub journal: journal::StoreSnapshot,
    pub alarms: Arc<Alarms>,
    pub log: log::Now,
    pub loops: Vec<LoopStatus>,
    /// Since when each check is as it is.
    pub health: Arc<Health>,
    /// At the ports of operators.
    pub refusals: serve::Counts,
}

impl Reading {
    /// What was done on one path.
    pub fn served(&self, path: Path) -> Tally {
        match path {
            Path::Rung(rung) => self.tally(rung),
            Path::Http => self.http.traffic[Scheme::Http as usize].tally.clone(),
            Path::Https => self.http.traffic[Scheme::Https as usize].tally.clone(),
        }
    }

    /// What one rung did. The sweeper works for XDP and TC alike and does not know which of them
    /// began a transfer; its share goes to the best kernel rung in use.
    pub fn tally(&self, rung: Rung) -> Tally {
        let swept = match self.kernel.mode() {
            Mode::Xdp => Rung::Xdp,
            Mode::Tc | Mode::Off => Rung::Tc,
        };
        let own = match rung {
            Rung::Xdp => &self.kernel.xdp,
            Rung::Tc => &self.kernel.tc,
            Rung::Socket => &self.socket,
        };
        if rung == swept {
            sum(own, &self.kernel.sweeper)
        } else {
            own.clone()
        }
    }

    /// Why the daemon is not ready to serve; empty when it is.
    pub fn not_ready(&self) -> Vec<String> {
        let failed = health::parts(self).into_iter();
        let failed = failed.filter(|it| it.state == State::Failed);
        failed.flat_map(|it| it.problems).collect()
    }

    /// Every check, those of the parts first.
    pub fn checks(&self) -> Vec<Check> {
        let mut verdicts = health::parts(self);
        verdicts.extend(health::loops(&self.loops));
        self.health.note(verdicts, SystemTime::now())
    }
}

fn sum(one: &Tally, other: &Tally) -> Tally {
    let rows = |a: &[u64], b: &[u64], at: usize| a[at].wrapping_add(b[at]);
    Tally {
        reasons: std::array::from_fn(|at| rows(&one.reasons, &other.reasons, at)),
        stages: std::array::from_fn(|stage| {
            std::array::from_fn(|at| rows(&one.stages[stage], &other.stages[stage], at))
        }),
        transfer_us: std::array::from_fn(|stage| {
            std::array::from_fn(|at| rows(&one.transfer_us[stage], &other.transfer_us[stage], at))
        }),
        transfer_us_sum: std::array::from_fn(|at| {
            rows(&one.transfer_us_sum, &other.transfer_us_sum, at)
        }),
        outcomes: std::array::from_fn(|stage| {
            std::array::from_fn(|at| rows(&one.outcomes[stage], &other.outcomes[stage], at))
        }),
        first_byte_us: std::array::from_fn(|stage| {
            std::array::from_fn(|at| {
                rows(&one.first_byte_us[stage], &other.first_byte_us[stage], at)
            })
        }),
        first_byte_us_sum: std::array::from_fn(|at| {
            rows(&one.first_byte_us_sum, &other.first_byte_us_sum, at)
        }),
    }
}

#[cfg(test)]
mod tests {
    use tftp_ebpf::stage::Stage;
    use tftp_ebpf::verdict::Reason;

    use super::*;
    use crate::kernel::InterfaceStatus;
    use crate::stats::{Counters, StageCounter};

    fn swept(mode: Mode) -> Reading {
        let counters = Counters::default();
        counters.count(Reason::TimedOut);
        counters.add(Stage::Config, StageCounter::Resent, 3);
        counters.completed(Stage::Config, Duration::from_micros(5));
        let mut reading = Sources::default().read();
        reading.kernel.sweeper = counters.tally();
        reading.kernel.tc.reasons[Reason::TimedOut as usize] = 10;
        let interface = InterfaceStatus::new("eth0", mode);
        reading.kernel.interfaces.push(interface);
        reading
    }

    #[test]
    fn a_registrar_that_takes_nothing_any_more_is_not_ready() {
        let before = Sources::default().read().not_ready().len();
        let mut reading = Sources::default().read();
        reading.register.sccp.listeners_ended = 1;
        reading.register.sip.ended = 2;
        let reasons = reading.not_ready();
        assert_eq!(reasons.len(), before + 2, "{reasons:?}");
        assert!(reasons.iter().any(|it| it.starts_with("1 SCCP listeners")));
        assert!(reasons.iter().any(|it| it.starts_with("2 SIP workers")));
    }

    #[test]
    fn the_sweepers_share_goes_to_the_best_kernel_rung_and_nowhere_else() {
        for (mode, xdp, tc) in [(Mode::Xdp, 1, 10), (Mode::Tc, 0, 11), (Mode::Off, 0, 11)] {
            let reading = swept(mode);
            let timed_out = |rung| reading.tally(rung).reason(Reason::TimedOut);
            assert_eq!(timed_out(Rung::Xdp), xdp, "{mode:?}");
            assert_eq!(timed_out(Rung::Tc), tc, "{mode:?}");
            assert_eq!(timed_out(Rung::Socket), 0, "{mode:?}");
        }
        let tally = swept(Mode::Xdp).tally(Rung::Xdp);
        assert_eq!(tally.stage(Stage::Config, StageCounter::Resent), 3);
        assert_eq!(tally.transfer_us_sum[Stage::Config as usize], 5);
        assert_eq!(
            tally.transfer_us[Stage::Config as usize]
                .iter()
                .sum::<u64>(),
            1
        );
    }

    #[test]
    fn ready_means_sockets_bound_and_content_settled() {
        let mut reading = Sources::default().read();
        assert_eq!(reading.not_ready().len(), 2);
        reading.sockets.bound = vec![([127, 0, 0, 1], 69).into()];
        assert_eq!(reading.not_ready(), ["the content is still being read"]);
        reading.content.settled = true;
        assert!(reading.not_ready().is_empty());
    }

    #[test]
    fn a_thread_that_ended_is_told_and_makes_it_not_ready() {
        let mut reading = Sources::default().read();
        reading.sockets.bound = vec![([127, 0, 0, 1], 69).into()];
        reading.content.settled = true;
        reading.sockets.workers = Workers { all: 4, ended: 1 };
        reading.http.listeners_ended = 1;
        reading.content.ended = vec!["curator"];
        let reasons = reading.not_ready();
        assert_eq!(reasons.len(), 3);
        assert!(reasons[0].starts_with("1 of 4 TFTP workers"), "{reasons:?}");
        assert!(reasons[1].starts_with("1 HTTP listeners"), "{reasons:?}");
        assert!(reasons[2].starts_with("the curator thread"), "{reasons:?}");
    }
}
