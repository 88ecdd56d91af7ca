//! A phone that sends more than any phone does is asked to register again.
//!
//! The figures are those of call managers (Cisco document 108548): 2,000 events in 5 seconds.

use std::time::{Duration, Instant};

const EVENTS: u32 = 2000;
const WINDOW: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(super) struct Throttle {
    since: Instant,
    events: u32,
}

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            events: 0,
        }
    }

    /// Counts one event; whether it is one too many.
    pub(super) fn is_exceeded(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= WINDOW {
            *self = Self::new(now);
        }
        self.events += 1;
        self.events > EVENTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_2000_events_in_5_seconds_are_too_many() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        assert!((0..2000).all(|_| !throttle.is_exceeded(start)));
        assert!(throttle.is_exceeded(start + Duration::from_millis(4999)));
        assert!(!throttle.is_exceeded(start + WINDOW));
    }
}
