//! The clock that the kernel program and the daemon both read.

use std::time::{Duration, Instant, SystemTime};

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

/// Says which [`Instant`] a stamp of the wall clock is, as the kernel puts them on datagrams. To be
/// read anew for each batch: that clock may be set at any time.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    instant: Instant,
    since_epoch: Duration,
}

impl WallClock {
    /// A stamp older than this says that the clock was set since.
    const OLDEST: Duration = Duration::from_secs(60);

    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            instant: Instant::now(),
            since_epoch: since_epoch.unwrap_or_default(),
        }
    }

    /// The moment this was read.
    pub fn read_at(&self) -> Instant {
        self.instant
    }

    /// When something was stamped, given since the epoch: the time of the reading, if the stamp
    /// cannot be true.
    pub fn instant(&self, stamp: Duration) -> Instant {
        let age = self.since_epoch.checked_sub(stamp);
        let age = age.filter(|&age| age <= Self::OLDEST).unwrap_or_default();
        self.instant.checked_sub(age).unwrap_or(self.instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_as_long_ago_as_the_wall_clock_says() {
        let clock = WallClock {
            instant: Instant::now(),
            since_epoch: Duration::from_secs(1_000),
        };
        let ago = |stamp_s| clock.read_at() - clock.instant(Duration::from_secs(stamp_s));
        assert_eq!(ago(997), Duration::from_secs(3));
        // Set back, and set forward: nothing waited for a year.
        assert_eq!(ago(1_001), Duration::ZERO);
        assert_eq!(ago(10), Duration::ZERO);
    }

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
