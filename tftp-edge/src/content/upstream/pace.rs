//! A server that sends a byte now and then never keeps silent, and never ends.

use std::time::{Duration, Instant};

/// Bytes a second, over a few times the server's patience.
const LEAST_RATE: u64 = 4096;
const WINDOW: u32 = 4;

/// Whatever the rate, a file takes no longer.
pub(super) const LONGEST: Duration = Duration::from_secs(15 * 60);

pub(super) struct Pace {
    window: Duration,
    since: Instant,
    len_then: usize,
}

impl Pace {
    pub(super) fn new(patience: Duration, now: Instant) -> Self {
        Self {
            window: patience * WINDOW,
            since: now,
            len_then: 0,
        }
    }

    /// Whether enough has come, now that there are `len` bytes.
    pub(super) fn keeps_up(&mut self, len: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < self.window {
            return true;
        }
        let gained = (len - self.len_then) as u64;
        self.since = now;
        self.len_then = len;
        gained as f64 >= LEAST_RATE as f64 * elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_does_not_keep_up_and_a_pause_does() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut drip = Pace::new(second, now);
        assert!(drip.keeps_up(1, now + second));
        assert!(!drip.keeps_up(4, now + 4 * second));
        let mut late = Pace::new(second, now);
        assert!(late.keeps_up(0, now + 3 * second));
        assert!(late.keeps_up(20_000, now + 4 * second));
        assert!(!late.keeps_up(20_001, now + 8 * second), "a new window");
    }
}
