//! How many registrations a second there can be.
//!
//! While nobody has to wait, what is served is what comes, and says nothing of what could be served.
//! So no limit is known at first, and none is needed. It shows when it is reached, by either of two
//! signs:
//!
//! - messages are old when they are taken up, even the youngest of a second: more arrive than are
//!   worked on. (The youngest, as CoDel has it in RFC 8289: a burst makes some messages old, only a
//!   standing queue makes all of them so.)
//! - more phones are under way than the rate and the time of one registration make up for, twice
//!   over: so each takes twice as long as it has to.
//!
//! What is served in such a second is the limit. From there on it is raised by a little each second
//! in which phones wait and neither sign is seen, and so it follows what the host, or the system
//! behind it, can take.

use std::time::{Duration, Instant};

use super::Settings;
use super::meter::Meter;

/// Taken for the limit when the first sign is seen before anything was measured, per second.
const ASSUMED: f64 = 200.0;

/// The limit is never taken to be below, per second: a standstill of a few seconds must not put off
/// phones for hours.
const LEAST: f64 = 10.0;

/// How old the youngest message of a second is when too many arrive.
const OLD: Duration = Duration::from_millis(250);

/// Messages without which their age says nothing.
const SAMPLES: u32 = 5;

/// How long a registration takes that nothing holds up, as far as that is believed.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// Registrations that may be under way at any rate.
const ALWAYS_IN_PROGRESS: f64 = 64.0;

/// By how much the limit is raised each second: until the first one was found, and from then on.
const PROBE_FAST: f64 = 1.5;
const PROBE: f64 = 1.1;

/// Work is measured over two seconds.
const MEASURED: Duration = Duration::from_secs(2);

const REVIEW: Duration = Duration::from_secs(1);

/// What was learnt of the last storm is forgotten after so long without one.
const FORGET: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Capacity {
    /// As the operator says; infinite if they do not.
    max: f64,
    most_in_progress: f64,
    learnt: Option<f64>,
    /// No sign was seen since the limit was assumed.
    is_probing: bool,
    drain: Meter,
    ages: Ages,
    shortest: Shortest,
    /// No more was let in since too much was under way.
    is_full: bool,
    reviewed: Instant,
    /// Since when, and until when, phones waited.
    busy: Option<(Instant, Instant)>,
}

impl Capacity {
    pub fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            max: most_per_second(settings),
            most_in_progress: f64::from(settings.max_in_progress),
            learnt: None,
            is_probing: true,
            drain: Meter::new(now),
            ages: Ages::default(),
            shortest: Shortest::default(),
            is_full: false,
            reviewed: now,
            busy: None,
        }
    }

    /// From now on by these settings. What was learnt stays.
    pub fn follow(&mut self, settings: &Settings) {
        self.max = most_per_second(settings);
        self.most_in_progress = f64::from(settings.max_in_progress);
    }

    /// Registrations a second; infinite while no limit is known.
    pub fn rate(&self) -> f64 {
        self.learnt.unwrap_or(f64::INFINITY).min(self.max)
    }

    /// Registrations that may be under way.
    pub fn in_progress_limit(&mut self, now: Instant) -> usize {
        let rate = match self.rate() {
            rate if rate.is_finite() => rate,
            _ => self.drain.rate(now).max(ASSUMED),
        };
        let one_takes = self.shortest.get().clamp(SHORTEST, LONGEST);
        let limit = 2.0 * rate * one_takes.as_secs_f64();
        limit.max(ALWAYS_IN_PROGRESS).min(self.most_in_progress) as usize
    }

    /// Registrations that were completed, per second.
    pub fn drained(&mut self, now: Instant) -> f64 {
        self.drain.rate(now)
    }

    /// A message was taken up that old.
    pub fn aged(&mut self, age: Duration) {
        self.ages.add(age);
    }

    /// A registration was completed that took so long.
    pub fn served(&mut self, took: Duration, now: Instant) {
        self.drain.add(1, now);
        self.shortest.add(took, now);
    }

    /// So many were completed elsewhere, as far as that can be seen.
    pub fn seen_served(&mut self, count: u32, now: Instant) {
        self.drain.add(count, now);
    }

    /// A phone is not let in since too much is under way.
    pub fn filled(&mut self, now: Instant) {
        self.is_full = true;
        if self.rate().is_infinite() {
            self.learnt = Some(self.drain.rate(now).max(ASSUMED));
        }
    }

    /// To be called often; looks once a second. `has_waiting`: phones were told to come again.
    pub fn review(&mut self, has_waiting: bool, now: Instant) {
        if now.saturating_duration_since(self.reviewed) < REVIEW {
            return;
        }
        self.reviewed = now;
        let drained = self.drain.rate(now);
        let is_full = std::mem::take(&mut self.is_full);
        let are_old = self.ages.take_youngest().is_some_and(|age| age > OLD);
        if has_waiting || is_full || are_old {
            self.busy = Some((self.busy.map_or(now, |(since, _)| since), now));
        } else if let Some((_, last)) = self.busy
            && now.saturating_duration_since(last) > FORGET
        {
            self.busy = None;
            self.learnt = None;
            self.is_probing = true;
        }
        let Some((since, _)) = self.busy else {
            return;
        };
        // With as much done as there was a limit for, being full is no sign of a lower one.
        let is_short = is_full && drained < 0.9 * self.rate();
        if are_old || is_short {
            if now.saturating_duration_since(since) >= MEASURED {
                self.learnt = Some(drained.max(LEAST));
                self.is_probing = false;
            }
        } else if let Some(learnt) = self.learnt
            && has_waiting
            && drained > 0.75 * self.rate()
        {
            let step = if self.is_probing { PROBE_FAST } else { PROBE };
            self.learnt = Some(learnt.max(drained) * step);
        }
    }
}

