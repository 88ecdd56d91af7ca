//! How many invented names clients can have us ask for.
//!
//! A token is taken when a name is asked for and given back when the file is found, so that only
//! names that are nowhere cost something.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::settings::BudgetSettings;
use crate::budget::{Bucket, Rate};
use crate::recent::{Recent, source_of};

/// Sources remembered.
const SOURCES: usize = 8192;

pub(super) struct Misses {
    overall: Rate,
    of_source: Rate,
    bucket: Mutex<Bucket>,
    buckets: Recent<Bucket>,
    /// Requests not asked on: all clients together had used up the budget, or one source.
    pub(super) over_overall: AtomicU64,
    pub(super) over_source: AtomicU64,
}

impl Misses {
    pub(super) fn new(settings: &BudgetSettings) -> Self {
        let overall = settings.overall();
        Self {
            overall,
            of_source: settings.of_source(),
            bucket: Mutex::new(Bucket::full(overall, Instant::now())),
            buckets: Recent::new(SOURCES),
            over_overall: AtomicU64::new(0),
            over_source: AtomicU64::new(0),
        }
    }

    /// Whether [`Self::take`] would succeed.
    pub(super) fn has(&self, client: IpAddr, now: Instant) -> bool {
        // One lock after the other: `take` has both, the other way round.
        let has_overall = self.bucket.lock().has(self.overall, now);
        has_overall && self.with(client, now, |bucket| bucket.has(self.of_source, now))
    }

    pub(super) fn take(&self, client: IpAddr, now: Instant) -> bool {
        let over = self.with(client, now, |bucket| {
            if !bucket.has(self.of_source, now) {
                return Some(&self.over_source);
            }
            // A source pays nothing where all clients together have nothing left.
            if !self.bucket.lock().take(self.overall, now) {
                return Some(&self.over_overall);
            }
            bucket.take(self.of_source, now);
            None
        });
        if let Some(over) = over {
            over.fetch_add(1, Ordering::Relaxed);
        }
        over.is_none()
    }

    /// What was asked for was found.
    pub(super) fn give_back(&self, client: IpAddr, now: Instant) {
        self.bucket.lock().give_back(self.overall, 1);
        self.with(client, now, |bucket| bucket.give_back(self.of_source, 1));
    }

    fn with<T>(&self, client: IpAddr, now: Instant, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let fresh = || Bucket::full(self.of_source, now);
        self.buckets.with(source_of(client), fresh, act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misses() -> Misses {
        Misses::new(&BudgetSettings {
            burst: 3,
            per_second: 1,
            source_burst: 2,
            source_per_second: 1,
        })
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
    fn what_is_found_costs_nothing() {
        let (misses, now) = (misses(), Instant::now());
        for _ in 0..100 {
            assert!(misses.take(client(1), now));
            misses.give_back(client(1), now);
        }
    }
}
