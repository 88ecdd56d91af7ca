//! What came, and what became of it: each under a name of a closed list.

use std::sync::atomic::{AtomicU64, Ordering};

use super::message::{Defect, Method};
use crate::register::Refusal;

/// What happened to a message or a phone, other than a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A phone has registered that was not registered, or has begun anew.
    Registered,
    /// A further line of it, or another contact.
    Added,
    Refreshed,
    /// It asked what there is.
    Fetched,
    Unregistered,
    /// A standby keepalive: nothing was changed.
    KeepAlive,
    /// Asked for credentials, since there were none to check.
    Challenged,
    /// Asked again: the nonce was too old,
    NonceOld,
    /// not ours or not for that address,
    NonceForeign,
    /// or used already.
    NonceReplayed,
    /// Told to ask for a longer time (423).
    TooBrief,
    /// Told what is required and not known here (420).
    BadExtension,
    Alarm,
    TokenGranted,
    Options,
    /// Any other request that was answered.
    Other,
    /// Handed to the PBX.
    Relayed,
    /// A response, or an ACK, that nothing is waited for.
    Ignored,
    /// A phone was sent an order,
    Ordered,
    /// and did not answer it.
    Unanswered,
    /// A message without a way back.
    Unanswerable,
}

impl Event {
    pub const ALL: [Self; 21] = [
        Self::Registered,
        Self::Added,
        Self::Refreshed,
        Self::Fetched,
        Self::Unregistered,
        Self::KeepAlive,
        Self::Challenged,
        Self::NonceOld,
        Self::NonceForeign,
        Self::NonceReplayed,
        Self::TooBrief,
        Self::BadExtension,
        Self::Alarm,
        Self::TokenGranted,
        Self::Options,
        Self::Other,
        Self::Relayed,
        Self::Ignored,
        Self::Ordered,
        Self::Unanswered,
        Self::Unanswerable,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Added => "added",
            Self::Refreshed => "refreshed",
            Self::Fetched => "fetched",
            Self::Unregistered => "unregistered",
            Self::KeepAlive => "keep_alive",
            Self::Challenged => "challenged",
            Self::NonceOld => "nonce_old",
            Self::NonceForeign => "nonce_foreign",
            Self::NonceReplayed => "nonce_replayed",
            Self::TooBrief => "too_brief",
            Self::BadExtension => "bad_extension",
            Self::Alarm => "alarm",
            Self::TokenGranted => "token_granted",
            Self::Options => "options",
            Self::Other => "other",
            Self::Relayed => "relayed",
            Self::Ignored => "ignored",
            Self::Ordered => "ordered",
            Self::Unanswered => "unanswered",
            Self::Unanswerable => "unanswerable",
        }
    }
}

/// All counts since the start, each at the place of its value in `ALL`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that could be read.
    pub requests: [u64; Method::ALL.len()],
    pub events: [u64; Event::ALL.len()],
    pub refusals: [u64; Refusal::ALL.len()],
    pub defects: [u64; Defect::ALL.len()],
}

impl Counts {
    pub fn event(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    pub fn refusal(&self, refusal: Refusal) -> u64 {
        self.refusals[refusal as usize]
    }

    pub fn defect(&self, defect: Defect) -> u64 {
        self.defects[defect as usize]
    }
}

/// Where they are counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    requests: [AtomicU64; Method::ALL.len()],
    events: [AtomicU64; Event::ALL.len()],
    refusals: [AtomicU64; Refusal::ALL.len()],
    defects: [AtomicU64; Defect::ALL.len()],
}

impl Tally {
    pub(super) fn request(&self, method: Method) {
        self.requests[method as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn event(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refusal(&self, refusal: Refusal) {
        self.refusals[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn defect(&self, defect: Defect) {
        self.defects[defect as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        fn read<const N: usize>(counters: &[AtomicU64; N]) -> [u64; N] {
            std::array::from_fn(|at| counters[at].load(Ordering::Relaxed))
        }
        Counts {
            requests: read(&self.requests),
            events: read(&self.events),
            refusals: read(&self.refusals),
            defects: read(&self.defects),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_label_of_its_own_at_its_place() {
        let mut labels: Vec<_> = Event::ALL.iter().map(|it| it.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Event::ALL.len());
        for (place, event) in Event::ALL.iter().enumerate() {
            assert_eq!(*event as usize, place);
        }
    }
}
