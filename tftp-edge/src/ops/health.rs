//! Health: every check by its name, whether it is well, and since when.
//!
//! A check is `ok`, `degraded` (served, but not as was asked for) or `failed`. `/readyz` and `status`
//! go by the checks of the parts, `/livez` by those of the loops, `/healthz` by both. Degraded is
//! ready: a daemon whose kernel path is missing serves over its sockets, and taking it out of service
//! would help nobody.

use std::collections::HashMap;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::sources::Reading;
use super::status::Register;
use super::web::grouped;
use crate::journal::unix_ms;
use crate::service::pulse::LoopStatus;
use crate::tftp::Workers;

/// More than there are parts and loops at a time.
const REMEMBERED: usize = 1_024;

/// How a check has come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    Degraded,
    Failed,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// What a check has found now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub name: String,
    pub state: State,
    /// What is wrong and what to do, a line each.
    pub problems: Vec<String>,
}

impl Verdict {
    /// Well, unless there are problems.
    fn new(name: impl Into<String>, otherwise: State, problems: Vec<String>) -> Self {
        let state = match problems.is_empty() {
            true => State::Ok,
            false => otherwise,
        };
        Self {
            name: name.into(),
            state,
            problems,
        }
    }
}

/// A check as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub state: State,
    /// What is wrong and what to do, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Since when it is in this state, as far as anybody has looked: every ten seconds at least.
    pub since_ms: u64,
}

/// Remembers since when each check is as it is.
#[derive(Debug, Default)]
pub struct Health {
    since: Mutex<HashMap<String, (State, u64)>>,
}

impl Health {
    /// The checks of these verdicts. A loop that has ended is remembered until there are too many.
    pub fn note(&self, verdicts: Vec<Verdict>, now: SystemTime) -> Vec<Check> {
        let now_ms = unix_ms(now);
        let mut since = self.since.lock();
        if since.len() > REMEMBERED {
            since.retain(|name, _| verdicts.iter().any(|it| it.name == *name));
        }
        let note = |it: Verdict| {
            let same = since.get(&it.name).filter(|(state, _)| *state == it.state);
            let since_ms = same.map_or(now_ms, |(_, since_ms)| *since_ms);
            since.insert(it.name.clone(), (it.state, since_ms));
            Check {
                name: it.name,
                state: it.state,
                problems: it.problems,
                since_ms,
            }
        };
        verdicts.into_iter().map(note).collect()
    }
}

/// Whether the parts can serve.
pub fn parts(reading: &Reading) -> Vec<Verdict> {
    let ended = |count: usize, what: &str| {
        let told = || format!("{count} {what} have ended; the log says why, restart the daemon");
        (count > 0).then(told)
    };
    let all = |problems: &[Option<String>]| problems.iter().flatten().cloned().collect();
    let no_socket = reading.sockets.bound.is_empty();
    let unsettled = !reading.content.settled;
    let Workers {
        all: workers,
        ended: gone,
    } = reading.sockets.workers;
    let (sccp, sip) = (&reading.register.sccp, &reading.register.sip);
    let threads = reading.content.ended.iter().chain(&reading.register.ended);
    let threads = threads.map(|thread| {
        format!("the {thread} thread has ended; the log says why, restart the daemon")
    });
    vec![
        Verdict::new(
            "sockets",
            State::Failed,
            all(&[no_socket.then(|| "no TFTP socket is bound".to_owned())]),
        ),
        Verdict::new(
            "content",
            State::Failed,
            all(&[unsettled.then(|| "the content is still being read".to_owned())]),
        ),
        Verdict::new(
            "tftp",
            State::Failed,
            all(&[ended(gone, &format!("of {workers} TFTP workers"))]),
        ),
        Verdict::new(
            "http",
            State::Failed,
            all(&[ended(reading.http.listeners_ended, "HTTP listeners")]),
        ),
        Verdict::new(
            "registrars",
            State::Failed,
            all(&[
                ended(sccp.listeners_ended, "SCCP listeners"),
                ended(sip.ended, "SIP workers and listeners"),
            ]),
        ),
        Verdict::new("threads", State::Failed, threads.collect()),
        Verdict::new("kernel", State::Degraded, kernel_problems(reading)),
    ]
}

