//! What a fleet has lived through when it registered.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Over;
use super::registration::{Seen, Setback};
use super::report::{add, histogram, record};

/// Width of a column of [`RegistrationReport::arrivals`].
const COLUMN: Duration = Duration::from_millis(100);

/// What servers say to those they turn away, so many different texts of it.
const TEXTS: usize = 20;

/// One protocol over one transport.
#[derive(Clone, Debug)]
pub struct OverReport {
    /// Phones that have registered at least once.
    pub phones: u64,
    /// Phones that were registered at the end.
    pub at_end: u64,
    /// Microseconds from a phone's power-on until it was registered.
    pub from_power_us: Histogram<u64>,
    /// Microseconds from the first time it asked until then.
    pub from_ask_us: Histogram<u64>,
    /// How often phones asked until then.
    pub asks_each: Histogram<u64>,
}

#[derive(Clone, Debug)]
pub struct RegistrationReport {
    over: Vec<OverReport>,
    /// How often phones asked until they were registered.
    pub asks_each: Histogram<u64>,
    /// Asks of all phones, in each tenth of a second since the first power-on.
    pub arrivals: Vec<u32>,
    /// Phones that were registered for the first time, in each of these.
    pub taken: Vec<u32>,
    /// Since the first power-on.
    first_ask: Option<Duration>,
    last_registered: Option<Duration>,
    setbacks: [u64; Setback::ALL.len()],
    /// What they were told with it.
    pub texts: BTreeMap<Box<str>, u64>,
    /// Milliseconds phones were set back.
    pub waits_ms: Histogram<u64>,
    pub asks: u64,
    pub knocks: u64,
    pub resends: u64,
    pub refreshes: u64,
    pub orders: u64,
    /// Phones that have unregistered.
    pub left: u64,
}

impl RegistrationReport {
    pub(super) fn new() -> Self {
        let over = || OverReport {
            phones: 0,
            at_end: 0,
            from_power_us: histogram(),
            from_ask_us: histogram(),
            asks_each: histogram(),
        };
        Self {
            over: Over::ALL.iter().map(|_| over()).collect(),
            asks_each: histogram(),
            arrivals: Vec::new(),
            taken: Vec::new(),
            first_ask: None,
            last_registered: None,
            setbacks: [0; Setback::ALL.len()],
            texts: BTreeMap::new(),
            waits_ms: histogram(),
            asks: 0,
            knocks: 0,
            resends: 0,
            refreshes: 0,
            orders: 0,
            left: 0,
        }
    }

    pub fn over(&self, over: Over) -> &OverReport {
        &self.over[over as usize]
    }

    /// Phones that have registered at least once.
    pub fn phones(&self) -> u64 {
        self.over.iter().map(|it| it.phones).sum()
    }

    /// Phones that were registered at the end.
    pub fn at_end(&self) -> u64 {
        self.over.iter().map(|it| it.at_end).sum()
    }

    pub fn setbacks(&self, why: Setback) -> u64 {
        self.setbacks[why as usize]
    }

    /// From the first time a phone asked until the last one was registered for the first time.
    pub fn drain(&self) -> Duration {
        match (self.first_ask, self.last_registered) {
            (Some(first), Some(last)) => last.saturating_sub(first),
            _ => Duration::ZERO,
        }
    }

    /// The most asks in one second.
    pub fn peak_per_second(&self) -> u32 {
        busiest_second(&self.arrivals)
    }

    /// The most phones that were registered in one second.
    pub fn taken_per_second(&self) -> u32 {
        busiest_second(&self.taken)
    }

    pub(super) fn asked(&mut self, since_start: Duration) {
        count(&mut self.arrivals, since_start);
        self.first_ask = Some(self.first_ask.map_or(since_start, |it| it.min(since_start)));
    }

