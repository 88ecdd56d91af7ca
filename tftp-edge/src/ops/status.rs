//! What `tftp-edge status` tells: one structure for the control socket, JSON and people.

mod classified;
mod journal;
mod register;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tftp_ebpf::stage::Stage;

use super::exit::Exit;
use super::health::Check;
use super::log;
use super::reload;
use super::sources::Reading;
use crate::alarms::Alarm;
use crate::content::upstream;
use crate::http::Scheme;
use crate::journal::Cause;
use crate::kernel::{InterfaceStatus, Mode, PinsStatus};
use crate::service::capabilities;
use crate::stats::{Path, StageCounter, Tally};
pub use journal::Journal;
pub use register::{Register, Storm};

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

fn fmt_interface(out: &mut fmt::Formatter<'_>, interface: &InterfaceStatus) -> fmt::Result {
    write!(out, "  {}: ", interface.name)?;
    match interface.absent_seconds {
        Some(seconds) => write!(out, "absent for {}", duration(Duration::from_secs(seconds)))?,
        None => write!(out, "{}", interface.mode.as_str())?,
    }
    if !interface.members.is_empty() {
        write!(out, " on {}", interface.members.join(", "))?;
    }
    match &interface.problem {
        Some(problem) => writeln!(out, " ({problem})")?,
        None => writeln!(out)?,
    }
    match &interface.notice {
        Some(notice) => writeln!(out, "    note: {notice}"),
        None => Ok(()),
    }
}

/// The text for people.
impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.ready, self.is_degraded()) {
            (false, _) => "not ready",
            (true, true) => "serving, degraded",
            (true, false) => "serving",
        };
        writeln!(
            out,
            "tftp-edge {}, pid {}, up {}: {state}",
            self.version,
            self.pid,
            duration(Duration::from_secs(self.uptime_seconds))
        )?;
        for reason in &self.reasons {
            writeln!(out, "  {reason}")?;
        }

        writeln!(out, "\nkernel path: {}", self.kernel.mode.as_str())?;
        if let Some(problem) = &self.kernel.problem {
            writeln!(out, "  {problem}")?;
        }
        for interface in &self.kernel.interfaces {
            fmt_interface(out, interface)?;
        }
        let pins = &self.kernel.pins;
        if let Some(path) = &pins.path {
            let adopted = if pins.adopted {
                ", taken over from the daemon before"
            } else {
                ""
            };
            writeln!(out, "  pinned under {}{adopted}", path.display())?;
        }
        if let Some(problem) = &pins.problem {
            writeln!(out, "  {problem}")?;
        }
        if !self.sockets.is_empty() {
            writeln!(out, "sockets: {}", self.sockets.join(", "))?;
        }
        for (scheme, addresses) in [("HTTP", &self.http.http), ("HTTPS", &self.http.https)] {
            if !addresses.is_empty() {
                writeln!(out, "{scheme}: {}", addresses.join(", "))?;
            }
        }

        writeln!(
            out,
            "\n{:<8}{:>11}{:>11}{:>11}{:>9}{:>12}{:>9}{:>12}",
            "path", "requests", "complete", "not found", "failed", "blocks", "resent", "sent"
        )?;
        for rung in &self.rungs {
            writeln!(
                out,
                "{:<8}{:>11}{:>11}{:>11}{:>9}{:>12}{:>9}{:>12}",
                rung.path,
                rung.requests,
                rung.complete,
                rung.not_found,
                rung.failed,
                rung.blocks,
                rung.resent,
                size(rung.bytes)
            )?;
        }

        let transfers = &self.transfers;
        writeln!(
            out,
            "\ntransfers: {} of {} in the kernel, {} of {} on sockets",
            transfers.kernel, transfers.kernel_limit, transfers.socket, transfers.socket_limit
        )?;
        let http = &self.http;
        if http.connections_limit > 0 {
            let (open, limit) = (http.connections, http.connections_limit);
            writeln!(out, "HTTP connections: {open} of {limit}")?;
        }
        let files = &self.files;
        writeln!(
            out,
            "files: {} on disk, {} generated; {} of them in the kernel; {} names known to be absent",
            files.on_disk, files.generated, files.in_kernel, files.absent
        )?;
        if files.refused > 0 || files.clashes > 0 {
            writeln!(
                out,
                "  not served: {} names that must not be, {} that differ from another only in case",
                files.refused, files.clashes
            )?;
        }
        let devices = &self.devices;
        write!(out, "devices: {} SIP, {} SCCP", devices.sip, devices.sccp)?;
        if let Some(open) = devices.windows_open {
            write!(out, "; {open} of them may fetch their configuration now")?;
        }
        match devices.unknown {
            0 => writeln!(out)?,
            unknown => writeln!(
                out,
                "; {unknown} unknown ones asked (`tftp-edge phones unknown`)"
            )?,
        }
        self.fmt_stuck(out)?;
        self.fmt_upstream(out)?;
        if let Some(register) = &self.register {
            register.fmt(out)?;
        }
        self.journal.fmt(out)?;

        write!(out, "{}", self.configuration)?;
        if let Some(log) = &self.log {
            write!(out, "{log}")?;
        }

        if !self.alarms.is_empty() {
            writeln!(out, "\nalarms:")?;
        }
        for alarm in &self.alarms {
            let Alarm {
                kind,
                subject,
                problem,
                ..
            } = alarm;
            writeln!(out, "  {kind}: {subject}: {problem}")?;
        }
        Ok(())
    }
}

