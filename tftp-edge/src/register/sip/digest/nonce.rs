//! Nonces that say by themselves when and for whom they were made.
//!
//! 24 bytes as hex digits: a serial number of 8 bytes, and 16 bytes of an HMAC-SHA-256 over it and
//! the address it was given to. The serial number is the time since the start in milliseconds,
//! shifted by 20 bits, and a counter below it: no two nonces are equal.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::algorithm::{Hex, read_hex};

const SERIAL_BYTES: usize = 8;
const CODE_BYTES: usize = 16;
const COUNTER_BITS: u32 = 20;

/// Gives out nonces, and knows them again.
pub struct Nonces {
    /// With its key taken in. The key never leaves this process: nonces from before a restart are
    /// foreign, and their phones asked again.
    code: Hmac<Sha256>,
    started: Instant,
    lifetime: Duration,
    counter: AtomicU64,
}

/// A nonce of ours that still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    pub serial: u64,
    pub age: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceError {
    Foreign,
    Old,
}

impl Nonces {
    pub fn new(lifetime: Duration, now: Instant) -> Self {
        let key: [u8; 32] = rand::random();
        Self {
            code: Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"),
            started: now,
            lifetime,
            counter: AtomicU64::new(0),
        }
    }

    /// The time by which nonces are dated.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    pub fn issue(&self, source: IpAddr, now: Instant) -> Hex {
        let millis = self.elapsed(now).as_millis() as u64;
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let serial = millis << COUNTER_BITS | counter & ((1 << COUNTER_BITS) - 1);
        let mut bytes = [0; SERIAL_BYTES + CODE_BYTES];
        bytes[..SERIAL_BYTES].copy_from_slice(&serial.to_be_bytes());
        let code = self.coded(serial, source).finalize().into_bytes();
        bytes[SERIAL_BYTES..].copy_from_slice(&code[..CODE_BYTES]);
        Hex::of(&bytes)
    }

    pub fn read(&self, nonce: &[u8], source: IpAddr, now: Instant) -> Result<Nonce, NonceError> {
        let mut bytes = [0; SERIAL_BYTES + CODE_BYTES];
        read_hex(nonce, &mut bytes).ok_or(NonceError::Foreign)?;
        let (serial, code) = bytes.split_at(SERIAL_BYTES);
        let serial = u64::from_be_bytes(serial.try_into().expect("split at eight bytes"));
        // In constant time.
        self.coded(serial, source)
            .verify_truncated_left(code)
            .map_err(|_| NonceError::Foreign)?;
        let nonce = Nonce {
            serial,
            age: self
                .elapsed(now)
                .saturating_sub(Duration::from_millis(serial >> COUNTER_BITS)),
        };
        if nonce.age > self.lifetime {
            return Err(NonceError::Old);
        }
        Ok(nonce)
    }

    fn coded(&self, serial: u64, source: IpAddr) -> Hmac<Sha256> {
        let source = match source.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut code = self.code.clone();
        code.update(&serial.to_be_bytes());
        code.update(&source.octets());
        code
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Nonces")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
