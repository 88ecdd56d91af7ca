//! What there is to tell of storms.

use std::time::Duration;

use super::State;
use crate::inventory::Protocol;
use crate::stats::{LOG2_BUCKETS, log2_bucket};

/// What was said to applicants of one protocol, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It refreshes what it has.
    Refresh,
    /// It was let in at its first asking.
    AtOnce,
    /// It was let in when its turn had come.
    InTurn,
    /// It waited, and was let in before its turn since there was room.
    Early,
    /// It had been let in and goes on.
    Again,
    /// It is to come again, and has a place for then.
    Wait,
    /// It came before its turn and was told the rest.
    Rest,
    /// It is to come again, and there was no place to give it.
    NoPlace,
    /// It has a name that nobody has, and heard what a phone would have.
    Stranger,
    /// Its message was too old.
    Stale,
}

impl Told {
    pub const COUNT: usize = 10;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Refresh,
        Self::AtOnce,
        Self::InTurn,
        Self::Early,
        Self::Again,
        Self::Wait,
        Self::Rest,
        Self::NoPlace,
        Self::Stranger,
        Self::Stale,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::AtOnce => "at_once",
            Self::InTurn => "in_turn",
            Self::Early => "early",
            Self::Again => "again",
            Self::Wait => "wait",
            Self::Rest => "rest",
            Self::NoPlace => "no_place",
            Self::Stranger => "stranger",
            Self::Stale => "stale",
        }
    }
}

/// The figures of one protocol since the start.
#[derive(Clone, Debug)]
pub struct Tally {
    /// By [`Told`].
    pub told: [u64; Told::COUNT],
    /// Seconds that phones were told to wait: bucket `n` counts those up to `2^n`.
    pub waits_s: [u64; LOG2_BUCKETS],
    pub waits_s_sum: u64,
    /// Microseconds that messages waited for their turn before they were taken up.
    pub ages_us: [u64; LOG2_BUCKETS],
    pub ages_us_sum: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            told: [0; Told::COUNT],
            waits_s: [0; LOG2_BUCKETS],
            waits_s_sum: 0,
            ages_us: [0; LOG2_BUCKETS],
            ages_us_sum: 0,
        }
    }
}

impl Tally {
    pub fn told(&self, told: Told) -> u64 {
        self.told[told as usize]
    }

    pub(super) fn count(&mut self, told: Told) {
        self.told[told as usize] += 1;
    }

    pub(super) fn waits(&mut self, seconds: u64) {
        self.waits_s[log2_bucket(seconds.saturating_sub(1))] += 1;
        self.waits_s_sum += seconds;
    }

    pub(super) fn aged(&mut self, age: Duration) {
        let us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        self.ages_us[log2_bucket(us)] += 1;
        self.ages_us_sum = self.ages_us_sum.saturating_add(us);
    }
}

/// Storms at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub state: State,
    /// How long it is so.
    pub lasted: Duration,
    /// Storms since the start.
    pub storms: u64,
    /// Phones a second that come for the first time, and that are registered.
    pub arrivals_per_second: f64,
    pub served_per_second: f64,
    /// Registrations a second there can be; none if no limit is known.
    pub capacity_per_second: Option<f64>,
    /// Phones that were told to come again.
    pub waiting: u64,
    pub waiting_limit: u64,
    /// Until the last of them has its turn.
    pub longest_wait: Duration,
    /// Phones that were let in and are not registered yet.
    pub in_progress: u64,
    pub in_progress_limit: u64,
    /// Phones that did not come when it was their turn, and such as never registered when they were
    /// let in.
    pub missed: u64,
    pub abandoned: u64,
    /// How often the places were moved, since less could be served than was planned.
    pub replanned: u64,
    /// What the kernel program lets in, in packets a second; none outside of storms.
    pub kernel_budget: Option<u32>,
    /// By protocol.
    pub tallies: [Tally; Protocol::ALL.len()],
}

impl Snapshot {
    pub const fn tally(&self, protocol: Protocol) -> &Tally {
        &self.tallies[protocol as usize]
    }
}
