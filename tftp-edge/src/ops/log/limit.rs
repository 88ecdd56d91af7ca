//! Holds repeated warnings back: an event that comes again and again is logged a few times, and
//! then one line says how often it came.
//!
//! One callsite may log [`BURST`] lines in a [`WINDOW`] that begins with the first of them. The
//! account of a callsite is a row of atomics in a table of fixed size, so that a warning costs two
//! of them and no lock, however many threads warn at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};

/// Lines of one callsite in a window.
pub(super) const BURST: u64 = 10;
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Callsites at warn or error with an account of their own. The daemon has fewer than a hundred;
/// those over the bound share one.
const CALLSITES: usize = 256;
/// Of the line that says what was held back: never held back itself.
pub(super) const TARGET: &str = "tftp_edge::ops::log::limit";

/// Bits of a window's word for the count of its lines; above them is when it began.
const COUNT_BITS: u32 = 24;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

#[derive(Debug)]
pub(super) struct Limiter {
    accounts: Box<[Account]>,
    shared: Account,
}

/// Of one callsite.
#[derive(Debug, Default)]
struct Account {
    /// Who it belongs to; unset while it is free.
    owner: OnceLock<Identifier>,
    /// When the window began in milliseconds, plus one so that 0 is none; and its lines.
    window: AtomicU64,
    /// Held back in the window.
    held: AtomicU64,
    /// Held back in windows before it, and not told yet.
    due: AtomicU64,
    /// What the event is called, once one was held back.
    name: OnceLock<Box<str>>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            accounts: (0..CALLSITES).map(|_| Account::default()).collect(),
            shared: Account::default(),
        }
    }
}

impl Limiter {
    /// Whether the event is to be logged. `now` is the time since any fixed moment.
    pub(super) fn admits(&self, event: &Event<'_>, now: Duration) -> bool {
        let metadata = event.metadata();
        if metadata.target() == TARGET {
            return true;
        }
        let account = self.account(metadata);
        let admitted = account.admits(now);
        if !admitted {
            account.name.get_or_init(|| name_of(event));
        }
        admitted
    }

    /// Tells, by name of the event, how many were held back in windows that have ended by now.
    pub(super) fn sweep(&self, now: Duration, mut tell: impl FnMut(&str, u64)) {
        for account in self.accounts.iter().chain([&self.shared]) {
            let suppressed = account.take(now);
            if suppressed > 0 {
                tell(account.name.get().map_or("?", |name| name), suppressed);
            }
        }
    }

    fn account(&self, metadata: &Metadata<'_>) -> &Account {
        let callsite = metadata.callsite();
        let mut hasher = DefaultHasher::new();
        callsite.hash(&mut hasher);
        let first = hasher.finish() as usize % CALLSITES;
        let (after, before) = (&self.accounts[first..], &self.accounts[..first]);
        after
            .iter()
            .chain(before)
            .find(|account| *account.owner.get_or_init(|| callsite.clone()) == callsite)
            .unwrap_or(&self.shared)
    }
}

impl Account {
    fn admits(&self, now: Duration) -> bool {
        let now_ms = millis(now);
        let word = |began_ms: u64, count: u64| ((began_ms + 1) << COUNT_BITS) | count;
        let mut is_new = false;
        let next = |seen: u64| {
            let count = seen & COUNT_MAX;
            is_new = ended(seen, now_ms);
            Some(match is_new {
                true => word(now_ms, 1),
                false => seen - count + (count + 1).min(COUNT_MAX),
            })
        };
        let seen = self
            .window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .unwrap_or_else(|seen| seen);
        if is_new {
            let held = self.held.swap(0, Ordering::Relaxed);
            self.due.fetch_add(held, Ordering::Relaxed);
            return true;
        }
        let admitted = seen & COUNT_MAX < BURST;
        if !admitted {
            self.held.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    fn take(&self, now: Duration) -> u64 {
        let due = self.due.swap(0, Ordering::Relaxed);
        match ended(self.window.load(Ordering::Relaxed), millis(now)) {
            true => due + self.held.swap(0, Ordering::Relaxed),
            false => due,
        }
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// Whether a window is over, or there was none. Threads may be a little apart in what time it is.
fn ended(window: u64, now_ms: u64) -> bool {
    match (window >> COUNT_BITS).checked_sub(1) {
        Some(began_ms) => now_ms.saturating_sub(began_ms) >= millis(WINDOW),
        None => true,
    }
}

/// What the event calls itself, or, of a library's, where it is from.
fn name_of(event: &Event<'_>) -> Box<str> {
    struct Name(Option<Box<str>>);
    impl Visit for Name {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "event" {
                self.0 = Some(value.into());
            }
        }
        fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    }
    let mut name = Name(None);
    event.record(&mut name);
    name.0.unwrap_or_else(|| event.metadata().target().into())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_is_logged_and_the_rest_of_its_window_is_counted() {
        let account = Account::default();
        let logged = (0..500).filter(|&ms| account.admits(at(ms))).count();
        assert_eq!(logged, BURST as usize);
        assert_eq!(account.take(at(9_999)), 0, "the window has not ended");
        assert_eq!(account.take(at(10_000)), 490);
        assert_eq!(account.take(at(10_001)), 0, "told once");
    }

    #[test]
    fn a_new_window_begins_with_the_first_event_after_the_last_and_keeps_what_is_due() {
        let account = Account::default();
        for _ in 0..15 {
            account.admits(at(5));
        }
        assert!(account.admits(at(10_005)));
        for _ in 0..12 {
            account.admits(at(10_006));
        }
        assert_eq!(account.take(at(10_007)), 5, "of the first window");
        assert_eq!(account.take(at(20_005)), 3, "of the second");
    }

    #[test]
    fn what_comes_seldom_is_never_held_back() {
        let account = Account::default();
        assert!((0..1_000).all(|second| account.admits(at(second * 1_001))));
        assert_eq!(account.take(at(u64::from(u32::MAX))), 0);
    }

    #[test]
    fn threads_together_get_one_burst_and_none_is_lost() {
        let account = Account::default();
        let count = || (0..1_000).filter(|_| account.admits(at(1))).count();
        let logged: usize = thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(count));
            threads.map(|it| it.join().unwrap()).iter().sum()
        });
        assert_eq!(logged, BURST as usize);
        assert_eq!(account.take(at(10_001)), 3_990);
    }

    #[test]
    fn a_daemon_that_runs_for_decades_still_limits() {
        let account = Account::default();
        let decades = at(30 * 365 * 86_400_000);
        let logged = (0..50).filter(|_| account.admits(decades)).count();
        assert_eq!(logged, BURST as usize);
        assert_eq!(account.take(decades + WINDOW), 40);
    }
}