    pub(super) fn first_registered(
        &mut self,
        over: Over,
        asks: u32,
        from_power: Duration,
        from_ask: Duration,
        since_start: Duration,
    ) {
        let row = &mut self.over[over as usize];
        row.phones += 1;
        record(&mut row.from_power_us, from_power);
        record(&mut row.from_ask_us, from_ask);
        row.asks_each += u64::from(asks);
        count(&mut self.taken, since_start);
        self.asks_each += u64::from(asks);
        self.last_registered = self.last_registered.max(Some(since_start));
    }

    pub(super) fn stays(&mut self, over: Option<Over>) {
        if let Some(over) = over {
            self.over[over as usize].at_end += 1;
        }
    }

    pub(super) fn set_back(&mut self, why: Setback, wait: Duration, text: Option<&str>) {
        self.setbacks[why as usize] += 1;
        self.waits_ms += u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let Some(text) = text else { return };
        if let Some(count) = self.texts.get_mut(text) {
            *count += 1;
        } else if self.texts.len() < TEXTS {
            self.texts.insert(text.into(), 1);
        }
    }

    /// What one phone has seen in all.
    pub(super) fn phone(&mut self, seen: &Seen) {
        self.asks += u64::from(seen.asks);
        self.knocks += u64::from(seen.knocks);
        self.resends += u64::from(seen.resends);
        self.refreshes += u64::from(seen.refreshes);
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.over.iter_mut().zip(other.over) {
            mine.phones += theirs.phones;
            mine.at_end += theirs.at_end;
            add(&mut mine.from_power_us, &theirs.from_power_us);
            add(&mut mine.from_ask_us, &theirs.from_ask_us);
            add(&mut mine.asks_each, &theirs.asks_each);
        }
        add(&mut self.asks_each, &other.asks_each);
        add(&mut self.waits_ms, &other.waits_ms);
        for (mine, theirs) in [
            (&mut self.arrivals, other.arrivals),
            (&mut self.taken, other.taken),
        ] {
            mine.resize(mine.len().max(theirs.len()), 0);
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine += theirs;
            }
        }
        self.first_ask = [self.first_ask, other.first_ask]
            .into_iter()
            .flatten()
            .min();
        self.last_registered = self.last_registered.max(other.last_registered);
        for (mine, theirs) in self.setbacks.iter_mut().zip(other.setbacks) {
            *mine += theirs;
        }
        for (text, count) in other.texts {
            *self.texts.entry(text).or_default() += count;
        }
        self.asks += other.asks;
        self.knocks += other.knocks;
        self.resends += other.resends;
        self.refreshes += other.refreshes;
        self.orders += other.orders;
        self.left += other.left;
    }
}

/// One more in the column of this time.
fn count(columns: &mut Vec<u32>, since_start: Duration) {
    let column = (since_start.as_millis() / COLUMN.as_millis()) as usize;
    if columns.len() <= column {
        columns.resize(column + 1, 0);
    }
    columns[column] += 1;
}

/// The most in ten columns in a row.
fn busiest_second(columns: &[u32]) -> u32 {
    let second = (Duration::from_secs(1).as_millis() / COLUMN.as_millis()) as usize;
    let sums = columns.windows(second.min(columns.len()).max(1));
    sums.map(|columns| columns.iter().sum()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drain_and_the_peak_are_those_of_all_threads() {
        let (mut one, mut other) = (RegistrationReport::new(), RegistrationReport::new());
        let ms = Duration::from_millis;
        for at in [950, 1950, 2000] {
            one.asked(ms(at));
        }
        other.asked(ms(1050));
        other.asked(ms(1080));
        one.first_registered(Over::Sccp, 1, ms(3000), ms(1000), ms(3000));
        other.first_registered(Over::SipUdp, 2, ms(9000), ms(8000), ms(9050));
        one.merge(other);
        assert_eq!((one.phones(), one.drain()), (2, ms(8100)));
        assert_eq!(one.peak_per_second(), 3);
        assert_eq!((one.asks_each.min(), one.asks_each.max()), (1, 2));
    }
}
