//! How many invented names clients can have us ask for.
//!
//! A token is taken when a name is asked for and given back when the file is found, so that only
//! names that are nowhere cost something.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::settings::BudgetSettings;
use crate::budget::{Bucket, Rate, Source};

/// Sources remembered; the half that was not heard of for longest is forgotten first.
const SOURCES: usize = 8192;

pub(super) struct Misses {
    overall: Rate,
    of_source: Rate,
    buckets: Mutex<Buckets>,
    /// Requests not asked on: all clients together had used up the budget, or one source.
    pub(super) over_overall: AtomicU64,
    pub(super) over_source: AtomicU64,
}

struct Buckets {
    overall: Bucket,
    recent: HashMap<Source, Bucket>,
    older: HashMap<Source, Bucket>,
}

impl Misses {
    pub(super) fn new(settings: &BudgetSettings) -> Self {
        let overall = settings.overall();
        Self {
            overall,
            of_source: settings.of_source(),
            buckets: Mutex::new(Buckets {
                overall: Bucket::full(overall, Instant::now()),
                recent: HashMap::new(),
                older: HashMap::new(),
            }),
            over_overall: AtomicU64::new(0),
            over_source: AtomicU64::new(0),
        }
    }

    /// Whether [`Self::take`] would succeed.
    pub(super) fn has(&self, client: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        buckets.overall.has(self.overall, now)
            && buckets
                .source(client, self.of_source, now)
                .has(self.of_source, now)
    }

    pub(super) fn take(&self, client: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        let over = if !buckets
            .source(client, self.of_source, now)
            .has(self.of_source, now)
        {
            &self.over_source
        } else if !buckets.overall.take(self.overall, now) {
            &self.over_overall
        } else {
            return buckets
                .source(client, self.of_source, now)
                .take(self.of_source, now);
        };
        over.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// What was asked for was found.
    pub(super) fn give_back(&self, client: IpAddr, now: Instant) {
        let mut buckets = self.buckets.lock();
        buckets.overall.give_back(self.overall, 1);
        buckets
            .source(client, self.of_source, now)
            .give_back(self.of_source, 1);
    }
}

impl Buckets {
    fn source(&mut self, client: IpAddr, rate: Rate, now: Instant) -> &mut Bucket {
        let source = Source::of(client);
        if !self.recent.contains_key(&source) {
            if self.recent.len() >= SOURCES / 2 {
                self.older = std::mem::take(&mut self.recent);
            }
            let bucket = self.older.remove(&source);
            let bucket = bucket.unwrap_or_else(|| Bucket::full(rate, now));
            self.recent.insert(source, bucket);
        }
        self.recent
            .get_mut(&source)
            .expect("it was there or has been put there")
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

    #[test]
    fn sources_are_bounded() {
        let (misses, now) = (misses(), Instant::now());
        for last in 0..3 * SOURCES as u32 {
            misses.take(client(last), now);
        }
        let buckets = misses.buckets.lock();
        assert!(buckets.recent.len() + buckets.older.len() <= SOURCES);
    }
}