/// Why a rung that was asked for does not serve.
fn kernel_problems(reading: &Reading) -> Vec<String> {
    let kernel = &reading.kernel;
    let of_interfaces = kernel.interfaces.iter().filter_map(|it| {
        let problem = it.problem.as_ref()?;
        Some(format!("{}: {problem}", it.name))
    });
    kernel
        .problem
        .iter()
        .cloned()
        .chain(of_interfaces)
        .collect()
}

/// Whether the loops go round.
pub fn loops(loops: &[LoopStatus]) -> Vec<Verdict> {
    let verdict = |it: &LoopStatus| {
        let problems = it.problem().into_iter().collect();
        Verdict::new(format!("loop {}", it.name), State::Failed, problems)
    };
    loops.iter().map(verdict).collect()
}

/// What the daemon does, in one line for `systemctl status`.
pub fn line(reading: &Reading) -> String {
    let devices = reading.devices.sip + reading.devices.sccp;
    let them = match devices {
        1 => "device",
        _ => "devices",
    };
    let mut line = format!("serving {} {them}", grouped(devices));
    let notice = Register::new(reading).and_then(|it| it.notice());
    let problem = kernel_problems(reading).into_iter().next();
    // Its first line: what the verifier said has hundreds.
    let problem = problem.as_deref().and_then(|it| it.lines().next());
    let problem = problem.map(|it| format!("kernel path: {it}"));
    for more in notice.into_iter().chain(problem) {
        line = format!("{line}; {more}");
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kernel::{InterfaceStatus, Mode};
    use crate::ops::sources::Sources;
    use crate::ops::status::Status;

    fn verdict(name: &str, state: State) -> Verdict {
        Verdict {
            name: name.to_owned(),
            state,
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_check_keeps_its_time_until_its_state_changes() {
        let (health, begun) = (Health::default(), SystemTime::now());
        let since = |seconds: u64, state| {
            let now = begun + Duration::from_secs(seconds);
            let checks = health.note(vec![verdict("kernel", state)], now);
            (checks[0].since_ms - unix_ms(begun)) / 1000
        };
        assert_eq!(since(0, State::Ok), 0);
        assert_eq!(since(10, State::Ok), 0);
        assert_eq!(since(20, State::Degraded), 20);
        assert_eq!(since(30, State::Degraded), 20);
        assert_eq!(since(40, State::Ok), 40);
    }

    #[test]
    fn what_is_not_checked_any_more_is_forgotten() {
        let (health, now) = (Health::default(), SystemTime::now());
        for number in 0..10 * REMEMBERED {
            health.note(vec![verdict(&format!("loop {number}"), State::Ok)], now);
        }
        assert!(health.since.lock().len() <= REMEMBERED + 1);
    }

    #[test]
    fn a_kernel_path_that_was_asked_for_and_is_missing_degrades() {
        let mut reading = Sources::default().read();
        let kernel = |reading: &Reading| parts(reading).into_iter().find(|it| it.name == "kernel");
        assert_eq!(kernel(&reading).unwrap().state, State::Ok);
        reading.kernel.interfaces.push(InterfaceStatus {
            problem: Some("native XDP: no room".to_owned()),
            ..InterfaceStatus::new("eth0", Mode::Tc)
        });
        let found = kernel(&reading).unwrap();
        assert_eq!(found.state, State::Degraded);
        assert_eq!(found.problems, ["eth0: native XDP: no room"]);
        // And that alone is no reason not to be ready.
        let reasons = reading.not_ready();
        assert!(!reasons.iter().any(|it| it.contains("XDP")), "{reasons:?}");
    }

    /// A daemon with which all is well.
    fn ready() -> Reading {
        let mut reading = Sources::default().read();
        reading.sockets.bound = vec![([127, 0, 0, 1], 69).into()];
        reading.content.settled = true;
        reading.loops.clear();
        reading
    }

    fn looping(is_stuck: bool, has_panicked: bool) -> LoopStatus {
        LoopStatus {
            name: "curator".to_owned(),
            idle_ms: 12_345,
            is_stuck,
            has_panicked,
            waits_for_disks: false,
        }
    }

    /// A row of the table in `contrib/service.md`, and what provokes it.
    type Reason = (
        &'static str,
        State,
        &'static str,
        &'static str,
        fn(&mut Reading),
    );

    const REASONS: [Reason; 10] = [
        (
            "sockets",
            State::Failed,
            "no TFTP socket is bound",
            "no TFTP socket is bound",
            |it| it.sockets.bound.clear(),
        ),
        (
            "content",
            State::Failed,
            "the content is still being read",
            "the content is still being read",
            |it| it.content.settled = false,
        ),
        (
            "tftp",
            State::Failed,
            "… of … TFTP workers have ended",
            "1 of 4 TFTP workers have ended",
            |it| it.sockets.workers = Workers { all: 4, ended: 1 },
        ),
        (
            "http",
            State::Failed,
            "… HTTP listeners have ended",
            "2 HTTP listeners have ended",
            |it| it.http.listeners_ended = 2,
        ),
        (
            "registrars",
            State::Failed,
            "… SCCP listeners have ended",
            "1 SCCP listeners have ended",
            |it| it.register.sccp.listeners_ended = 1,
        ),
        (
            "registrars",
            State::Failed,
            "… SIP workers and listeners have ended",
            "3 SIP workers and listeners have ended",
            |it| it.register.sip.ended = 3,
        ),
        (
            "threads",
            State::Failed,
            "the … thread has ended",
            "the curator thread has ended",
            |it| it.content.ended = vec!["curator"],
        ),
        (
            "kernel",
            State::Degraded,
            "why nothing is attached: a capability, a lock, the interface",
            "CAP_BPF is missing",
            |it| it.kernel.problem = Some("CAP_BPF is missing".to_owned()),
        ),
        (
            "loop …",
            State::Failed,
            "… has not gone round for … s",
            "curator has not gone round for 12 s",
            |it| it.loops = vec![looping(true, false)],
        ),
        (
            "loop …",
            State::Failed,
            "… has panicked",
            "curator has panicked",
            |it| it.loops = vec![looping(false, true)],
        ),
    ];

    #[test]
    fn every_reason_of_the_document_is_told_by_its_check_alone_in_health_and_in_status() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/service.md");
        let document = std::fs::read_to_string(file).unwrap();
        let table = document
            .split("| check | state | says |\n|---|---|---|\n")
            .nth(1);
        let table = table.unwrap().split("\n\n").next().unwrap();
        let rows = REASONS
            .map(|(check, state, says, ..)| format!("| `{check}` | {} | {says} |", state.as_str()));
        assert_eq!(table.trim_end().lines().collect::<Vec<_>>(), rows);

        let well = ready();
        assert!(well.checks().iter().all(|it| it.state == State::Ok));
        assert!(Status::new(&well).ready);
        for (check, state, _, problem, provoke) in REASONS {
            let mut reading = ready();
            provoke(&mut reading);
            let name = check.replace('…', "curator");
            let amiss = |checks: Vec<Check>| {
                let mut amiss = checks.into_iter().filter(|it| it.state != State::Ok);
                let only = amiss
                    .next()
                    .unwrap_or_else(|| panic!("{check}: all is well"));
                assert_eq!(amiss.next(), None, "{check}");
                only
            };
            let status = Status::new(&reading);
            let is_of_parts = !check.starts_with("loop");
            assert_eq!(status.ready, state != State::Failed || !is_of_parts);
            for told in [amiss(reading.checks()), amiss(status.checks)] {
                assert_eq!((&*told.name, told.state), (&*name, state));
                assert!(told.problems[0].starts_with(problem), "{:?}", told.problems);
            }
            let reasons = reading.not_ready();
            let is_reason = state == State::Failed && is_of_parts;
            assert_eq!(reasons.len(), usize::from(is_reason), "{reasons:?}");
        }
    }

    #[test]
    fn the_line_says_what_is_served_and_what_is_the_matter() {
        let mut reading = Sources::default().read();
        reading.devices.sip = 4_000;
        reading.devices.sccp = 1_000;
        assert_eq!(line(&reading), "serving 5,000 devices");
        reading.kernel.problem = Some("CAP_BPF is missing\nmore".to_owned());
        assert_eq!(
            line(&reading),
            "serving 5,000 devices; kernel path: CAP_BPF is missing"
        );
        reading.devices = Default::default();
        reading.devices.sip = 1;
        assert!(line(&reading).starts_with("serving 1 device;"));
    }
}
