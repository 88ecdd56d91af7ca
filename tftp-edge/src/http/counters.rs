//! What HTTP has done, in the same shape as the rungs of TFTP, and what it has refused.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::stats::{Counters, Path, Tally};

/// The two ways to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const COUNT: usize = 2;
    pub const ALL: [Self; Self::COUNT] = [Self::Http, Self::Https];

    /// The label value of the metrics.
    pub const fn path(self) -> Path {
        match self {
            Self::Http => Path::Http,
            Self::Https => Path::Https,
        }
    }
}

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident => $label:literal,)+) => {
        /// Why a connection was ended, or a request got no file although there may be one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Refusal {
            pub const COUNT: usize = [$(Self::$name),+].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

refusals! {
    /// The client is not on the allow list: closed without a word.
    Denied => "denied",
    /// The bound on connections was reached: 503.
    Connections => "connections",
    /// The bound on one source's connections was reached: 503.
    SourceConnections => "source_connections",
    /// No TLS session came about.
    Handshake => "handshake",
    /// Not HTTP: 400.
    Malformed => "malformed",
    /// A request line or header that is too long: 414 or 431.
    TooLarge => "too_large",
    /// Neither GET nor HEAD: 405.
    Method => "method",
    /// The source asked for too many names that do not exist: closed without an answer, as TFTP
    /// would be silent.
    MissBudget => "miss_budget",
    /// The same for too many devices nobody knows.
    UnknownBudget => "unknown_budget",
    /// The file could not be read in time, or there is no room for it: 503.
    NotReady => "not_ready",
    /// Nothing was asked for too long.
    Idle => "idle",
    /// A request was begun and not ended in time.
    SlowRequest => "slow_request",
    /// The client took too little of what was sent to it.
    SlowReader => "slow_reader",
}

/// Live counters of one scheme.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) stages: Counters,
    refused: [AtomicU64; Refusal::COUNT],
    connections: AtomicU64,
    in_progress: AtomicU64,
}

impl Lane {
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A file is about to be sent.
    pub(super) fn began(&self) {
        self.in_progress.fetch_add(1, Ordering::Relaxed);
    }

    /// It is no longer being sent.
    pub(super) fn ended(&self) {
        self.in_progress.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            tally: self.stages.tally(),
            refused: std::array::from_fn(|at| self.refused[at].load(Ordering::Relaxed)),
            connections: self.connections.load(Ordering::Relaxed),
            in_progress: self.in_progress.load(Ordering::Relaxed),
        }
    }
}

/// What one scheme has done, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    pub tally: Tally,
    pub refused: [u64; Refusal::COUNT],
    /// Open now.
    pub connections: u64,
    /// Files being sent now.
    pub in_progress: u64,
}

impl Traffic {
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize]
    }
}

/// What metrics and status are told.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Addresses connections are taken on, in the order of [`Scheme::ALL`].
    pub bound: [Vec<SocketAddr>; Scheme::COUNT],
    /// Addresses on which nobody takes connections any more, although the server runs.
    pub listeners_ended: usize,
    pub traffic: [Traffic; Scheme::COUNT],
    pub connections_limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_in_the_order_of_the_numbers() {
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, number);
        }
        let mut labels = Refusal::ALL.map(Refusal::as_str);
        labels.sort_unstable();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
