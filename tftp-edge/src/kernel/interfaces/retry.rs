//! When a rung that was refused is tried once more, though nothing is seen to have changed: memory may
//! have been short, or a driver busy.

use std::time::{Duration, Instant};

use tftp_ebpf::verdict::Rung;

use crate::kernel::attach::Refused;

/// The first wait; each failure doubles it.
const FIRST: Duration = Duration::from_secs(2);
/// An attempt may make a driver begin anew, so it is not made more often than this for long.
const LONGEST: Duration = Duration::from_secs(60);

/// Waits between attempts at one interface.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry {
    next: Option<(Instant, Duration)>,
}

impl Retry {
    /// What an attempt has come to. `is_taken` tells of a device by its index whether a program of
    /// another is in the place of XDP there: that it goes is seen, and worth an attempt at once.
    pub fn attempted(&mut self, refused: &[Refused], is_taken: &dyn Fn(u32) -> bool, now: Instant) {
        let is_in_the_way = |it: &Refused| {
            it.rung == Rung::Xdp
                && matches!(it.os_error, Some(libc::EBUSY | libc::EEXIST))
                && is_taken(it.device.index)
        };
        let may_pass = |it: &Refused| may_pass(it.os_error) && !is_in_the_way(it);
        let may_pass = refused.iter().any(may_pass);
        self.next = may_pass.then(|| {
            let wait = match self.next {
                Some((_, before)) => (before * 2).min(LONGEST),
                None => FIRST,
            };
            (now + wait, wait)
        });
    }

    /// Nothing waits any more; the next failure is a first one.
    pub fn forget(&mut self) {
        self.next = None;
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|(at, _)| now >= at)
    }
}

/// Whether a refusal may end by itself. What hangs on the driver, the MTU or the rights of the daemon
/// does not; and what is told without a number is nothing the kernel has said.
fn may_pass(os_error: Option<i32>) -> bool {
    !matches!(
        os_error,
        None | Some(
            libc::EOPNOTSUPP
                | libc::EINVAL
                | libc::ERANGE
                | libc::E2BIG
                | libc::EPERM
                | libc::EACCES
                | libc::ENOSYS
        )
    )
}

#[cfg(test)]
mod tests {
    use super::super::plan::Device;
    use super::*;

    const FREE: &dyn Fn(u32) -> bool = &|_| false;

    fn refused(os_error: i32) -> [Refused; 1] {
        let device = Device {
            index: 4,
            name: "eth0".to_owned(),
            mtu: 1500,
            is_in_use: true,
        };
        [Refused {
            rung: Rung::Xdp,
            device,
            reason: "refused".to_owned(),
            os_error: Some(os_error),
        }]
    }

    #[test]
    fn each_wait_is_twice_the_last_up_to_a_minute() {
        let (mut retry, mut now) = (Retry::default(), Instant::now());
        assert!(!retry.is_due(now));
        for wait in [2, 4, 8, 16, 32, 60, 60] {
            retry.attempted(&refused(libc::ENOMEM), FREE, now);
            let last = now + Duration::from_secs(wait) - Duration::from_millis(1);
            assert!(!retry.is_due(last), "before {wait} s");
            now += Duration::from_secs(wait);
            assert!(retry.is_due(now), "after {wait} s");
        }
        // It has worked, and fails again later.
        retry.attempted(&[], FREE, now);
        assert!(!retry.is_due(now + LONGEST));
        retry.attempted(&refused(libc::EBUSY), FREE, now);
        assert!(retry.is_due(now + FIRST));
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        let now = Instant::now();
        for error in [libc::EOPNOTSUPP, libc::ERANGE, libc::EPERM] {
            let mut retry = Retry::default();
            retry.attempted(&refused(error), FREE, now);
            assert!(!retry.is_due(now + 10 * LONGEST), "{error}");
        }
    }

    #[test]
    fn a_program_of_another_is_not_run_against() {
        let now = Instant::now();
        for error in [libc::EBUSY, libc::EEXIST] {
            let mut retry = Retry::default();
            retry.attempted(&refused(error), &|device| device == 4, now);
            assert!(!retry.is_due(now + 10 * LONGEST), "{error}");
        }
        // It is another's program, and another reason.
        let mut retry = Retry::default();
        retry.attempted(&refused(libc::ENOMEM), &|device| device == 4, now);
        assert!(retry.is_due(now + FIRST));
    }
}
