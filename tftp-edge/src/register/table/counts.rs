//! How many there are, and what has happened to them.

use std::ops::AddAssign;

use crate::inventory::Protocol;
use crate::register::Departure;

/// What a registration that came did to the table; the label `event` of the metrics. What takes
/// one out is counted by [`Departure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The device was not registered.
    New,
    /// It was, and is for longer.
    Refresh,
    /// It was, from elsewhere or otherwise.
    Replace,
}

impl Event {
    pub const ALL: [Self; 3] = [Self::New, Self::Refresh, Self::Replace];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Refresh => "refresh",
            Self::Replace => "replace",
        }
    }
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    events: [[u64; Event::ALL.len()]; Protocol::ALL.len()],
    departures: [[u64; Departure::ALL.len()]; Protocol::ALL.len()],
}

impl Tally {
    pub(super) fn event(&mut self, protocol: Protocol, event: Event) {
        self.events[protocol as usize][event as usize] += 1;
    }

    pub(super) fn departure(&mut self, protocol: Protocol, why: Departure) {
        self.departures[protocol as usize][why as usize] += 1;
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        for protocol in Protocol::ALL.map(|it| it as usize) {
            for (sum, one) in self.events[protocol].iter_mut().zip(other.events[protocol]) {
                *sum += one;
            }
            let departures = self.departures[protocol].iter_mut();
            for (sum, one) in departures.zip(other.departures[protocol]) {
                *sum += one;
            }
        }
    }
}

/// The table at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub(super) registered: [u64; Protocol::ALL.len()],
    /// Most devices there may be.
    pub limit: u64,
    /// Addresses that phones are registered from.
    pub sources: u64,
    /// Devices that found no room since the start.
    pub refused: u64,
    /// Restored ones that have not been heard of since the start of the daemon.
    pub expected: u64,
    pub(super) tally: Tally,
}

impl Counts {
    pub fn registered(&self, protocol: Protocol) -> u64 {
        self.registered[protocol as usize]
    }

    pub fn events(&self, protocol: Protocol, event: Event) -> u64 {
        self.tally.events[protocol as usize][event as usize]
    }

    pub fn departures(&self, protocol: Protocol, why: Departure) -> u64 {
        self.tally.departures[protocol as usize][why as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_event_has_its_place() {
        for (place, why) in Departure::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
        for (place, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, place);
        }
    }
}
