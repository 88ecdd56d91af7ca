//! Token buckets, and what counts as one source.

use std::net::IpAddr;
use std::time::Instant;

/// What a bucket holds at most, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub burst: u32,
    pub per_second: u32,
}

/// Tokens at a moment; full until first used.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: f64::from(rate.burst),
            at: now,
        }
    }

    /// Whether a token is there to be taken.
    pub fn has(&mut self, rate: Rate, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let filled = self.tokens + elapsed * f64::from(rate.per_second);
        self.tokens = filled.min(f64::from(rate.burst));
        self.at = now;
        self.tokens >= 1.0
    }

    pub fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let enough = self.has(rate, now);
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    pub fn give_back(&mut self, rate: Rate, tokens: u32) {
        self.tokens = (self.tokens + f64::from(tokens)).min(f64::from(rate.burst));
    }
}

/// One source: an IPv4 address, or the upper half of an IPv6 address. The halves cannot meet: the
/// prefix `::/64` holds v4-mapped addresses and loopback only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    V4(u32),
    V6(u64),
}

impl Source {
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}
