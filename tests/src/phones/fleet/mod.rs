//! Thousands of phones on a few threads: one epoll loop each, one socket for each file under way, or
//! one connection for each phone.

mod connection;
mod files;
mod line;
mod register;
mod slots;

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::registration::Habits;
use super::{Oracle, PhoneSpec, Progress, Report};
use crate::client::Retry;
use crate::server::Place;
use slots::Loop;

/// How a fleet boots.
#[derive(Clone, Copy, Debug)]
pub struct FleetOptions {
    pub server: SocketAddr,
    /// Where phones of newer families ask first, over HTTP.
    pub http: Option<SocketAddr>,
    pub retry: Retry,
    /// Files that time out may be asked for again so often in a boot.
    pub second_tries: u32,
    /// The power comes back to all phones within this time.
    pub ramp: Duration,
    /// What has not booted by then has failed.
    pub limit: Duration,
    pub threads: usize,
    /// Phones that have booted register, and that only is the end of it.
    pub registration: Option<Registering>,
}

/// How a fleet registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registering {
    pub habits: Habits,
    /// At the end phones unregister in order; else their power is cut.
    pub says_farewell: bool,
}

impl FleetOptions {
    /// All at once, on all cores, within five minutes.
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            http: None,
            retry: Retry::default(),
            second_tries: 3,
            ramp: Duration::ZERO,
            limit: Duration::from_secs(300),
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            registration: None,
        }
    }
}

/// Phones on one thread: each thread has a table of open files of its own, since the system may allow
/// one table fewer than there are phones.
const PHONES_A_TABLE: usize = 5000;

/// Phones that will boot.
#[derive(Clone, Copy)]
pub struct Fleet<'site> {
    pub phones: &'site [PhoneSpec],
    pub oracle: &'site dyn Oracle,
    pub options: FleetOptions,
}

/// What the threads of a fleet know of each other.
#[derive(Debug)]
struct Shared {
    started: Instant,
    /// Phones that are neither registered nor failed.
    unsettled: AtomicUsize,
    /// Phones stay on while this is set, if they stay on at all.
    stays: AtomicBool,
    is_stay: bool,
}

impl Fleet<'_> {
    /// Boots all of them from `place`, and returns when the last one is done, the limit has passed,
    /// or the run was interrupted.
    pub fn boot(&self, place: Place<'_>, progress: &Progress) -> Result<Report> {
        self.run(place, progress, None::<fn() -> Result<()>>)
            .map(|(report, _)| report)
    }

    /// As [`boot`](Self::boot), but phones that are registered stay so, on threads of their own,
    /// until `meanwhile` has returned. Those that are not registered then have failed.
    pub fn stay<T>(
        &self,
        place: Place<'_>,
        progress: &Progress,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<(Report, T)> {
        let (report, told) = self.run(place, progress, Some(meanwhile))?;
        Ok((report, told.context("what was to be done meanwhile was")?))
    }

    fn run<T>(
        &self,
        place: Place<'_>,
        progress: &Progress,
        meanwhile: Option<impl FnOnce() -> Result<T>>,
    ) -> Result<(Report, Option<T>)> {
        let shared = Shared {
            started: Instant::now(),
            unsettled: AtomicUsize::new(self.phones.len()),
            stays: AtomicBool::new(true),
            is_stay: meanwhile.is_some(),
        };
        let shared = &shared;
        let tables = self.phones.len().div_ceil(PHONES_A_TABLE);
        let threads = self.options.threads.max(tables).max(1);
        let share = self.phones.len().div_ceil(threads).max(1);
        // A phone that falls back has a socket beside its connection.
        raise_open_files(share as u64 * 2 + 256)?;
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .phones
                .chunks(share)
                .enumerate()
                .map(|(index, phones)| {
                    let first = index * share;
                    scope.spawn(move || {
                        place.enter_thread()?;
                        unshare(CloneFlags::CLONE_FILES).context("having open files of its own")?;
                        Loop::new(self, phones, first, shared, progress)?.run()
                    })
                })
                .collect();
            let told = {
                // Also when it panics: the scope waits for the phones.
                let _end = EndsStay(&shared.stays);
                meanwhile.map(|work| work()).transpose()
            };
            let mut report = Report::new();
            for thread in threads {
                let part = thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                report.merge(part);
            }
            Ok((report, told?))
        })
    }
}

struct EndsStay<'s>(&'s AtomicBool);

impl Drop for EndsStay<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// One socket for each phone under way is more than most shells allow.
fn raise_open_files(wanted: u64) -> Result<()> {
    let allowed = try_open_files(wanted)?;
    ensure!(
        allowed >= wanted,
        "{wanted} open files are needed and {allowed} allowed: raise `ulimit -n`, or boot fewer phones"
    );
    Ok(())
}

/// Has this process, and those it starts, have so many open files, or as many as the system allows.
/// Returns how many that is.
pub fn try_open_files(wanted: u64) -> Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_ok() {
        return Ok(wanted);
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit on open files")?;
    Ok(hard)
}
