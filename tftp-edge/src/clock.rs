//! The clock that the kernel program and the daemon both read.

use std::time::Instant;

/// CLOCK_MONOTONIC in nanoseconds, as `bpf_ktime_get_ns` has it.
pub fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("every Linux has this clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Says what an [`Instant`] is on that clock. On Linux both run at the same pace and stand still in
/// the same sleep (`clock_gettime(2)`), so one pair of readings serves for all.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    instant: Instant,
    ns: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            ns: monotonic_ns(),
            instant: Instant::now(),
        }
    }
}

impl Clock {
    pub fn ns(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.instant);
        self.ns + u64::try_from(since.as_nanos()).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_instant_is_the_same_moment_on_the_kernels_clock() {
        let clock = Clock::default();
        std::thread::sleep(Duration::from_millis(20));
        let (before, at, after) = (monotonic_ns(), clock.ns(Instant::now()), monotonic_ns());
        const SLACK_NS: u64 = 10_000_000;
        assert!(
            at + SLACK_NS > before && at < after + SLACK_NS,
            "{before} {at} {after}"
        );
    }
}
