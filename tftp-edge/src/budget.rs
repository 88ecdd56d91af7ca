//! Token buckets.

use std::time::Instant;

/// What a bucket holds at most, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub burst: u32,
    pub per_second: u32,
}

/// Tokens at a moment; full until first used.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: f64::from(rate.burst),
            at: now,
        }
    }

    /// Whether a token is there to be taken.
    pub fn has(&mut self, rate: Rate, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let filled = self.tokens + elapsed * f64::from(rate.per_second);
        self.tokens = filled.min(f64::from(rate.burst));
        // Threads bring their times in any order: none may be counted twice.
        self.at = self.at.max(now);
        self.tokens >= 1.0
    }

    pub fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let enough = self.has(rate, now);
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    pub fn give_back(&mut self, rate: Rate, tokens: u32) {
        self.tokens = (self.tokens + f64::from(tokens)).min(f64::from(rate.burst));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_time_is_counted_twice() {
        let rate = Rate {
            burst: 1,
            per_second: 1,
        };
        let early = Instant::now();
        let late = early + Duration::from_secs(1);
        let mut bucket = Bucket::full(rate, early);
        assert!(bucket.take(rate, early) && bucket.take(rate, late));
        // Another thread read the clock before, and comes after.
        assert!(!bucket.take(rate, early) && !bucket.take(rate, late));
    }
}
