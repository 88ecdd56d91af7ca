//! How many invented names clients can have us ask for.
//!
//! A token is taken when a name is asked for and given back when the file is found, so that only
//! names that are nowhere cost something.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::Settings;
use crate::budget::{Bucket, Rate};
use crate::live::Live;
use crate::recent::{Recent, source_of};

/// Sources remembered.
const SOURCES: usize = 8192;

pub(super) struct Misses {
    settings: Live<Settings>,
    bucket: Mutex<Bucket>,
    buckets: Recent<Bucket>,
    /// Requests not asked on: all clients together had used up the budget, or one source.
    pub(super) over_overall: AtomicU64,
    pub(super) over_source: AtomicU64,
}

impl Misses {
    pub(super) fn new(settings: Live<Settings>) -> Self {
        let overall = settings.get().budget.overall();
        Self {
            settings,
            bucket: Mutex::new(Bucket::full(overall, Instant::now())),
            buckets: Recent::new(SOURCES),
            over_overall: AtomicU64::new(0),
            over_source: AtomicU64::new(0),
        }
    }

    /// Of all clients together, and of one source.
    fn rates(&self) -> (Rate, Rate) {
        let settings = self.settings.get();
        (settings.budget.overall(), settings.budget.of_source())
    }

    /// Whether [`Self::take`] would succeed.
    pub(super) fn has(&self, client: IpAddr, now: Instant) -> bool {
        // One lock after the other: `take` has both, the other way round.
        let (overall, of_source) = self.rates();
        let has_overall = self.bucket.lock().has(overall, now);
        has_overall && self.with(client, now, |bucket| bucket.has(of_source, now))
    }

    pub(super) fn take(&self, client: IpAddr, now: Instant) -> bool {
        let (overall, of_source) = self.rates();
        let over = self.with(client, now, |bucket| {
            if !bucket.has(of_source, now) {
                return Some(&self.over_source);
            }
            // A source pays nothing where all clients together have nothing left.
            if !self.bucket.lock().take(overall, now) {
                return Some(&self.over_overall);
            }
            bucket.take(of_source, now);
            None
        });
        if let Some(over) = over {
            over.fetch_add(1, Ordering::Relaxed);
        }
        over.is_none()
    }

    /// What was asked for was found.
    pub(super) fn give_back(&self, client: IpAddr, now: Instant) {
        let (overall, of_source) = self.rates();
        self.bucket.lock().give_back(overall, 1);
        self.with(client, now, |bucket| bucket.give_back(of_source, 1));
    }

    fn with<T>(&self, client: IpAddr, now: Instant, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let fresh = || Bucket::full(self.rates().1, now);
        self.buckets.with(source_of(client), fresh, act)
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::BudgetSettings;
    use super::*;

    fn settings(source_burst: u32) -> Settings {
        Settings {
            budget: BudgetSettings {
                burst: 3,
                per_second: 1,
                source_burst,
                source_per_second: 1,
            },
            ..Settings::default()
        }
    }

    fn misses() -> Misses {
        Misses::new(settings(2).into())
    }

    fn client(last: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + last).into())
    }

    #[test]
    fn one_source_and_all_together_have_so_many_misses_and_no_more() {
        let (misses, now) = (misses(), Instant::now());
        assert!(misses.take(client(1), now) && misses.take(client(1), now));
        assert!(!misses.has(client(1), now) && !misses.take(client(1), now));
        assert!(misses.take(client(2), now));
        assert!(!misses.has(client(3), now) && !misses.take(client(3), now));
        assert_eq!(misses.over_source.load(Ordering::Relaxed), 1);
        assert_eq!(misses.over_overall.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_budget_may_change_at_any_time() {
        let of = |burst, per_second, source_burst, source_per_second| Settings {
            budget: BudgetSettings {
                burst,
                per_second,
                source_burst,
                source_per_second,
            },
            ..Settings::default()
        };
        let second = std::time::Duration::from_secs(1);
        let live = Live::new(of(1_000, 1_000, 1, 1));
        let (misses, now) = (Misses::new(live.clone()), Instant::now());
        let taken = |source: u32, now| {
            let takes = std::iter::repeat_with(|| misses.take(client(source), now));
            takes.take_while(|it| *it).count()
        };
        assert_eq!(taken(1, now), 1);
        live.set(of(1_000, 1_000, 9, 5));
        assert_eq!(taken(1, now + second), 5);
        assert_eq!(taken(1, now + 60 * second), 9);
        // What all together have holds, too.
        live.set(of(7, 3, 1_000, 1));
        assert_eq!(taken(2, now + 61 * second), 7);
        assert_eq!(taken(3, now + 62 * second), 3);
    }

    #[test]
    fn what_is_found_costs_nothing() {
        let (misses, now) = (misses(), Instant::now());
        for _ in 0..100 {
            assert!(misses.take(client(1), now));
            misses.give_back(client(1), now);
        }
    }
}
