//! Keeping a storm orderly: who may register now, and when the others are to come again.
//!
//! After a power cut all phones of a site register within a minute. A server that takes them as they
//! come falls behind, answers what nobody waits for any more, and is asked again by everybody: the
//! more it is asked, the less it does. Here each phone that cannot be served now is told when there
//! will be a place for it, which both protocols can say: `503` with `Retry-After`, and a token's or a
//! registration's rejection with a wait. Phones do what they are told, so the queue is in the phones,
//! and costs nothing here.
//!
//! ```text
//!            ┌─ Capacity    how many a second there can be, measured
//! Admission ─┼─ Calendar    who may come in which second
//!            ├─ Places      who was told to come again
//!            └─ Admitted    who is being served
//! Watch       calm → storm → draining → calm, for logs, metrics and the kernel program
//! ```
//!
//! Phones that are registered and say so again always go before those that are not, and a message
//! that waited too long is not worked on: its sender has sent it again by then. SIP over UDP does so
//! after 0.5, 1.5 and 3.5 seconds (T1 of 500 ms, RFC 3261 17.1.2.2), so what is older than two
//! seconds has younger copies of itself behind it. Of SCCP there is one copy, and a phone that
//! waits for it; it is given longer.
//!
//! All of it is sans-IO: time comes in, what to do goes out.

mod admission;
mod admitted;
mod budget;
mod calendar;
mod capacity;
mod control;
mod meter;
mod places;
mod settings;
#[cfg(test)]
mod simulation;
mod snapshot;
mod watch;

use std::time::{Duration, Instant};

pub use budget::Budget;
pub use capacity::Capacity;
pub use control::Storm;
pub use meter::Meter;
pub use settings::Settings;
pub use snapshot::{Snapshot, Tally, Told};
pub use watch::{Sight, State, Watch};

use crate::inventory::{DeviceName, Protocol};

/// A phone that wants to register.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'d> {
    pub device: &'d DeviceName,
    pub protocol: Protocol,
    /// It is registered and says so again, from the same address and in the same call or over the
    /// same connection: goes before all others. A phone that has started anew is no refresh, though
    /// it may still be registered: after a power cut that is every phone of a site.
    pub is_refresh: bool,
    /// When its message reached this host.
    pub arrived: Instant,
}

/// The place of a phone that was told to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Phones whose turn is before its own.
    pub before: usize,
    /// Zero if it may come now.
    pub due_in: Duration,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may; [`Storm::served`] is to be told when it is registered.
    Admit,
    /// It is to come again after this time, counted from now: there is a place for it then. Whole
    /// seconds.
    Wait(Duration),
    /// Its message waited so long that an answer would come too late: drop it.
    Stale,
}
