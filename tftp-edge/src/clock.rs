//! The clocks: the one that the kernel program and the daemon both read, and the time of day.
//!
//! The time of day may be set while the daemon runs, by a year and in either direction: a board without
//! a battery begins in 1970, and NTP puts it right. So nothing that lasts is measured by it. What lasts
//! for seconds is an [`Instant`]. Registrations last for hours, are shown with the time of day and kept
//! over a restart: theirs is the *steady* time, which was the time of day when the daemon started, and
//! has gone on since without ever being set. Where it is shown or written to a file, it is turned into
//! the time of day by a [`Reading`] of that moment.
//!
//! The time of day itself is right for what is agreed on with others: certificates, provisioning
//! windows, the clocks of phones, and the journal, which people compare with other logs.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// CLOCK_MONOTONIC in nanoseconds, as `bpf_ktime_get_ns` has it.
pub fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("every Linux has this clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// When the steady time began: what both clocks were.
#[derive(Clone, Copy, Debug)]
struct Steady {
    wall: SystemTime,
    boot: Duration,
}

/// CLOCK_BOOTTIME: never set, and goes on while the system sleeps.
fn boot_time() -> Duration {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .expect("every Linux since 2.6.39 has this clock");
    Duration::new(now.tv_sec() as u64, now.tv_nsec() as u32)
}

impl Steady {
    fn at(self, boot: Duration) -> SystemTime {
        self.wall + boot.saturating_sub(self.boot)
    }
}

/// The steady time now.
pub fn steady() -> SystemTime {
    static BEGUN: OnceLock<Steady> = OnceLock::new();
    let begun = BEGUN.get_or_init(|| Steady {
        wall: SystemTime::now(),
        boot: boot_time(),
    });
    begun.at(boot_time())
}

/// The time of day and the steady time at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub wall: SystemTime,
    pub steady: SystemTime,
}

impl Reading {
    pub fn now() -> Self {
        Self {
            steady: steady(),
            wall: SystemTime::now(),
        }
    }

    /// Of a clock that was never set.
    #[cfg(test)]
    pub(crate) fn never_set(wall: SystemTime) -> Self {
        Self { wall, steady: wall }
    }

    /// What the clock of the day, as it is now, shows or showed at a steady time.
    pub fn to_wall(&self, at: SystemTime) -> SystemTime {
        shifted(at, self.steady, self.wall)
    }

    /// The reverse.
    pub fn to_steady(&self, at: SystemTime) -> SystemTime {
        shifted(at, self.wall, self.steady)
    }

    /// By how much the clock was set between two readings, either way.
    pub fn set_by(&self, before: &Self) -> Duration {
        let there = before.to_wall(self.steady);
        let ahead = self.wall.duration_since(there);
        ahead.unwrap_or_else(|behind| behind.duration())
    }
}

/// A time of the clock `from` on the clock `to`, given what both show at one moment. What is less than a
/// second between them comes from reading one after the other, and from NTP that slews the one: times
/// that are shown twice are to be the same.
fn shifted(at: SystemTime, from: SystemTime, to: SystemTime) -> SystemTime {
    let whole = |it: Duration| Duration::from_secs((it + Duration::from_millis(500)).as_secs());
    let shifted = match to.duration_since(from) {
        Ok(ahead) => at.checked_add(whole(ahead)),
        Err(behind) => at.checked_sub(whole(behind.duration())),
    };
    // What the clock cannot hold is over long ago.
    shifted.unwrap_or(SystemTime::UNIX_EPOCH)
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
    fn steady_time_goes_on_as_the_time_of_day_began() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let begun = Steady {
            wall,
            boot: Duration::from_secs(50),
        };
        assert_eq!(
            begun.at(Duration::from_secs(57)),
            wall + Duration::from_secs(7)
        );
        let now = SystemTime::now();
        let apart = steady()
            .duration_since(now)
            .unwrap_or_else(|it| it.duration());
        assert!(apart < Duration::from_secs(60), "{apart:?}");
    }

    #[test]
    fn what_is_left_is_the_same_whatever_the_clock_was_set_to() {
        const YEAR: Duration = Duration::from_secs(365 * 86_400);
        let steady = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let over = steady + Duration::from_secs(90);
        for wall in [steady, steady + YEAR, steady - YEAR] {
            let reading = Reading { wall, steady };
            assert_eq!(reading.to_wall(over), wall + Duration::from_secs(90));
            assert_eq!(reading.to_steady(reading.to_wall(over)), over);
            let later = Reading {
                wall: wall + Duration::from_secs(10),
                steady: steady + Duration::from_secs(10),
            };
            assert_eq!(later.set_by(&reading), Duration::ZERO);
            let set = Reading {
                wall: later.wall - YEAR,
                ..later
            };
            assert_eq!(set.set_by(&reading), YEAR);
        }
    }

    #[test]
    fn an_instant_is_the_same_moment_on_the_kernels_clock() {
        // A thread may have to wait between the two readings of the clock, for as long as this took.
        let begun = monotonic_ns();
        let clock = Clock::default();
        let slack_ns = monotonic_ns() - begun;
        std::thread::sleep(Duration::from_millis(20));
        let (before, at, after) = (monotonic_ns(), clock.ns(Instant::now()), monotonic_ns());
        assert!(
            at + slack_ns >= before && at <= after + slack_ns,
            "{before} {at} {after}, give or take {slack_ns}"
        );
    }
}
