//! Answers other than 200.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::register::Refusal;
use crate::register::sip::core::Exchange;
use crate::register::sip::counts::{Event, Tally};
use crate::register::sip::digest::{Digest, Staleness};
use crate::register::sip::message::Defect;

/// Who says a warning (RFC 3261 20.43).
const AGENT: &str = "tftp-edge";

/// A call manager was seen to let a phone whose name is taken wait so long.
const DUPLICATE_WAIT_S: u64 = 35;

/// For a phone that finds no room.
const CAPACITY_WAIT_S: u64 = 60;

/// Why a request is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    Malformed(Defect),
    /// Credentials are needed.
    Challenge,
    /// Others are.
    Stale(Staleness),
    Refused(Refusal),
    /// Not now, but after this time.
    Later(Refusal, Duration),
    /// A time is asked for that is too short.
    TooBrief,
    Silence(Refusal),
}

impl From<Defect> for No {
    fn from(defect: Defect) -> Self {
        Self::Malformed(defect)
    }
}

impl No {
    /// Counts it, and writes what is said to it.
    pub fn answer(
        self,
        exchange: &Exchange<'_, '_>,
        digest: &Digest,
        min_expires_s: u32,
        tally: &Tally,
    ) -> Option<Vec<u8>> {
        let reply = exchange.reply;
        let bytes = match self {
            Self::Malformed(defect) => {
                tally.defect(defect);
                tally.refusal(Refusal::Malformed);
                reply.begin(defect.code(), &defect.to_string()).finish()
            }
            Self::Challenge => {
                tally.event(Event::Challenged);
                challenge(exchange, digest, false)
            }
            Self::Stale(why) => {
                tally.event(match why {
                    Staleness::Old => Event::NonceOld,
                    Staleness::Foreign => Event::NonceForeign,
                    Staleness::Replayed => Event::NonceReplayed,
                });
                challenge(exchange, digest, true)
            }
            Self::TooBrief => {
                tally.event(Event::TooBrief);
                let mut answer = reply.begin(423, "Interval Too Brief");
                answer.header("Min-Expires", format_args!("{min_expires_s}"));
                answer.finish()
            }
            Self::Later(refusal, wait) => {
                tally.refusal(refusal);
                let mut answer = reply.begin(503, "Service Unavailable");
                answer.header("Retry-After", format_args!("{}", whole_seconds(wait)));
                answer.finish()
            }
            Self::Silence(refusal) => {
                tally.refusal(refusal);
                return None;
            }
            Self::Refused(refusal) => {
                tally.refusal(refusal);
                refused(exchange, refusal)
            }
        };
        Some(bytes)
    }
}

/// At least one: a phone that is to come again at once would not have been refused.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    let up = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + up).max(1)
}

fn challenge(exchange: &Exchange<'_, '_>, digest: &Digest, is_stale: bool) -> Vec<u8> {
    let mut answer = exchange.reply.begin(401, "Unauthorized");
    let (source, now): (IpAddr, Instant) = (exchange.incoming.source.ip(), exchange.now);
    digest.challenge(&mut answer, source, is_stale, now);
    answer.finish()
}

/// Phones show "Registration rejected" to all of them; the warning is for who looks at a capture.
/// A wrong password and an unknown user get the same, to the byte.
fn refused(exchange: &Exchange<'_, '_>, refusal: Refusal) -> Vec<u8> {
    let (code, reason, warning) = match refusal {
        Refusal::UnknownDevice => (404, "Not Found", None),
        Refusal::Sequence => (400, "CSeq Out Of Order", None),
        Refusal::Capacity => (503, "Service Unavailable", None),
        Refusal::LineMismatch => {
            let warning = "This line is not configured on this device";
            (403, "Forbidden", Some(warning))
        }
        Refusal::ProtocolMismatch => {
            let warning = "This device is configured for SCCP";
            (403, "Forbidden", Some(warning))
        }
        Refusal::WrongModel => {
            let warning = "This device is configured as another model";
            (403, "Forbidden", Some(warning))
        }
        Refusal::Duplicate => {
            let warning = "Registration is active for another client";
            (403, "Forbidden", Some(warning))
        }
        Refusal::AutoRegistration => {
            let warning = "No number is free for a new device";
            (403, "Forbidden", Some(warning))
        }
        Refusal::BadConfiguration
        | Refusal::Authentication
        | Refusal::Malformed
        | Refusal::OldVersion
        | Refusal::CapabilitiesTimeout
        | Refusal::Denied
        | Refusal::Banned
        | Refusal::Storm
        | Refusal::Stale => (403, "Forbidden", None),
    };
    let mut answer = exchange.reply.begin(code, reason);
    if let Some(warning) = warning {
        answer.header("Warning", format_args!("399 {AGENT} \"{warning}\""));
    }
    match refusal {
        Refusal::Duplicate => answer.header("Retry-After", format_args!("{DUPLICATE_WAIT_S}")),
        Refusal::Capacity => answer.header("Retry-After", format_args!("{CAPACITY_WAIT_S}")),
        _ => {}
    }
    answer.finish()
}
