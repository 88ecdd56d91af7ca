//! What the daemon may do, thread by thread.
//!
//! What is needed for what, tried out with a kernel where `kernel.unprivileged_bpf_disabled` is 2 and
//! a user of its own (Linux 6.18):
//!
//! | capability | without it |
//! |---|---|
//! | `CAP_NET_BIND_SERVICE` | ports below 1024 cannot be bound: no TFTP on port 69, and no start (77) |
//! | `CAP_NET_RAW` | no raw socket, by which the sweeper sends again what stalled: no kernel path |
//! | `CAP_BPF` | no map can be made: no kernel path |
//! | `CAP_PERFMON` | the verifier allows no subtraction of pointers: the programs are refused |
//! | `CAP_NET_ADMIN` | no program of these kinds can be loaded, nor attached |
//!
//! Not needed: `CAP_SYS_RESOURCE` (banks are accounted to the control group since Linux 5.11),
//! `CAP_SYS_ADMIN`, anything about files. With `CAP_NET_ADMIN` sockets may have larger buffers than
//! `net.core.rmem_max` (`SO_RCVBUFFORCE`); without it they have those.
//!
//! Capabilities belong to threads, not to the process: what one thread gives up, others keep, and a
//! new thread has those of the one that made it. So each thread puts down at its birth what its work
//! has no use for ([`settle`]), and the one that starts the daemon does so when all are started:
//!
//! | role | keeps | for |
//! |---|---|---|
//! | [`Role::Main`] | all five | a reload, traces (they load programs), and what is attached again |
//! | [`Role::Kernel`] | `NET_ADMIN` `BPF` `PERFMON` `NET_RAW` | interfaces that come back |
//! | [`Role::Content`] | `BPF` | banks of slabs, made when content grows |
//! | [`Role::Packets`] | `NET_BIND_SERVICE` | addresses that come later |
//! | [`Role::Plain`] | nothing | files, timers, the journal |
//!
//! With `kernel.keep_privileges = false` nobody keeps anything once the daemon is started. Banks are
//! then all made at the start. Before Linux 5.19 even writing to a map of one's own needs `CAP_BPF`:
//! there every thread keeps it, whatever the setting says.
//!
//! A daemon that root runs by hand keeps root's rights over files as well; a service user has none.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;
use std::time::Duration;

use caps::{CapSet, Capability, CapsHashSet};
use serde::{Deserialize, Serialize};

/// What the whole daemon needs: `CapabilityBoundingSet=` and `AmbientCapabilities=` of its unit.
pub const NEEDED: [Capability; 5] = [
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
];

/// Root's rights over files.
const OVER_FILES: [Capability; 4] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
];

/// The first kernel where a map's descriptor is enough to write to it.
const WRITES_BY_DESCRIPTOR: (u32, u32) = (5, 19);

const LONGEST_FOR_PACKETS: Duration = Duration::from_secs(10);
/// Twice the longest that a loop waits.
const SHORTEST_FOR_PACKETS: Duration = Duration::from_secs(2);
pub(super) const FOR_FILES: Duration = Duration::from_secs(60);

static PLAN: OnceLock<Plan> = OnceLock::new();

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Starts the others, and what can be asked of the daemon later.
    Main,
    /// Works on the programs in the kernel.
    Kernel,
    /// Publishes content.
    Content,
    /// Moves packets.
    Packets,
    /// All the rest.
    Plain,
}

impl Role {
    #[cfg(test)]
    const ALL: [Self; 5] = [
        Self::Main,
        Self::Kernel,
        Self::Content,
        Self::Packets,
        Self::Plain,
    ];

    /// How long one round of its loop may take. Who reads files waits for a disk that may be on
    /// another host; nobody waits that long for a packet, and even less where the service manager
    /// wants a sign of life more often.
    pub fn patience(self, watchdog: Option<Duration>) -> Duration {
        match self {
            Self::Packets | Self::Kernel | Self::Main => watchdog
                .map_or(LONGEST_FOR_PACKETS, |it| {
                    it.clamp(SHORTEST_FOR_PACKETS, LONGEST_FOR_PACKETS)
                }),
            Self::Content | Self::Plain => FOR_FILES,
        }
    }

    const fn needs(self) -> &'static [Capability] {
        match self {
            Self::Main => &NEEDED,
            Self::Kernel => &[
                Capability::CAP_NET_RAW,
                Capability::CAP_NET_ADMIN,
                Capability::CAP_BPF,
                Capability::CAP_PERFMON,
            ],
            Self::Content => &[Capability::CAP_BPF],
            Self::Packets => &[Capability::CAP_NET_BIND_SERVICE],
            Self::Plain => &[],
        }
    }
}

