//! How often something happens.

use std::time::{Duration, Instant};

/// Parts of the window, and how long one is.
const PARTS: usize = 8;
const PART: Duration = Duration::from_millis(250);

/// Events within the last two seconds. At rest it is 0, and one event at the start is not taken for
/// thousands a second: what is divided by is a part of the window at least.
#[derive(Clone, Debug)]
pub struct Meter {
    started: Instant,
    /// By part since the start, modulo their number.
    counts: [u32; PARTS],
    /// The part that is counted in.
    part: u64,
    total: u64,
}

impl Meter {
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            counts: [0; PARTS],
            part: 0,
            total: 0,
        }
    }

    pub fn add(&mut self, events: u32, now: Instant) {
        self.advance(now);
        let count = &mut self.counts[self.part as usize % PARTS];
        *count = count.saturating_add(events);
        self.total += u64::from(events);
    }

    /// Events a second.
    pub fn rate(&mut self, now: Instant) -> f64 {
        self.advance(now);
        let events: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let since_start = now.saturating_duration_since(self.started);
        let whole = PART * (PARTS as u32 - 1);
        // The part that is counted in has only just begun.
        let begun = since_start.saturating_sub(PART * self.part as u32);
        let covered = (whole + begun).min(since_start).max(PART);
        events as f64 / covered.as_secs_f64()
    }

    /// Events since the start.
    pub const fn total(&self) -> u64 {
        self.total
    }

    fn advance(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.started).as_millis() as u64;
        let part = since / PART.as_millis() as u64;
        // Threads bring their times in any order: an earlier one counts in the part of the later.
        let passed = part.saturating_sub(self.part).min(PARTS as u64);
        for ahead in 1..=passed {
            self.counts[(part - passed + ahead) as usize % PARTS] = 0;
        }
        self.part = self.part.max(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_is_zero_and_one_event_at_the_start_is_no_storm() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        assert_eq!(meter.rate(start), 0.0);
        meter.add(1, start);
        assert_eq!(meter.rate(start), 4.0);
        assert_eq!(meter.rate(start + 1000 * MS), 1.0);
    }

    #[test]
    fn a_steady_rate_is_measured_as_it_is() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        for ms in (0..10_000).step_by(10) {
            meter.add(1, start + ms * MS);
        }
        let rate = meter.rate(start + 9_990 * MS);
        assert!((95.0..105.0).contains(&rate), "{rate}");
        assert_eq!(meter.total(), 1000);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.add(1000, start + 5000 * MS);
        assert!(meter.rate(start + 6500 * MS) > 0.0);
        assert_eq!(meter.rate(start + 7100 * MS), 0.0);
        assert_eq!(meter.rate(start + 3_600_000 * MS), 0.0);
        // A thread whose time was read before all that.
        meter.add(1, start);
        assert!(meter.rate(start + 3_600_000 * MS) > 0.0);
    }
}
