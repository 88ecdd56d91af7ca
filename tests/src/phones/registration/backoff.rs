//! How long phones wait before they try a server again.

use std::time::Duration;

/// Seconds after a connection that was refused or closed, as seen of phones; the last one again and
/// again. A SYN that nobody answers is repeated by TCP itself, at 1, 3, 7, 15 seconds.
const AFTER_CONNECTION_S: [u64; 4] = [1, 2, 4, 8];

/// Waits that grow from one failure to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: usize,
}

impl Backoff {
    /// The wait after one more failure.
    pub fn after_failure(&mut self) -> Duration {
        let step = self.failures.min(AFTER_CONNECTION_S.len() - 1);
        self.failures += 1;
        Duration::from_secs(AFTER_CONNECTION_S[step])
    }

    /// It went well: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_eight_seconds_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        for expected_s in [1, 2, 4, 8, 8, 8] {
            assert_eq!(backoff.after_failure(), Duration::from_secs(expected_s));
        }
        backoff.reset();
        assert_eq!(backoff.after_failure(), Duration::from_secs(1));
    }
}
