//! What `tftp-edge status` tells: one structure for the control socket, JSON and people.

mod classified;
mod journal;
mod register;
mod text;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tftp_ebpf::stage::Stage;

use super::exit::Exit;
use super::health::Check;
use super::sources::Reading;
use super::{log, reload};
use crate::alarms::Alarm;
use crate::content::upstream;
use crate::http::Scheme;
use crate::journal::Cause;
use crate::kernel::{InterfaceStatus, Mode, PinsStatus};
use crate::service::capabilities;
use crate::stats::{Path, StageCounter, Tally};

pub use journal::Journal;
pub use register::{Register, Storm};
pub(super) use units::{duration, size};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_seconds: u64,
    pub ready: bool,
    /// Why it is not ready.
    pub reasons: Vec<String>,
    pub kernel: Kernel,
    /// Request sockets that are bound, as `address:port`.
    pub sockets: Vec<String>,
    pub http: Http,
    pub transfers: Transfers,
    /// One for each rung of the ladder, the fastest first, then HTTP and HTTPS.
    pub rungs: Vec<Served>,
    pub files: Files,
    pub upstream: upstream::Snapshot,
    pub devices: Devices,
    /// Phones that do not get on, by cause; those that there are.
    #[serde(default)]
    pub stuck: BTreeMap<Cause, u64>,
    /// None where phones do not register.
    pub register: Option<Register>,
    pub journal: Journal,
    pub alarms: Vec<Alarm>,
    /// None if it is as the configuration says.
    #[serde(default)]
    pub log: Option<log::Now>,
    /// Every check of `/healthz`.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// What the daemon may do.
    #[serde(default)]
    pub privileges: capabilities::Report,
    /// The settings in force.
    #[serde(default)]
    pub configuration: reload::Snapshot,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kernel {
    /// The best rung over all interfaces.
    pub mode: Mode,
    /// Why the kernel side is off altogether.
    pub problem: Option<String>,
    pub interfaces: Vec<InterfaceStatus>,
    /// Whether it goes on while the daemon is restarted.
    #[serde(default)]
    pub pins: PinsStatus,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transfers {
    pub kernel: u64,
    pub kernel_limit: u64,
    pub socket: u64,
    pub socket_limit: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Http {
    /// Addresses connections are taken on, as `address:port`.
    pub http: Vec<String>,
    pub https: Vec<String>,
    /// Open now, HTTPS included, and the most there may be.
    pub connections: u64,
    pub connections_limit: u64,
}

/// What one rung, or HTTP, has done since the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Served {
    /// `xdp`, `tc`, `socket`, `http` or `https`.
    pub path: String,
    pub requests: u64,
    pub complete: u64,
    pub not_found: u64,
    pub failed: u64,
    pub blocks: u64,
    pub bytes: u64,
    pub resent: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Files {
    pub on_disk: u64,
    pub generated: u64,
    /// Of these two, in the kernel.
    pub in_kernel: u64,
    /// Names that are known to be absent.
    pub absent: u64,
    /// Names on disk that must not be served.
    pub refused: u64,
    /// Files left out because their name differs from another one's only in case.
    pub clashes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Devices {
    pub sip: u64,
    pub sccp: u64,
    /// Devices that asked and that nobody knows.
    pub unknown: u64,
    /// Devices that may fetch their configuration; none if all may, always.
    pub windows_open: Option<u64>,
}

impl Status {
    pub fn new(reading: &Reading) -> Self {
        let (kernel, content) = (&reading.kernel, &reading.content);
        let reasons = reading.not_ready();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: reading.uptime.as_secs(),
            ready: reasons.is_empty(),
            reasons,
            kernel: Kernel {
                mode: kernel.mode(),
                problem: kernel.problem.clone(),
                interfaces: kernel.interfaces.clone(),
                pins: kernel.pins.clone(),
            },
            sockets: told(&reading.sockets.bound),
            http: Http::new(&reading.http),
            transfers: Transfers {
                kernel: kernel.transfers,
                kernel_limit: kernel.transfers_limit,
                socket: reading.sockets.transfers,
                socket_limit: reading.sockets.transfers_limit,
            },
            rungs: Path::ALL
                .iter()
                .map(|&path| Served::new(path, &reading.served(path)))
                .collect(),
            files: Files {
                on_disk: content.on_disk,
                generated: content.generated,
                in_kernel: kernel.files,
                absent: content.absent,
                refused: content.refused,
                clashes: content.clashes,
            },
            upstream: reading.upstream.clone(),
            devices: Devices {
                sip: reading.devices.sip,
                sccp: reading.devices.sccp,
                unknown: reading.devices.unknown,
                windows_open: reading.devices.windows_open,
            },
            stuck: reading.stuck.clone(),
            register: Register::new(reading),
            journal: Journal::new(reading),
            alarms: reading.alarms.list(),
            log: Some(&reading.log).filter(|it| it.differs()).cloned(),
            checks: reading.checks(),
            privileges: capabilities::report(),
            configuration: reading.configuration.clone(),
        }
    }

    /// A better rung was asked for than the one that serves. The kernel side reports a problem
    /// exactly where that is so.
    pub fn is_degraded(&self) -> bool {
        let kernel = &self.kernel;
        kernel.problem.is_some() || kernel.interfaces.iter().any(|each| each.problem.is_some())
    }

    /// How `tftp-edge status` ends.
    pub fn exit(&self) -> Exit {
        if !self.ready {
            Exit::Temporary
        } else if self.is_degraded() {
            Exit::Degraded
        } else {
            Exit::Ok
        }
    }
}

fn told(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

impl Http {
    fn new(http: &crate::http::Snapshot) -> Self {
        Self {
            http: told(&http.bound[Scheme::Http as usize]),
            https: told(&http.bound[Scheme::Https as usize]),
            connections: http.traffic.iter().map(|of| of.connections).sum(),
            connections_limit: http.connections_limit,
        }
    }
}

impl Served {
    fn new(path: Path, tally: &Tally) -> Self {
        let total = |counter| {
            let counts = Stage::ALL.iter().map(|&stage| tally.stage(stage, counter));
            counts.sum()
        };
        let turned_away = tally.outcomes.iter().flatten();
        Self {
            path: path.as_str().to_owned(),
            requests: total(StageCounter::Requests),
            complete: total(StageCounter::Complete),
            not_found: total(StageCounter::NotFound),
            failed: total(StageCounter::Aborted) + turned_away.sum::<u64>(),
            blocks: total(StageCounter::Blocks),
            bytes: total(StageCounter::Bytes),
            resent: total(StageCounter::Resent),
        }
    }
}

#[cfg(test)]
mod tests;
