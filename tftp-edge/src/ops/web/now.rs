//! What the page tells of this moment: one structure for the pages, the API and the events.

use std::time::SystemTime;

use serde::Serialize;

use crate::alarms::Alarm;
use crate::content::upstream;
use crate::journal::{Counts, Overview, SiteRow, Stage, unix_ms};
use crate::ops::sources::Sources;
use crate::ops::status::{Files, Kernel, Served, Status, Storm, Transfers};
use crate::register::Mode;
use crate::register::bans::Banned;
use crate::register::storm::State;

/// Alarms that are told one by one; the others are counted. Each viewer is sent them every second.
const MAX_ALARMS: usize = 100;
/// The same for sites.
const MAX_SITES: usize = 50;
/// The same for sources that are shut out.
const MAX_BANNED: usize = 20;

/// All figures of one moment; see the module for its JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Now {
    /// Unix milliseconds.
    pub(super) at_ms: u64,
    version: String,
    uptime_s: u64,
    ready: bool,
    /// Why it is not ready.
    reasons: Vec<String>,
    pub(super) phones: Phones,
    /// Phones of the inventory by how far they have come; all stages in their order.
    stages: Vec<AtStage>,
    /// Those that do not get on, by cause.
    stuck: Vec<Because>,
    sites: Vec<SiteRow>,
    sites_count: u64,
    journal: Counts,
    pub(super) storm: Storm,
    /// More come than can be served, or did just now.
    is_storm: bool,
    /// The same as a sentence, which changes only when the state does: it is read aloud then.
    storm_words: &'static str,
    rungs: Vec<Rung>,
    /// Of the requests over TFTP, those answered by the kernel program, from 0 to 1.
    kernel_share: f64,
    kernel: Kernel,
    /// Request sockets that are bound.
    sockets: Vec<String>,
    transfers: Transfers,
    files: Files,
    upstream: upstream::Snapshot,
    alarms: Vec<Alarm>,
    alarms_count: u64,
    banned: Vec<Banned>,
    banned_count: u64,
}