/// What holds for this process.
#[derive(Clone, Copy, Debug)]
struct Plan {
    keeps: bool,
    is_root: bool,
    /// The kernel lets who has a map's descriptor write to it.
    writes_by_descriptor: bool,
}

impl Plan {
    fn allowed(self, role: Role) -> CapsHashSet {
        let mut allowed = CapsHashSet::new();
        if self.keeps {
            allowed.extend(role.needs());
        }
        if !self.writes_by_descriptor {
            allowed.insert(Capability::CAP_BPF);
        }
        if self.is_root {
            allowed.extend(OVER_FILES);
        }
        allowed
    }
}

/// What the beginning of the daemon does, before there is a second thread: no program that it could
/// start would have any of its capabilities, and from here on [`settle`] has an effect. `keeps` is
/// `kernel.keep_privileges`.
pub fn confine(keeps: bool) {
    let plan = Plan {
        keeps,
        is_root: nix::unistd::geteuid().is_root(),
        writes_by_descriptor: release().is_none_or(|it| it >= WRITES_BY_DESCRIPTOR),
    };
    // A second time changes nothing.
    let _ = PLAN.set(plan);
    if !keeps && !plan.writes_by_descriptor {
        tracing::warn!(
            event = "service.bpf_kept",
            "kernel.keep_privileges = false: CAP_BPF is kept all the same, this kernel needs it for \
             every write to a map (until Linux 5.19)"
        );
    }
    let cleared = caps::clear(None, CapSet::Ambient)
        .and_then(|()| caps::clear(None, CapSet::Inheritable))
        .and_then(|()| bound());
    if let Err(error) = cleared {
        tracing::warn!(event = "service.not_confined", %error, role = ?Role::Main, "privileges that are not needed could not be given up");
    }
}

/// Cuts the bounding set, where we may: without `CAP_SETPCAP` the service manager has done it.
fn bound() -> Result<(), caps::errors::CapsError> {
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        return Ok(());
    }
    let needed: HashSet<_> = NEEDED.into_iter().chain(OVER_FILES).collect();
    let bounding = caps::read(None, CapSet::Bounding)?;
    bounding
        .difference(&needed)
        .try_for_each(|&it| caps::drop(None, CapSet::Bounding, it))
}

/// Gives up, for this thread and those it makes, what `role` has no use for. Nothing happens before
/// [`confine`], as in tests.
pub fn settle(role: Role) {
    let Some(plan) = PLAN.get() else {
        return;
    };
    if let Err(error) = lower_to(&plan.allowed(role)) {
        tracing::warn!(event = "service.not_confined", %error, ?role, "privileges that are not needed could not be given up");
    }
}

fn lower_to(allowed: &CapsHashSet) -> Result<(), caps::errors::CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let left: CapsHashSet = permitted.intersection(allowed).copied().collect();
    // In this order: what is effective must be permitted.
    caps::set(None, CapSet::Effective, &left)?;
    caps::set(None, CapSet::Permitted, &left)
}

