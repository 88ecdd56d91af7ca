use super::*;
use crate::register::storm::State;

const QUARTER: Duration = Duration::from_millis(250);

/// A server that registers at most so many a second, with phones before it that repeat what is not
/// answered every two seconds.
struct Behind {
    front: Front,
    now: Instant,
    per_second: u64,
    totals: Totals,
    /// Phones that want to register, and packets that are let in each second.
    open: u64,
    budget: Option<u64>,
    states: Vec<State>,
}

impl Behind {
    fn new(per_second: u64) -> Self {
        let now = Instant::now();
        let front = Front::new(&register::Settings::default(), now);
        Self {
            front,
            now,
            per_second,
            totals: Totals::default(),
            open: 0,
            budget: None,
            states: Vec::new(),
        }
    }

    fn step(&mut self) {
        let asks = self.open.div_ceil(8);
        let let_in = asks.min(self.budget.map_or(u64::MAX, |it| it / 4));
        // A server that is asked for far more than it can do does less.
        let able = match let_in * 4 > 10 * self.per_second {
            true => self.per_second / 8,
            false => self.per_second / 4,
        };
        let served = let_in.min(able);
        self.open -= served;
        self.totals.asked += asks;
        self.totals.held_back += asks - let_in;
        self.totals.registered += served;
        self.now += QUARTER;
        if let Some(budget) = self.front.tick(self.totals, self.now) {
            self.budget = budget.map(|it| 1_000_000_000 / it.interval_ns);
        }
        let state = self.front.snapshot(self.now).storm.state;
        if self.states.last() != Some(&state) {
            self.states.push(state);
        }
    }
}

#[test]
fn a_storm_is_held_back_and_comes_through() {
    let mut behind = Behind::new(100);
    for _ in 0..20 {
        behind.open += 10;
        behind.step();
    }
    assert_eq!(behind.states, [State::Calm], "{:?}", behind.totals);
    behind.open += 8_000;
    let mut steps = 0;
    while behind.open > 0 || behind.budget.is_some() {
        behind.step();
        steps += 1;
        assert!(steps < 4 * 200, "{} are not registered", behind.open);
    }
    assert!(behind.totals.held_back > 0);
    assert_eq!(behind.states[..2], [State::Calm, State::Storm]);
    assert_eq!(behind.states.last(), Some(&State::Calm));
    // A little of it is spent until the storm is seen.
    assert!(steps < 4 * 130, "{steps} quarters of a second");
}

#[test]
fn phones_that_register_as_they_come_are_no_storm() {
    let mut behind = Behind::new(1_000);
    for _ in 0..400 {
        behind.open += 100;
        behind.step();
    }
    assert_eq!(behind.states, [State::Calm]);
    assert_eq!(behind.budget, None);
}

#[test]
fn a_challenge_is_no_second_phone() {
    let mut behind = Behind::new(1_000);
    for _ in 0..40 {
        behind.totals.asked += 50;
        behind.totals.challenged += 25;
        behind.totals.registered += 25;
        behind.step();
    }
    let snapshot = behind.front.snapshot(behind.now);
    assert!((90.0..120.0).contains(&snapshot.storm.arrivals_per_second));
    assert_eq!(snapshot.storm.waiting, 0);
}

#[test]
fn a_kernel_program_that_counts_anew_is_no_harm() {
    let mut behind = Behind::new(1_000);
    behind.totals.asked = 1_000_000;
    behind.totals.registered = 1_000_000;
    for _ in 0..20 {
        behind.step();
    }
    behind.totals = Totals::default();
    behind.step();
    assert_eq!(behind.front.snapshot(behind.now).storm.waiting, 0);
}