impl Status {
    fn fmt_stuck(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phones: u64 = self.stuck.values().sum();
        if phones == 0 {
            return Ok(());
        }
        let mut causes: Vec<_> = self.stuck.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let causes: Vec<_> = causes
            .iter()
            .map(|(it, count)| format!("{count} {it}"))
            .collect();
        let them = match phones {
            1 => "phone does",
            _ => "phones do",
        };
        writeln!(
            out,
            "{phones} {them} not get on: {} (`tftp-edge phones --stuck`)",
            causes.join(", ")
        )
    }

    fn fmt_upstream(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upstream = &self.upstream;
        if upstream.servers.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "upstream: {} files, {} of {}; {} names not there either",
            upstream.files,
            size(upstream.bytes),
            size(upstream.bytes_limit),
            upstream.absent
        )?;
        for server in &upstream.servers {
            let problem = server.problem.as_deref();
            writeln!(out, "  {}: {}", server.server, problem.unwrap_or("answers"))?;
        }
        Ok(())
    }
}

/// For people, in the two largest units.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} min")
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

/// For people, in steps of a thousand.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // 999.95 would be rounded to 1000.0 of the smaller unit.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::sources::Sources;

    fn serving(mode: Mode, problem: Option<&str>) -> Status {
        let mut reading = Sources::default().read();
        reading.uptime = Duration::from_secs(3_725);
        reading.sockets.bound = vec![([0, 0, 0, 0], 69).into()];
        reading.http.bound[0] = vec![([0, 0, 0, 0], 6970).into()];
        reading.http.connections_limit = 4_096;
        reading.content.settled = true;
        reading.content.on_disk = 12;
        reading.content.clashes = 1;
        reading.stuck = [(Cause::WrongModel, 2), (Cause::LoadMissing, 31)].into();
        reading.kernel.xdp.stages[Stage::Config as usize][StageCounter::Requests as usize] = 5_000;
        reading.kernel.xdp.stages[Stage::Trust as usize][StageCounter::Requests as usize] = 10_000;
        reading.kernel.xdp.stages[Stage::Config as usize][StageCounter::Bytes as usize] =
            31_234_567;
        reading.kernel.interfaces = vec![InterfaceStatus {
            problem: problem.map(str::to_owned),
            ..InterfaceStatus::new("eth0", mode)
        }];
        let mut status = Status::new(&reading);
        status.pid = 4711;
        status.version = "0.0.0".to_owned();
        status
    }

    #[test]
    fn the_exit_code_tells_whether_the_rung_asked_for_serves() {
        assert_eq!(serving(Mode::Xdp, None).exit(), Exit::Ok);
        // TC because TC was asked for is no problem.
        assert_eq!(serving(Mode::Tc, None).exit(), Exit::Ok);
        assert_eq!(serving(Mode::Tc, Some("no XDP")).exit(), Exit::Degraded);
        let starting = Status::new(&Sources::default().read());
        assert_eq!(starting.exit(), Exit::Temporary);
    }

    #[test]
    fn a_kernel_side_that_is_off_against_the_will_is_degraded() {
        let mut status = serving(Mode::Off, None);
        status.kernel.problem = Some("CAP_BPF is missing".to_owned());
        assert_eq!(status.exit(), Exit::Degraded);
    }

    #[test]
    fn the_text_for_people() {
        let problem = "no native XDP: the driver has no room; TC serves";
        insta::assert_snapshot!(serving(Mode::Tc, Some(problem)));
    }

    #[test]
    fn an_interface_that_is_not_there_is_told_with_the_time_it_is_missed() {
        let mut status = serving(Mode::Xdp, None);
        status.kernel.interfaces = vec![
            InterfaceStatus {
                problem: Some("there is no such interface".to_owned()),
                absent_seconds: Some(61),
                ..InterfaceStatus::new("eth1", Mode::Off)
            },
            InterfaceStatus {
                members: vec!["eth2".to_owned(), "eth3".to_owned()],
                notice: Some("has no carrier".to_owned()),
                ..InterfaceStatus::new("bond0", Mode::Xdp)
            },
        ];
        assert_eq!(status.exit(), Exit::Degraded);
        let text = status.to_string();
        let expected = "  eth1: absent for 1 min 1 s (there is no such interface)\n  \
                        bond0: xdp on eth2, eth3\n    note: has no carrier\n";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_notice_does_not_make_it_degraded() {
        let mut status = serving(Mode::Xdp, None);
        status.kernel.interfaces[0].notice = Some("has no carrier".to_owned());
        assert_eq!(status.exit(), Exit::Ok);
    }

    #[test]
    fn what_goes_over_the_socket_comes_back_the_same() {
        let json = serde_json::to_string(&serving(Mode::Xdp, None)).unwrap();
        let back: Status = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert!(json.contains(r#""mode":"xdp""#));
    }

    #[test]
    fn upstream_servers_stand_there_with_what_is_wrong_with_them() {
        let mut status = serving(Mode::Xdp, None);
        assert!(!status.to_string().contains("upstream"));
        let server = |server: &str, problem: Option<&str>| upstream::ServerSnapshot {
            server: server.to_owned(),
            is_up: problem.is_none(),
            problem: problem.map(str::to_owned),
            fetches: Default::default(),
        };
        status.upstream = upstream::Snapshot {
            servers: vec![
                server("http://10.1.1.10:6970", None),
                server("tftp://10.1.1.11:69", Some("does not answer")),
            ],
            files: 3,
            bytes: 70_000,
            bytes_limit: 268_435_456,
            absent: 2,
            ..upstream::Snapshot::default()
        };
        let text = status.to_string();
        assert!(
            text.contains(
                "upstream: 3 files, 70.0 kB of 268.4 MB; 2 names not there either\n  \
                 http://10.1.1.10:6970: answers\n  tftp://10.1.1.11:69: does not answer\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn sizes_and_times_are_readable() {
        for (bytes, text) in [
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_999, "1.0 MB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_725, "1 h 2 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
