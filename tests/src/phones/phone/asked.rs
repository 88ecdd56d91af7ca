//! A file under way, over whichever protocol it was asked for.

use std::sync::Arc;
use std::time::Instant;

use crate::client::{Collect, Expect, Fetch, HttpFetch, Mismatch, Outcome, Sink, Tally};

/// Compares as it comes, or keeps it to be judged.
#[derive(Debug)]
pub(super) enum PhoneSink {
    Compare(Expect),
    Keep(Collect),
}

impl Sink for PhoneSink {
    fn block(&mut self, payload: &[u8]) -> Result<(), Mismatch> {
        match self {
            Self::Compare(sink) => sink.block(payload),
            Self::Keep(sink) => sink.block(payload),
        }
    }

    fn end(&mut self) -> Result<(), Mismatch> {
        match self {
            Self::Compare(sink) => sink.end(),
            Self::Keep(sink) => sink.end(),
        }
    }
}

/// A file under way.
pub(super) enum Asked {
    Tftp(Fetch<PhoneSink>),
    Http(HttpFetch<PhoneSink>),
}

impl Asked {
    pub(super) fn name(&self) -> &Arc<str> {
        match self {
            Self::Tftp(fetch) => &fetch.request().name,
            Self::Http(fetch) => fetch.name(),
        }
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Tftp(fetch) => fetch.outcome(),
            Self::Http(fetch) => fetch.outcome(),
        }
    }

    pub(super) fn started(&self) -> Instant {
        match self {
            Self::Tftp(fetch) => fetch.started(),
            Self::Http(fetch) => fetch.started(),
        }
    }

    pub(super) fn first_answer(&self) -> Option<Instant> {
        match self {
            Self::Tftp(fetch) => fetch.first_answer(),
            Self::Http(fetch) => fetch.first_answer(),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        match self {
            Self::Tftp(fetch) => fetch.tally(),
            Self::Http(fetch) => fetch.tally(),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Tftp(fetch) => fetch.deadline(),
            Self::Http(fetch) => fetch.deadline(),
        }
    }

    pub(super) fn into_sink(self) -> PhoneSink {
        match self {
            Self::Tftp(fetch) => fetch.into_sink(),
            Self::Http(fetch) => fetch.into_sink(),
        }
    }
}