/// Phones, counted.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Phones {
    /// `off`, `registrar` or `front`.
    mode: &'static str,
    /// Devices of the inventory.
    expected: u64,
    pub(super) registered: u64,
    /// Of those expected, from 0 to 1.
    registered_share: f64,
    /// Have begun to boot, and are not registered yet.
    booting: u64,
    /// Nothing was heard of them.
    silent: u64,
    /// Do not get on.
    stuck: u64,
    registered_sip: u64,
    registered_sccp: u64,
    registered_limit: u64,
    /// Registered before a restart, and not back over their connection yet.
    restored: u64,
    /// Devices that asked and that nobody knows.
    unknown: u64,
    /// Devices that may fetch their configuration; none if all may, always.
    windows_open: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct AtStage {
    stage: Stage,
    phones: u64,
    /// Of those expected, from 0 to 1.
    share: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Because {
    cause: String,
    phones: u64,
}

/// What one rung, or HTTP, has done since the start.
#[derive(Clone, Debug, Serialize)]
struct Rung {
    #[serde(flatten)]
    served: Served,
    /// Of all requests, from 0 to 1.
    share: f64,
}

fn share(part: u64, of: u64) -> f64 {
    match of {
        0 => 0.0,
        of => part as f64 / of as f64,
    }
}

impl Now {
    /// Asks all parts of the daemon: a row of system calls, and locks held for a moment.
    pub(super) fn new(sources: &Sources) -> Self {
        let overview = sources.board.overview();
        Self::of(Status::new(&sources.read()), &overview, SystemTime::now())
    }

    fn of(status: Status, overview: &Overview, at: SystemTime) -> Self {
        let register = status.register.as_ref();
        let storm = register.map(|it| it.storm.clone());
        let storm = storm.unwrap_or_default();
        let mut alarms = status.alarms.clone();
        alarms.truncate(MAX_ALARMS);
        let banned = register.into_iter().flat_map(|it| &it.banned);
        let requests = status.rungs.iter().map(|it| it.requests).sum();
        let of_paths = |paths: &[&str]| {
            let rungs = status.rungs.iter();
            let rungs = rungs.filter(|it| paths.contains(&it.path.as_str()));
            rungs.map(|it| it.requests).sum::<u64>()
        };
        let (kernel, tftp) = (of_paths(&["xdp", "tc"]), of_paths(&["xdp", "tc", "socket"]));
        Self {
            at_ms: unix_ms(at),
            version: status.version.clone(),
            uptime_s: status.uptime_seconds,
            ready: status.ready,
            reasons: status.reasons.clone(),
            phones: Phones::new(&status, overview),
            stages: Stage::ALL
                .into_iter()
                .map(|stage| {
                    let phones = overview.stages.get(&stage).copied().unwrap_or(0);
                    AtStage {
                        stage,
                        phones,
                        share: share(phones, overview.expected),
                    }
                })
                .collect(),
            stuck: overview
                .stuck
                .iter()
                .map(|(cause, &phones)| Because {
                    cause: cause.clone(),
                    phones,
                })
                .collect(),
            sites: overview.sites.iter().take(MAX_SITES).cloned().collect(),
            sites_count: overview.sites.len() as u64,
            journal: overview.journal,
            is_storm: storm.state.is_storm(),
            storm_words: match storm.state {
                State::Calm => "No storm.",
                State::Storm => "Storm: more phones come than can be served.",
                State::Draining => "The storm is over, and those that wait are let in.",
            },
            storm,
            kernel_share: share(kernel, tftp),
            rungs: status
                .rungs
                .iter()
                .map(|served| Rung {
                    share: share(served.requests, requests),
                    served: served.clone(),
                })
                .collect(),
            kernel: status.kernel.clone(),
            sockets: status.sockets.clone(),
            transfers: status.transfers.clone(),
            files: status.files.clone(),
            upstream: status.upstream.clone(),
            alarms_count: status.alarms.len() as u64,
            alarms,
            banned: banned.take(MAX_BANNED).cloned().collect(),
            banned_count: register.map_or(0, |it| it.banned_count),
        }
    }
}

impl Phones {
    fn new(status: &Status, overview: &Overview) -> Self {
        let devices = &status.devices;
        let expected = devices.sip + devices.sccp;
        let register = status.register.as_ref();
        let table = register.and_then(|it| it.table);
        let registered = table.map_or(overview.registered(), |it| it.sip + it.sccp);
        Self {
            mode: register.map_or(Mode::Off, |it| it.mode).as_str(),
            expected,
            registered,
            registered_share: share(registered, expected),
            booting: overview.booting(),
            silent: overview.stages.get(&Stage::Dhcp).copied().unwrap_or(0),
            stuck: overview.stuck.values().sum(),
            registered_sip: table.map_or(0, |it| it.sip),
            registered_sccp: table.map_or(0, |it| it.sccp),
            registered_limit: table.map_or(0, |it| it.limit),
            restored: table.map_or(0, |it| it.restored),
            unknown: devices.unknown,
            windows_open: devices.windows_open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarms::AlarmKind;
    use crate::stats::StageCounter;
    use tftp_ebpf::stage::Stage;

    #[test]
    fn the_kernels_share_is_of_tftp_alone_and_nobody_asking_is_no_fault() {
        let now = |xdp, tc, socket| {
            let mut reading = Sources::default().read();
            let (config, requests) = (Stage::Config as usize, StageCounter::Requests as usize);
            reading.kernel.xdp.stages[config][requests] = xdp;
            reading.kernel.tc.stages[config][requests] = tc;
            reading.socket.stages[config][requests] = socket;
            reading.http.traffic[0].tally.stages[config][requests] = 1000;
            Now::of(
                Status::new(&reading),
                &Overview::default(),
                SystemTime::now(),
            )
        };
        assert_eq!(now(0, 0, 0).kernel_share, 0.0);
        assert_eq!(now(60, 30, 10).kernel_share, 0.9);
        let shares: f64 = now(60, 30, 10).rungs.iter().map(|it| it.share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    }

    #[test]
    fn what_is_sent_every_second_is_bounded() {
        let sources = Sources::default();
        for at in 0..500 {
            let subject = format!("SEP{at:012X}.cnf.xml");
            sources
                .alarms
                .raise(AlarmKind::Generation, &subject, "broken");
        }
        let now = Now::new(&sources);
        assert_eq!((now.alarms.len(), now.alarms_count), (MAX_ALARMS, 500));
        let len = serde_json::to_string(&now).unwrap().len();
        assert!(len < 40_000, "{len} bytes");
    }
}
