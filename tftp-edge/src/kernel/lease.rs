//! The lease: for how long the kernel program serves what the daemon does not look after.
//!
//! It begins when everything is published, and is renewed every second from then on: a daemon that
//! hangs, or is started over and over and never gets that far, does not renew it.

use std::time::{Duration, SystemTime};

use aya::maps::{Array, MapData};
use tftp_ebpf::abi::Lease;

use super::error::Error;
use crate::clock::monotonic_ns;

/// How often it is renewed.
const EVERY: Duration = Duration::from_secs(1);

/// The map `LEASE`, as it is and was.
pub(super) struct Tenure {
    map: Array<MapData, Lease>,
    serve_alone: Duration,
    now: Lease,
    /// Everything is published.
    has_begun: bool,
    is_failing: bool,
}

impl Tenure {
    /// Goes on with the lease of the daemon before, if there was one.
    pub(super) fn new(map: Array<MapData, Lease>, serve_alone: Duration) -> Result<Self, Error> {
        let now = map
            .get(&0, 0)
            .map_err(|error| Error::map("LEASE", "read", error))?;
        Ok(Self {
            map,
            serve_alone,
            now,
            has_begun: false,
            is_failing: false,
        })
    }

    /// Lost events that the daemon before has told of, and until when; none if there was none.
    pub(super) fn told_before(&self) -> Option<(u64, SystemTime)> {
        if self.now.renewed_ns == 0 {
            return None;
        }
        let ago = monotonic_ns().saturating_sub(self.now.renewed_ns);
        let at = SystemTime::now().checked_sub(Duration::from_nanos(ago))?;
        Some((self.now.events_lost, at))
    }

    /// Everything is published.
    pub(super) fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.write(monotonic_ns());
        }
    }

    /// Renews it if it is time to. All events that were lost so far are told.
    pub(super) fn renew(&mut self, events_lost: u64) {
        let now_ns = monotonic_ns();
        self.now.events_lost = events_lost;
        if self.has_begun && is_due(&self.now, now_ns) {
            self.write(now_ns);
        }
    }

    fn write(&mut self, now_ns: u64) {
        self.now = renewed(self.now, now_ns, self.serve_alone);
        let written = self.map.set(0, self.now, 0);
        let was_failing = std::mem::replace(&mut self.is_failing, written.is_err());
        if let Err(error) = written
            && !was_failing
        {
            tracing::error!(event = "kernel.lease_unwritten", %error, "the kernel program cannot be told that the daemon is there: it will leave everything to the sockets");
        }
    }
}

fn is_due(lease: &Lease, now_ns: u64) -> bool {
    now_ns.saturating_sub(lease.renewed_ns) >= EVERY.as_nanos() as u64
}

fn renewed(lease: Lease, now_ns: u64, serve_alone: Duration) -> Lease {
    Lease {
        until_ns: now_ns.saturating_add(serve_alone.as_nanos() as u64),
        renewed_ns: now_ns,
        ..lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn it_is_renewed_every_second_and_ends_so_long_after_the_last_time() {
        let lease = renewed(Lease::default(), 100 * S, Duration::from_secs(300));
        assert_eq!((lease.renewed_ns, lease.until_ns), (100 * S, 400 * S));
        assert!(!is_due(&lease, 101 * S - 1));
        assert!(is_due(&lease, 101 * S));
        let told = Lease {
            events_lost: 7,
            ..lease
        };
        let next = renewed(told, 101 * S, Duration::from_secs(300));
        assert_eq!((next.until_ns, next.events_lost), (401 * S, 7));
    }
}
