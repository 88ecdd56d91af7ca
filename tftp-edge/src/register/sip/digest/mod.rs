//! Digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760), without state for each phone.
//!
//! A nonce holds its own time and a code over it that only this process can make, bound to the
//! address it was given to: so whoever sends one back has proved its address, and nothing is kept
//! for those who never do. What is kept, and bounded, is which nonces were *used* and how often
//! (`Replays`), since a nonce serves for more than one request.
//!
//! Old Cisco stacks know MD5 alone, and it is not known of all of them what they make of a challenge
//! with another algorithm: some take the first challenge, some may read all of them as one. So MD5
//! comes first unless the settings say otherwise, each algorithm has a header of its own, and an
//! answer is taken by the algorithm it names (MD5 if it names none), whatever challenge it answers.

mod algorithm;
mod credentials;
mod nonce;
mod replay;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq as _;

pub use algorithm::Algorithm;
pub use credentials::{Credentials, Unreadable};
use nonce::{NonceError, Nonces};
use replay::{Replays, Use};

use super::message::Answer;

/// How phones authenticate.
pub struct Digest {
    realm: Box<str>,
    algorithms: Vec<Algorithm>,
    accepts_no_qop: bool,
    nonces: Nonces,
    replays: Replays,
    /// Stands in for the password of those who have none.
    nobody: String,
}

/// What a request is authenticated by, next to its credentials.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'c> {
    /// As it was written.
    pub method: &'c [u8],
    pub source: IpAddr,
    /// Equal for two messages only if all their bytes are.
    pub fingerprint: u64,
}

/// What credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They are right.
    Good,
    /// They may be right; with a fresh nonce they would tell.
    Stale(Staleness),
    /// The nonce is ours, and the answer to it is wrong.
    Wrong,
    /// They are not of a kind that was asked for.
    Unusable,
}

/// Why a nonce does not count any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// Its time is over.
    Old,
    /// It was not given out by this process, or not to this address.
    Foreign,
    /// It was used with this count, or a higher one, by another request.
    Replayed,
}

/// How a [`Digest`] is set up.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub realm: Box<str>,
    /// In the order of the challenges.
    pub algorithms: Vec<Algorithm>,
    pub accepts_no_qop: bool,
    pub nonce_lifetime: Duration,
    /// Most used nonces that are remembered.
    pub nonces: usize,
}

impl Digest {
    pub fn new(parameters: Parameters, now: Instant) -> Self {
        Self {
            realm: parameters.realm,
            algorithms: parameters.algorithms,
            accepts_no_qop: parameters.accepts_no_qop,
            nonces: Nonces::new(parameters.nonce_lifetime, now),
            replays: Replays::new(parameters.nonces, parameters.nonce_lifetime),
            nobody: format!("{:032x}", rand::random::<u128>()),
        }
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Writes the challenges, with one nonce in all of them.
    pub fn challenge(&self, answer: &mut Answer, source: IpAddr, is_stale: bool, now: Instant) {
        let nonce = self.nonces.issue(source, now);
        let nonce = nonce.as_str();
        let realm = &self.realm;
        let stale = if is_stale { ", stale=TRUE" } else { "" };
        for algorithm in &self.algorithms {
            let algorithm = algorithm.as_str();
            answer.header(
                "WWW-Authenticate",
                format_args!(
                    "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, \
                     qop=\"auth\"{stale}"
                ),
            );
        }
    }

    /// Whether a nonce was given to this address and still counts: who sends it is there. Of its
    /// response nothing is said.
    pub fn knows(&self, credentials: &Credentials<'_>, source: IpAddr, now: Instant) -> bool {
        self.nonces.read(credentials.nonce, source, now).is_ok()
    }

    /// Checks credentials against the secret of their user. Without one it takes the same steps,
    /// and they are wrong.
    pub fn check(
        &self,
        credentials: &Credentials<'_>,
        claim: &Claim<'_>,
        secret: Option<&str>,
        now: Instant,
    ) -> Outcome {
        if !self.algorithms.contains(&credentials.algorithm)
            || credentials.qop.is_none() && !self.accepts_no_qop
        {
            return Outcome::Unusable;
        }
        let nonce = match self.nonces.read(credentials.nonce, claim.source, now) {
            Ok(nonce) => nonce,
            Err(NonceError::Foreign) => return Outcome::Stale(Staleness::Foreign),
            Err(NonceError::Old) => return Outcome::Stale(Staleness::Old),
        };
        let expected = credentials.expected(claim.method, secret.unwrap_or(&self.nobody));
        let is_right: bool = expected.as_bytes().ct_eq(credentials.response).into();
        if !is_right || secret.is_none() {
            return Outcome::Wrong;
        }
        let used = Use {
            // Without a count, a nonce is good for one request.
            count: credentials.qop.map_or(u32::MAX, |qop| qop.count),
            fingerprint: claim.fingerprint,
        };
        if self.replays.take(&nonce, used, self.nonces.elapsed(now)) {
            Outcome::Good
        } else {
            Outcome::Stale(Staleness::Replayed)
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Digest")
            .field("realm", &self.realm)
            .field("algorithms", &self.algorithms)
            .field("accepts_no_qop", &self.accepts_no_qop)
            .finish_non_exhaustive()
    }
}