fn most_per_second(settings: &Settings) -> f64 {
    match settings.max_registrations_per_second {
        0 => f64::INFINITY,
        max => f64::from(max),
    }
}

/// The youngest message of a second.
#[derive(Debug, Default)]
struct Ages {
    samples: u32,
    youngest: Option<Duration>,
}

impl Ages {
    fn add(&mut self, age: Duration) {
        self.samples += 1;
        self.youngest = Some(self.youngest.map_or(age, |youngest| youngest.min(age)));
    }

    /// None if there were too few.
    fn take_youngest(&mut self) -> Option<Duration> {
        let Self { samples, youngest } = std::mem::take(self);
        youngest.filter(|_| samples >= SAMPLES)
    }
}

/// The quickest registration within half a minute to a minute.
#[derive(Debug, Default)]
struct Shortest {
    since: Option<Instant>,
    present: Option<Duration>,
    before: Option<Duration>,
}

impl Shortest {
    const GENERATION: Duration = Duration::from_secs(30);

    fn add(&mut self, took: Duration, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= Self::GENERATION {
            self.before = self.present.take();
            self.since = Some(now);
        }
        self.present = Some(self.present.map_or(took, |present| present.min(took)));
    }

    fn get(&self) -> Duration {
        let known = [self.present, self.before].into_iter().flatten();
        known.min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn capacity(max: u32) -> (Capacity, Instant) {
        let start = Instant::now();
        let settings = Settings {
            max_registrations_per_second: max,
            ..Settings::default()
        };
        (Capacity::new(&settings, start), start)
    }

    /// A second in which so many registrations were done, each in half a second.
    fn work(capacity: &mut Capacity, now: &mut Instant, done: u32, is_full: bool) {
        for at in 0..done {
            let at = *now + SECOND * at / done;
            capacity.served(SECOND / 2, at);
        }
        if is_full {
            capacity.filled(*now);
        }
        *now += SECOND;
        capacity.review(is_full, *now);
    }

    #[test]
    fn no_limit_is_known_while_nobody_waits() {
        let (mut capacity, mut now) = capacity(0);
        assert!(capacity.rate().is_infinite());
        for _ in 0..10 {
            work(&mut capacity, &mut now, 50, false);
        }
        assert!(capacity.rate().is_infinite());
        // The host is asked for as much as it showed it can do, not for everything at once.
        assert_eq!(capacity.in_progress_limit(now), 400);
    }

    #[test]
    fn what_is_done_while_too_much_is_under_way_is_the_limit() {
        let (mut capacity, mut now) = capacity(0);
        for _ in 0..6 {
            work(&mut capacity, &mut now, 60, true);
        }
        assert!(
            (54.0..66.0).contains(&capacity.rate()),
            "{}",
            capacity.rate()
        );
        // It can do more again.
        for _ in 0..10 {
            let rate = capacity.rate() as u32;
            for at in 0..rate {
                capacity.served(SECOND / 2, now + SECOND * at / rate);
            }
            now += SECOND;
            capacity.review(true, now);
        }
        assert!(capacity.rate() > 100.0, "{}", capacity.rate());
        // A minute without a storm: nothing is known any more.
        for _ in 0..62 {
            work(&mut capacity, &mut now, 1, false);
        }
        assert!(capacity.rate().is_infinite());
    }

    #[test]
    fn old_messages_show_that_more_arrive_than_are_worked_on() {
        let (mut capacity, mut now) = capacity(0);
        for _ in 0..5 {
            for age in 300..310 {
                capacity.aged(Duration::from_millis(age));
            }
            work(&mut capacity, &mut now, 500, false);
        }
        assert!((450.0..550.0).contains(&capacity.rate()));
        // A burst has young ones, too.
        let (mut capacity, mut now) = self::capacity(0);
        for _ in 0..5 {
            for age in 0..1000 {
                capacity.aged(Duration::from_millis(age));
            }
            work(&mut capacity, &mut now, 500, false);
        }
        assert!(capacity.rate().is_infinite());
    }

    #[test]
    fn what_the_operator_says_is_never_exceeded_and_a_standstill_is_not_for_ever() {
        let (mut capacity, mut now) = capacity(30);
        assert_eq!(capacity.rate(), 30.0);
        for _ in 0..10 {
            work(&mut capacity, &mut now, 30, true);
        }
        assert_eq!(capacity.rate(), 30.0);
        for _ in 0..10 {
            work(&mut capacity, &mut now, 0, true);
        }
        assert_eq!(capacity.rate(), LEAST);
    }
}