/// Runs `start` on a thread that may do nothing, so that threads it makes have nothing either: for
/// libraries that make threads of their own.
pub fn without<T: Send>(start: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            settle(Role::Plain);
            start()
        });
        match thread.join() {
            Ok(started) => started,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Whether privileges were given up that a daemon which keeps them would have.
pub fn are_given_up() -> bool {
    PLAN.get().is_some_and(|plan| !plan.keeps)
}

/// Major and minor number of the kernel that runs.
pub fn release() -> Option<(u32, u32)> {
    let name = nix::sys::utsname::uname().ok()?;
    numbers(name.release().to_str()?)
}

/// `6.1.0-13-amd64` is (6, 1).
pub fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|it: char| !it.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The sets, for `status --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// `kernel.keep_privileges`.
    pub kept: bool,
    pub bounding: Vec<String>,
    /// Threads by what they may do, such as `CAP_BPF CAP_NET_ADMIN`, or `none`.
    pub threads: BTreeMap<String, Vec<String>>,
    /// Sockets that the service manager has opened for us.
    pub sockets: usize,
}

/// How it is now.
pub fn report() -> Report {
    let mut report = Report {
        kept: !are_given_up(),
        sockets: super::sockets::count(),
        ..Report::default()
    };
    let of_process = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    report.bounding = names(set_in(&of_process, "CapBnd:"));
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten() {
        // One that ends meanwhile is not there any more.
        let status = task.and_then(|it| std::fs::read_to_string(it.path().join("status")));
        let Ok(status) = status else {
            continue;
        };
        let set = match names(set_in(&status, "CapPrm:")) {
            none if none.is_empty() => "none".to_owned(),
            some => some.join(" "),
        };
        let name = status.lines().find_map(|it| it.strip_prefix("Name:"));
        let name = name.unwrap_or_default().trim().to_owned();
        report.threads.entry(set).or_default().push(name);
    }
    report
        .threads
        .values_mut()
        .for_each(|it| it.sort_unstable());
    report
}

/// A set of `/proc/PID/status`.
pub fn set_in(status: &str, key: &str) -> u64 {
    let set = status.lines().find_map(|it| it.strip_prefix(key));
    set.and_then(|it| u64::from_str_radix(it.trim(), 16).ok())
        .unwrap_or(0)
}

fn names(set: u64) -> Vec<String> {
    let mut names: Vec<_> = caps::all()
        .into_iter()
        .filter(|it| set & it.bitmask() != 0)
        .map(|it| it.to_string())
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPS: Plan = Plan {
        keeps: true,
        is_root: false,
        writes_by_descriptor: true,
    };

    fn allowed(plan: Plan, role: Role) -> String {
        let set = plan.allowed(role).iter().map(Capability::bitmask).sum();
        names(set).join(" ")
    }

    #[test]
    fn a_thread_keeps_what_its_role_needs_and_nothing_else() {
        assert_eq!(
            allowed(KEEPS, Role::Kernel),
            "CAP_BPF CAP_NET_ADMIN CAP_NET_RAW CAP_PERFMON"
        );
        assert_eq!(allowed(KEEPS, Role::Content), "CAP_BPF");
        assert_eq!(allowed(KEEPS, Role::Packets), "CAP_NET_BIND_SERVICE");
        assert_eq!(allowed(KEEPS, Role::Plain), "");
        // Who makes the others has what any of them has.
        for role in Role::ALL {
            assert!(KEEPS.allowed(role).is_subset(&KEEPS.allowed(Role::Main)));
        }
        assert_eq!(KEEPS.allowed(Role::Main), NEEDED.into_iter().collect());
    }

    #[test]
    fn given_up_is_given_up_but_for_what_an_old_kernel_wants() {
        let gives_up = Plan {
            keeps: false,
            ..KEEPS
        };
        let old = Plan {
            writes_by_descriptor: false,
            ..gives_up
        };
        for role in Role::ALL {
            assert_eq!(allowed(gives_up, role), "");
            assert_eq!(allowed(old, role), "CAP_BPF");
        }
    }

    #[test]
    fn root_keeps_its_rights_over_files() {
        let root = Plan {
            is_root: true,
            ..KEEPS
        };
        assert_eq!(
            allowed(root, Role::Plain),
            "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER"
        );
    }

    #[test]
    fn a_short_watchdog_makes_impatient_with_packets_and_not_with_files() {
        let seconds = Duration::from_secs;
        for (watchdog, packets) in [(None, 10), (Some(30), 10), (Some(3), 3), (Some(1), 2)] {
            let watchdog = watchdog.map(seconds);
            assert_eq!(Role::Packets.patience(watchdog), seconds(packets));
            assert_eq!(Role::Content.patience(watchdog), seconds(60));
        }
    }

    /// On a thread of its own: what is given up does not come back.
    #[test]
    fn what_is_given_up_is_gone_from_this_thread_and_those_it_makes() {
        let before = caps::read(None, CapSet::Permitted).unwrap();
        let raw = HashSet::from([Capability::CAP_NET_RAW]);
        let has = move || {
            lower_to(&raw).unwrap();
            let of_child = std::thread::spawn(|| caps::read(None, CapSet::Effective).unwrap());
            let own = caps::read(None, CapSet::Effective).unwrap();
            (own, of_child.join().unwrap())
        };
        let (own, of_child) = std::thread::spawn(has).join().unwrap();
        // Without root there was nothing to give up.
        let raw = HashSet::from([Capability::CAP_NET_RAW]);
        let expected: CapsHashSet = before.intersection(&raw).copied().collect();
        assert_eq!(own, expected);
        assert_eq!(of_child, expected);
        assert_eq!(caps::read(None, CapSet::Permitted).unwrap(), before);
    }

    #[test]
    fn a_release_is_read_whatever_stands_behind_it() {
        assert_eq!(numbers("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(numbers("5.15.0"), Some((5, 15)));
        assert_eq!(numbers("6.18-rc1"), Some((6, 18)));
        assert_eq!(numbers("unknown"), None);
    }

    #[test]
    fn the_report_has_every_thread() {
        let name = || "reported".to_owned();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(name());
        // A thread gives itself its name.
        let work = move || {
            begin.send(()).unwrap();
            ended.recv()
        };
        let thread = thread.spawn(work).unwrap();
        begun.recv().unwrap();
        let report = report();
        let threads: Vec<_> = report.threads.values().flatten().collect();
        assert!(threads.contains(&&name()), "{threads:?}");
        drop(end);
        assert!(thread.join().unwrap().is_err());
    }
}
