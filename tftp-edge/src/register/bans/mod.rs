//! Sources that are shut out for a while. Only those that proved their address: a forged packet must
//! not shut out a site.

use std::net::IpAddr;
use std::time::Instant;

/// What a source did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offence {
    /// A wrong password, or a line or device that nobody knows.
    Guess,
    /// Bytes that are no message of the protocol.
    Garbage,
}

/// Who is shut out, and who is about to be.
#[derive(Debug, Default)]
pub struct Bans {}

impl Bans {
    pub fn is_banned(&self, source: IpAddr, now: Instant) -> bool {
        let _ = (source, now);
        false
    }

    /// Counts what a source did; `has_proved` if its address is certainly its own (it has a
    /// connection, or it sent back a nonce of ours).
    pub fn offended(&self, source: IpAddr, offence: Offence, has_proved: bool, now: Instant) {
        let _ = (source, offence, has_proved, now);
    }
}
