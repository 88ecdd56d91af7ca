//! Whether there is a storm.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Settings;

/// After so long with few new phones the storm has been seen whole.
const EASES_AFTER: Duration = Duration::from_secs(2);

/// The state of registrations, as status tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Phones are let in as they come.
    #[default]
    Calm,
    /// More come than can be served.
    Storm,
    /// Hardly any new ones come; those that wait are let in.
    Draining,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Calm, Self::Storm, Self::Draining];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Storm => "storm",
            Self::Draining => "draining",
        }
    }

    pub const fn is_storm(self) -> bool {
        !matches!(self, Self::Calm)
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What is seen at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Phones that were told to come again, or that came in vain.
    pub waiting: usize,
    /// Phones a second that come for the first time.
    pub arrivals: f64,
    /// Registrations a second that can be served; infinite if no limit is known.
    pub rate: f64,
}

/// Follows the state, with hysteresis: a storm is harder to begin and to end than to go on.
#[derive(Debug)]
pub struct Watch {
    begin_waiting: usize,
    begin_after: Duration,
    calm_after: Duration,
    state: State,
    since: Instant,
    /// The state it would change to, and since when.
    turning: Option<(State, Instant)>,
    storms: u64,
}

impl Watch {
    pub fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            begin_waiting: settings.begin_waiting as usize,
            begin_after: settings.begin_after(),
            calm_after: settings.calm_after(),
            state: State::Calm,
            since: now,
            turning: None,
            storms: 0,
        }
    }

    /// From now on by these settings.
    pub fn follow(&mut self, settings: &Settings) {
        self.begin_waiting = settings.begin_waiting as usize;
        self.begin_after = settings.begin_after();
        self.calm_after = settings.calm_after();
    }

    pub const fn state(&self) -> State {
        self.state
    }

    pub const fn since(&self) -> Instant {
        self.since
    }

    /// Storms since the start.
    pub const fn storms(&self) -> u64 {
        self.storms
    }

    /// Looks again; says the new state if it has changed.
    pub fn look(&mut self, sight: Sight, now: Instant) -> Option<State> {
        let is_pressed = sight.arrivals > sight.rate;
        let is_eased = sight.arrivals <= sight.rate / 2.0;
        let (turns, next, after) = match self.state {
            State::Calm => (
                is_pressed || sight.waiting >= self.begin_waiting,
                State::Storm,
                self.begin_after,
            ),
            State::Storm => (is_eased, State::Draining, EASES_AFTER),
            State::Draining if is_pressed => (true, State::Storm, self.begin_after),
            State::Draining => (sight.waiting == 0, State::Calm, self.calm_after),
        };
        if !turns {
            self.turning = None;
            return None;
        }
        let since = match self.turning {
            Some((towards, since)) if towards == next => since,
            _ => now,
        };
        self.turning = Some((next, since));
        if now.saturating_duration_since(since) < after {
            return None;
        }
        self.storms += u64::from(self.state == State::Calm);
        (self.state, self.since, self.turning) = (next, now, None);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    struct Stepped {
        watch: Watch,
        now: Instant,
    }

    impl Stepped {
        fn new() -> Self {
            let now = Instant::now();
            let watch = Watch::new(&Settings::default(), now);
            Self { watch, now }
        }

        /// After so many tenths of a second of the same.
        fn see(&mut self, waiting: usize, arrivals: f64, tenths: u32) -> State {
            let sight = Sight {
                waiting,
                arrivals,
                rate: 100.0,
            };
            for _ in 0..tenths {
                self.watch.look(sight, self.now);
                self.now += TENTH;
            }
            self.watch.state()
        }
    }

    #[test]
    fn a_storm_begins_drains_and_ends() {
        let mut it = Stepped::new();
        assert_eq!(it.see(0, 90.0, 600), State::Calm);
        assert_eq!(it.see(0, 400.0, 10), State::Storm);
        assert_eq!(it.see(5000, 90.0, 600), State::Storm);
        assert_eq!(it.see(5000, 10.0, 25), State::Draining);
        assert_eq!(it.see(5000, 0.0, 600), State::Draining);
        assert_eq!(it.see(0, 0.0, 49), State::Draining);
        assert_eq!(it.see(0, 0.0, 10), State::Calm);
        assert_eq!(it.watch.storms(), 1);
    }

    #[test]
    fn what_does_not_last_changes_nothing() {
        let mut it = Stepped::new();
        for _ in 0..20 {
            assert_eq!(it.see(0, 400.0, 4), State::Calm);
            assert_eq!(it.see(0, 50.0, 4), State::Calm);
        }
        it.see(0, 400.0, 10);
        for _ in 0..20 {
            assert_eq!(it.see(100, 0.0, 15), State::Storm);
            assert_eq!(it.see(100, 60.0, 2), State::Storm);
        }
        it.see(100, 0.0, 30);
        for _ in 0..20 {
            assert_eq!(it.see(0, 0.0, 40), State::Draining);
            assert_eq!(it.see(1, 0.0, 2), State::Draining);
        }
    }

    #[test]
    fn a_second_wave_makes_it_a_storm_again() {
        let mut it = Stepped::new();
        it.see(50, 0.0, 10);
        assert_eq!(it.see(50, 0.0, 30), State::Draining);
        assert_eq!(it.see(50, 500.0, 10), State::Storm);
        assert_eq!(it.watch.storms(), 1);
    }
}
