//! Who is let in now, and when the others are to come again.
//!
//! Every phone that cannot be served now gets a place: a second of its own in the [`Calendar`]. The
//! places are given at the rate of [`Capacity`], so that who comes back when told fills that rate
//! and no more. The rules:
//!
//! - nothing is idle while a phone asks: what no phone has a place for now goes to whoever asks,
//!   also to one whose turn is later, which gives its place back;
//! - a place is kept until [`Settings::grace_s`] after the phone was told to be back; what its
//!   second could have served goes to the next one;
//! - who asks early is told the rest of its wait, and keeps its place: asking more often gains
//!   nothing where somebody else has a place before it;
//! - who would have to wait longer than [`Settings::max_wait_s`] has a place, too, and is told to
//!   ask again on the way, in equal legs. So those who wait long do not all ask at the same moment;
//! - a phone comes when its protocol let it be told to, in whole seconds and with SCCP not below
//!   half a minute; its place is given for then. Seconds before that stay for others;
//! - when less can be served than was planned, all places move away in proportion, in the same
//!   order. When more can be, new places are given from the front, and who asks on the way gets a
//!   better one.

use std::time::{Duration, Instant};

use super::admitted::Admitted;
use super::calendar::{Calendar, HORIZON_S};
use super::capacity::Capacity;
use super::meter::Meter;
use super::places::{Place, Places};
use super::{Settings, Told, Turn};
use crate::inventory::{DeviceName, Protocol};

/// Who comes so little before its turn is not sent away again.
const EARLY_MS: u64 = 500;

/// A place is changed for one that is better by this at least.
const BETTER_S: u64 = 5;

/// Places move when less than this part of what was planned can be served.
const REPLAN_BELOW: f64 = 0.8;

/// How often places are gone through.
const EXPIRE: Duration = Duration::from_secs(1);

/// What is said to a newcomer: what it is counted as, and how many seconds it is to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub told: Told,
    pub wait_s: Option<u64>,
}

