//! When to send again: an adaptive timer after RFC 6298, as RFC 1123 section 4.2.3.2 asks for.

use std::time::Duration;

/// Bounds of the resend timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Before there is a round-trip time to go by.
    pub first: Duration,
    pub min: Duration,
    /// A duplicate ACK never repeats DATA, so nothing but this timer mends a loss.
    pub max: Duration,
    /// Sends of one window before the transfer is given up, the first one included.
    pub max_sends: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            min: Duration::from_millis(300),
            max: Duration::from_secs(2),
            max_sends: 16,
        }
    }
}

/// The timer of one transfer.
#[derive(Clone, Debug)]
pub struct ResendTimer {
    policy: Policy,
    /// The `timeout` option, RFC 2349: takes the place of all estimates.
    agreed: Option<Duration>,
    /// Smoothed round-trip time and its variation, once there is a sample.
    estimate: Option<(Duration, Duration)>,
    doublings: u32,
}

impl ResendTimer {
    pub fn new(policy: Policy, agreed: Option<Duration>) -> Self {
        Self {
            policy,
            agreed,
            estimate: None,
            doublings: 0,
        }
    }

    pub fn max_sends(&self) -> u32 {
        self.policy.max_sends
    }

    /// A round trip whose packets were sent once only (Karn's rule is the caller's).
    pub fn sample(&mut self, rtt: Duration) {
        self.doublings = 0;
        self.estimate = Some(match self.estimate {
            None => (rtt, rtt / 2),
            Some((smoothed, variation)) => (
                smoothed * 7 / 8 + rtt / 8,
                variation * 3 / 4 + smoothed.abs_diff(rtt) / 4,
            ),
        });
    }

    /// The timer ran out: the next wait is twice as long.
    pub fn back_off(&mut self) {
        // Sixteen doublings are past any bound; more would overflow.
        self.doublings = (self.doublings + 1).min(16);
    }

    /// How long to wait after a send. `jitter` from 0 to 1 takes up to an eighth off, so that
    /// phones that boot together do not stay in step.
    pub fn delay(&self, jitter: f64) -> Duration {
        if let Some(agreed) = self.agreed {
            return agreed;
        }
        let base = match self.estimate {
            None => self.policy.first,
            Some((smoothed, variation)) => smoothed + variation * 4,
        };
        let backed_off = base.max(self.policy.min) * (1 << self.doublings);
        let bounded = backed_off.min(self.policy.max);
        bounded - bounded.mul_f64(jitter.clamp(0.0, 1.0) / 8.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_wait_is_a_second() {
        let timer = ResendTimer::new(Policy::default(), None);
        assert_eq!(timer.delay(0.0), 1000 * MS);
    }

    #[test]
    fn a_steady_round_trip_brings_the_timer_down_to_its_floor() {
        let mut timer = ResendTimer::new(Policy::default(), None);
        for _ in 0..50 {
            timer.sample(2 * MS);
        }
        assert_eq!(timer.delay(0.0), 300 * MS);
    }

    #[test]
    fn a_slow_link_gets_a_slow_timer() {
        let mut timer = ResendTimer::new(Policy::default(), None);
        for _ in 0..50 {
            timer.sample(800 * MS);
        }
        assert!(timer.delay(0.0) >= 800 * MS);
    }

    #[test]
    fn each_timeout_doubles_the_wait_up_to_two_seconds() {
        let mut timer = ResendTimer::new(Policy::default(), None);
        timer.sample(MS);
        let mut waits = Vec::new();
        for _ in 0..5 {
            waits.push(timer.delay(0.0).as_millis());
            timer.back_off();
        }

        assert_eq!(waits, [300, 600, 1200, 2000, 2000]);
        for _ in 0..1000 {
            timer.back_off();
        }
        assert_eq!(timer.delay(0.0), 2000 * MS);
    }

    #[test]
    fn jitter_only_shortens() {
        let timer = ResendTimer::new(Policy::default(), None);
        assert_eq!(timer.delay(1.0), 875 * MS);
        assert_eq!(timer.delay(7.0), 875 * MS);
    }

    #[test]
    fn the_agreed_timeout_is_the_timer() {
        let mut timer = ResendTimer::new(Policy::default(), Some(5000 * MS));
        timer.sample(MS);
        timer.back_off();
        assert_eq!(timer.delay(0.5), 5000 * MS);
    }
}
