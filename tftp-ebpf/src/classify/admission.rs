//! Who may come in while newcomers are more than can be served.
//!
//! One bucket for all, since many phones may be behind one address, and a site must not be punished
//! for its size. Who is registered always comes in, and is charged so that newcomers yield; who was
//! seen booting here may use the whole bucket; everybody else what is above a reserve.

use crate::abi::registration::Registration;
use crate::plan::has_token;

/// What is known of a packet's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A phone is registered from this address.
    Registered,
    /// It acknowledged a block of TFTP lately: it boots here, and its address is its own.
    Known,
    Unknown,
}

impl Registration {
    /// Whether a sender may come in, of whom there is this much to say.
    #[inline(always)]
    pub const fn admits(&self, standing: Standing, full_at: u64, now: u64) -> bool {
        if self.burst_ns == 0 {
            return true;
        }
        let part = match standing {
            Standing::Registered => return true,
            Standing::Known => self.burst_ns,
            Standing::Unknown => self.burst_ns.saturating_sub(self.reserve_ns),
        };
        has_token(full_at, now, self.interval_ns, part)
    }

    /// The half of a burst, in whole tokens, that is kept for those who were seen booting. A burst of
    /// one token has nothing to keep.
    pub const fn reserve(interval_ns: u64, burst_ns: u64) -> u64 {
        if interval_ns == 0 {
            return 0;
        }
        burst_ns / interval_ns / 2 * interval_ns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::take_token;

    const NOW: u64 = 1_000_000;
    const INTERVAL: u64 = 1_000;

    fn registration(burst: u64) -> Registration {
        Registration {
            interval_ns: INTERVAL,
            burst_ns: burst * INTERVAL,
            reserve_ns: Registration::reserve(INTERVAL, burst * INTERVAL),
            ..Registration::default()
        }
    }

    /// How many of these come in at once, and when the bucket will be full again.
    fn let_in(it: &Registration, standing: Standing, mut full_at: u64, many: u32) -> (u32, u64) {
        let mut came = 0;
        for _ in 0..many {
            if it.admits(standing, full_at, NOW) {
                full_at = take_token(full_at, NOW, it.interval_ns, it.burst_ns);
                came += 1;
            }
        }
        (came, full_at)
    }

    #[test]
    fn strangers_leave_the_reserve_to_those_who_boot_here() {
        let it = registration(10);
        let (strangers, full_at) = let_in(&it, Standing::Unknown, 0, 100);
        assert_eq!(strangers, 5);
        let (known, full_at) = let_in(&it, Standing::Known, full_at, 100);
        assert_eq!(known, 5);
        let (registered, _) = let_in(&it, Standing::Registered, full_at, 100);
        assert_eq!(registered, 100);
    }

    #[test]
    fn who_is_registered_is_charged_so_that_newcomers_yield() {
        let it = registration(10);
        let (_, full_at) = let_in(&it, Standing::Registered, 0, 8);
        assert_eq!(let_in(&it, Standing::Unknown, full_at, 100).0, 0);
        assert_eq!(let_in(&it, Standing::Known, full_at, 100).0, 2);
    }

    #[test]
    fn without_a_budget_everybody_comes_in() {
        let it = Registration::default();
        assert_eq!(let_in(&it, Standing::Unknown, u64::MAX / 2, 100).0, 100);
    }

    proptest! {
        /// Whatever the burst, no bucket is so small that a stranger never comes in.
        #[test]
        fn a_full_bucket_lets_a_stranger_in(burst in 1_u64..1_000) {
            let it = registration(burst);
            prop_assert!(it.admits(Standing::Unknown, NOW, NOW));
            prop_assert!(it.reserve_ns < it.burst_ns);
        }

        /// Over a long time strangers come in at the rate, not at half of it.
        #[test]
        fn the_reserve_is_no_part_of_the_rate(burst in 1_u64..50) {
            let it = registration(burst);
            let (mut full_at, mut came) = (0, 0);
            for now in (NOW..NOW + 100 * INTERVAL).step_by(100) {
                if it.admits(Standing::Unknown, full_at, now) {
                    full_at = take_token(full_at, now, it.interval_ns, it.burst_ns);
                    came += 1;
                }
            }
            prop_assert!((99..=101 + burst).contains(&came), "{}", came);
        }
    }
}