impl Verdict {
    const fn admit(told: Told) -> Self {
        Self { told, wait_s: None }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Admission {
    settings: Settings,
    started: Instant,
    pub(super) capacity: Capacity,
    pub(super) admitted: Admitted,
    pub(super) places: Places,
    /// Phones that ask for the first time.
    pub(super) arrivals: Meter,
    calendar: Calendar,
    /// The rate that places were given at.
    planned: f64,
    /// Phones told to come again without a place, as a rate.
    pub(super) unplaced: Meter,
    pub(super) missed: u64,
    pub(super) replanned: u64,
    expired: Instant,
}

/// How many places there may be, and for how many milliseconds they are kept.
fn places_of(settings: &Settings) -> (usize, u64) {
    let grace_ms = u64::from(settings.grace_s) * 1000;
    (settings.max_waiting as usize, grace_ms)
}

impl Admission {
    pub fn new(settings: &Settings, now: Instant) -> Self {
        let capacity = Capacity::new(settings, now);
        let (most, grace_ms) = places_of(settings);
        Self {
            settings: settings.clone(),
            started: now,
            calendar: Calendar::new(capacity.rate()),
            planned: capacity.rate(),
            capacity,
            admitted: Admitted::default(),
            places: Places::new(most, grace_ms),
            arrivals: Meter::new(now),
            unplaced: Meter::new(now),
            missed: 0,
            replanned: 0,
            expired: now,
        }
    }

    /// From now on by these settings.
    pub fn follow(&mut self, settings: &Settings) {
        let (most, grace_ms) = places_of(settings);
        self.places.follow(most, grace_ms);
        self.capacity.follow(settings);
        self.settings = settings.clone();
    }

    /// A phone that is not registered asks.
    pub fn ask(&mut self, device: &DeviceName, protocol: Protocol, now: Instant) -> Verdict {
        let now_ms = self.ms(now);
        self.calendar.advance(now_ms / 1000);
        if self.admitted.holds(device, now) {
            return Verdict::admit(Told::Again);
        }
        let place = self.places.get(device, now_ms);
        let is_due = place.is_some_and(|it| it.due_ms <= now_ms + EARLY_MS);
        if place.is_none() {
            self.arrivals.add(1, now);
        }
        if self.may_begin(now) && self.calendar.has_room(is_due) {
            self.give_up_place(device);
            self.calendar.admit();
            self.admitted.put(*device, now);
            return Verdict::admit(match place {
                None => Told::AtOnce,
                Some(_) if is_due => Told::InTurn,
                Some(_) => Told::Early,
            });
        }
        match place {
            Some(place) if place.due_ms > now_ms => {
                self.keep_waiting(device, place, protocol, now_ms)
            }
            _ => self.give_place(device, protocol, now_ms, now),
        }
    }

    /// What a phone would hear that asks for the first time: the seconds it is to wait, none if it
    /// is let in.
    pub fn glance(&mut self, protocol: Protocol, now: Instant) -> Option<u64> {
        let now_ms = self.ms(now);
        self.calendar.advance(now_ms / 1000);
        let is_full = self.admitted.in_progress() >= self.capacity.in_progress_limit(now);
        if !is_full && self.calendar.has_room(false) {
            return None;
        }
        let earliest = now_ms / 1000 + self.settings.min_wait_s(protocol);
        let rest_s = match self.calendar.first_free(earliest) {
            Some(second) => second.saturating_sub(now_ms / 1000),
            None => self.settings.max_wait_s.into(),
        };
        Some(self.leg_s(rest_s, protocol))
    }

    /// A phone that was let in is registered.
    pub fn served(&mut self, device: &DeviceName, now: Instant) {
        if let Some(took) = self.admitted.served(device, now) {
            self.capacity.served(took, now);
        }
    }

    /// What is to be done from time to time; to be called several times a second.
    pub fn tick(&mut self, now: Instant) {
        let now_ms = self.ms(now);
        self.calendar.advance(now_ms / 1000);
        self.capacity.review(self.places.len() > 0, now);
        if now.saturating_duration_since(self.expired) >= EXPIRE {
            self.expired = now;
            self.admitted.expire(now);
            let Self {
                places,
                calendar,
                missed,
                ..
            } = self;
            places.expire(now_ms, |place| {
                calendar.release(place.second());
                *missed += 1;
            });
        }
        self.plan(now_ms);
    }

    /// Its place among those that wait.
    pub fn turn(&self, device: &DeviceName, now: Instant) -> Option<Turn> {
        let now_ms = self.ms(now);
        let place = self.places.get(device, now_ms)?;
        Some(Turn {
            before: self.places.before(place),
            due_in: Duration::from_millis(place.due_ms.saturating_sub(now_ms)),
        })
    }

    /// Until the turn of the last phone that waits.
    pub fn longest_wait(&self, now: Instant) -> Duration {
        let last_ms = self.places.last_due_ms().unwrap_or_default();
        Duration::from_millis(last_ms.saturating_sub(self.ms(now)))
    }

    fn may_begin(&mut self, now: Instant) -> bool {
        if self.admitted.in_progress() < self.capacity.in_progress_limit(now) {
            return true;
        }
        self.capacity.filled(now);
        let now_ms = self.ms(now);
        self.plan(now_ms);
        false
    }

    /// A new place, in the first second that has one when the phone can be back.
    fn give_place(
        &mut self,
        device: &DeviceName,
        protocol: Protocol,
        now_ms: u64,
        now: Instant,
    ) -> Verdict {
        self.give_up_place(device);
        let earliest = now_ms / 1000 + self.settings.min_wait_s(protocol);
        let second = match self.places.has_space() {
            true => self.calendar.reserve(earliest),
            false => None,
        };
        let Some(second) = second else {
            self.unplaced.add(1, now);
            return Verdict {
                told: Told::NoPlace,
                wait_s: Some(self.settings.max_wait_s.into()),
            };
        };
        let due_ms = second * 1000 + now_ms % 1000;
        Verdict {
            told: Told::Wait,
            wait_s: Some(self.tell(device, due_ms, protocol, now_ms)),
        }
    }

    /// The phone has a place already: it keeps it, or gets a better one.
    fn keep_waiting(
        &mut self,
        device: &DeviceName,
        place: Place,
        protocol: Protocol,
        now_ms: u64,
    ) -> Verdict {
        let earliest = now_ms / 1000 + self.settings.min_wait_s(protocol);
        let mut due_ms = place.due_ms;
        if let Some(second) = self.calendar.first_free(earliest)
            && second + BETTER_S <= place.second()
        {
            self.calendar.release(place.second());
            self.calendar.put(second);
            due_ms = second * 1000 + now_ms % 1000;
        }
        Verdict {
            told: Told::Rest,
            wait_s: Some(self.tell(device, due_ms, protocol, now_ms)),
        }
    }

    /// Notes when the phone will be back; says in how many seconds that is.
    fn tell(&mut self, device: &DeviceName, due_ms: u64, protocol: Protocol, now_ms: u64) -> u64 {
        let rest_s = due_ms.saturating_sub(now_ms).div_ceil(1000);
        let wait_s = self.leg_s(rest_s, protocol);
        let back_ms = now_ms + wait_s * 1000;
        self.places.put(*device, Place { due_ms, back_ms });
        wait_s
    }

    /// How much of a wait is told at once.
    fn leg_s(&self, rest_s: u64, protocol: Protocol) -> u64 {
        let legs = rest_s.div_ceil(self.settings.max_wait_s.into()).max(1);
        let leg_s = rest_s.div_ceil(legs);
        leg_s.max(self.settings.min_wait_s(protocol))
    }

    fn give_up_place(&mut self, device: &DeviceName) {
        if let Some(place) = self.places.remove(device) {
            self.calendar.release(place.second());
        }
    }

    /// Takes over the rate there is now.
    fn plan(&mut self, now_ms: u64) {
        let rate = self.capacity.rate();
        self.calendar.set_rate(rate);
        if self.places.len() == 0 || self.planned.is_infinite() || rate > self.planned {
            self.planned = rate;
        } else if rate < REPLAN_BELOW * self.planned {
            let times = self.planned / rate;
            let Self {
                places, calendar, ..
            } = self;
            calendar.clear_places();
            // A rate that goes up and down moves them away each time it falls: not without end.
            let most_ms = HORIZON_S * 1000;
            places.stretch(now_ms, times, most_ms, |place| {
                calendar.put(place.second());
            });
            self.planned = rate;
            self.replanned += 1;
        }
    }

    /// Milliseconds since the start, and one second: the calendar has a second before the first.
    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_millis() as u64 + 1000
    }
}

#[cfg(test)]
mod tests;
