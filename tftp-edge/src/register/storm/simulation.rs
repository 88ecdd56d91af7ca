//! Storms of simulated phones, with time stepped by hand and seeds that are fixed.
//!
//! A phone asks when it has booted, does what it is told, and is served by a registrar behind that
//! completes so many a second. What is counted is what matters to the people behind the phones:
//! whether all of them are registered, after how long, and how often they had to ask for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{Applicant, Decision, Settings, State, Storm};
use crate::inventory::{DeviceName, Protocol};

const SECOND: u64 = 1000;

/// What a phone makes of being told to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// It waits just so long, as SIP phones do with `Retry-After`.
    Exact,
    /// It is up to so many milliseconds late, as SCCP phones are.
    Late(u64),
    /// It asks again after this time whatever it is told.
    Every(u64),
    /// It never comes again.
    Gone,
}

#[derive(Clone, Debug)]
struct Phone {
    device: DeviceName,
    protocol: Protocol,
    manner: Manner,
    asks: u32,
    registered_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Served(usize),
    Asks(usize),
    Tick,
}

struct World {
    storm: Storm,
    start: Instant,
    phones: Vec<Phone>,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    random: StdRng,
    /// Registrations a second behind us, from which millisecond on.
    drains: Vec<(u64, u64)>,
    /// In microseconds: when the registrar behind is done with all it has.
    free_at_us: u64,
    /// By second: questions, and phones let in.
    asked: Vec<u32>,
    admitted: Vec<u32>,
    states: Vec<State>,
}

impl World {
    fn new(settings: &Settings, drains: &[(u64, u64)]) -> Self {
        let start = Instant::now();
        Self {
            storm: Storm::starting(settings, start),
            start,
            phones: Vec::new(),
            events: BinaryHeap::from([Reverse((0, Event::Tick))]),
            random: StdRng::seed_from_u64(4711),
            drains: drains.to_vec(),
            free_at_us: 0,
            asked: Vec::new(),
            admitted: Vec::new(),
            states: Vec::new(),
        }
    }

    /// So many phones that boot at any time within so many milliseconds.
    fn boot(&mut self, count: usize, within_ms: u64, protocol: Protocol, manner: Manner) {
        for _ in 0..count {
            let number = self.phones.len();
            self.phones.push(Phone {
                device: format!("SEP{number:012X}").parse().unwrap(),
                protocol,
                manner,
                asks: 0,
                registered_ms: None,
            });
            let at = self.random.random_range(0..within_ms);
            self.events.push(Reverse((at, Event::Asks(number))));
        }
    }

    /// Until every phone that comes back is registered and it is calm again, at most so long.
    fn run(&mut self, most_s: u64) {
        let end_ms = self.run_until(most_s * SECOND, |world| {
            world.open() == 0 && world.states.len() > 1 && world.states.ends_with(&[State::Calm])
        });
        assert!(
            end_ms.is_some(),
            "{} phones are not registered",
            self.open()
        );
    }

    /// When it was so that something was true; none if it never was.
    fn run_until(&mut self, end_ms: u64, is_over: impl Fn(&Self) -> bool) -> Option<u64> {
        while let Some(Reverse((at_ms, event))) = self.events.pop()
            && at_ms < end_ms
        {
            let now = self.start + Duration::from_millis(at_ms);
            match event {
                Event::Tick => {
                    self.storm.tick(now);
                    let state = self.storm.snapshot(now).state;
                    if self.states.last() != Some(&state) {
                        self.states.push(state);
                    }
                    if is_over(self) {
                        return Some(at_ms);
                    }
                    self.events.push(Reverse((at_ms + 250, Event::Tick)));
                }
                Event::Asks(number) => self.asks(number, at_ms, now),
                Event::Served(number) => {
                    let phone = &mut self.phones[number];
                    assert_eq!(phone.registered_ms, None);
                    phone.registered_ms = Some(at_ms);
                    self.storm.served(&applicant(phone, now), now);
                }
            }
        }
        None
    }

    /// Phones that come back and are not registered.
    fn open(&self) -> usize {
        let open = self.phones.iter().filter(|it| it.registered_ms.is_none());
        open.filter(|it| it.manner != Manner::Gone).count()
    }

    fn asks(&mut self, number: usize, at_ms: u64, now: Instant) {
        count(&mut self.asked, at_ms);
        let phone = &mut self.phones[number];
        phone.asks += 1;
        let decision = self.storm.ask(&applicant(phone, now), now);
        let manner = phone.manner;
        match decision {
            Decision::Admit => {
                count(&mut self.admitted, at_ms);
                let drain = self.drains.iter().rev().find(|(from, _)| *from <= at_ms);
                let one_takes_us = 1_000_000 / drain.unwrap().1;
                // It is done after all that came before it, and not before the phone has done its
                // part.
                self.free_at_us = self.free_at_us.max(at_ms * 1000) + one_takes_us;
                let done_ms = (self.free_at_us / 1000).max(at_ms + 100);
                self.events.push(Reverse((done_ms, Event::Served(number))));
            }
            Decision::Wait(wait) => {
                let wait_ms = wait.as_millis() as u64;
                assert_eq!(wait_ms % SECOND, 0, "phones are told whole seconds");
                assert!((1..=120).contains(&wait.as_secs()), "{wait:?}");
                let again = match manner {
                    Manner::Exact => wait_ms,
                    Manner::Late(late) => wait_ms + self.random.random_range(0..late),
                    Manner::Every(every) => every,
                    Manner::Gone => return,
                };
                self.events
                    .push(Reverse((at_ms + again, Event::Asks(number))));
            }
            Decision::Stale => panic!("nothing is late here"),
        }
    }

    /// Until the last one was registered.
    fn took_s(&self) -> f64 {
        let last = self.phones.iter().filter_map(|it| it.registered_ms).max();
        last.unwrap() as f64 / SECOND as f64
    }

    fn asks_of(&self, manner: impl Fn(Manner) -> bool) -> (f64, u32) {
        let asks = self.phones.iter().filter(|it| manner(it.manner));
        let asks: Vec<_> = asks.map(|it| it.asks).collect();
        let mean = f64::from(asks.iter().sum::<u32>()) / asks.len() as f64;
        (mean, asks.into_iter().max().unwrap())
    }

    /// The most questions in one second, from a certain second on.
    fn peak_after(&self, second: usize) -> u32 {
        self.asked.iter().skip(second).copied().max().unwrap_or(0)
    }

    fn most_admitted(&self) -> u32 {
        self.admitted.iter().copied().max().unwrap()
    }
}

fn count(seconds: &mut Vec<u32>, at_ms: u64) {
    let second = (at_ms / SECOND) as usize;
    seconds.resize(seconds.len().max(second + 1), 0);
    seconds[second] += 1;
}

fn applicant(phone: &Phone, now: Instant) -> Applicant<'_> {
    Applicant {
        device: &phone.device,
        protocol: phone.protocol,
        is_refresh: false,
        arrived: now,
    }
}

fn limited(max_registrations_per_second: u32) -> Settings {
    Settings {
        max_registrations_per_second,
        ..Settings::default()
    }
}

const CALM_AGAIN: [State; 4] = [State::Calm, State::Storm, State::Draining, State::Calm];

#[test]
fn twenty_thousand_phones_come_through_a_registrar_that_takes_a_tenth() {
    let mut world = World::new(&limited(200), &[(0, 2000)]);
    world.boot(16_000, 20_000, Protocol::Sip, Manner::Exact);
    world.boot(4_000, 20_000, Protocol::Sccp, Manner::Late(2_000));
    world.run(200);
    assert!(world.took_s() <= 1.3 * 100.0, "{}", world.took_s());
    let (mean, most) = world.asks_of(|_| true);
    assert!(mean <= 2.1 && most <= 3, "{mean} {most}");
    // The retries fill the capacity and no more.
    assert!(world.peak_after(21) <= 2 * 200, "{:?}", world.asked);
    assert!(world.most_admitted() <= 2 * 200 + 1);
    assert_eq!(world.states, CALM_AGAIN);
}

#[test]
fn a_storm_of_sccp_alone_waits_half_a_minute_once_and_then_fills_the_capacity() {
    let mut world = World::new(&limited(80), &[(0, 1000)]);
    world.boot(12_000, 10_000, Protocol::Sccp, Manner::Late(1_500));
    world.run(300);
    assert!(world.took_s() <= 1.3 * 150.0, "{}", world.took_s());
    let (mean, most) = world.asks_of(|_| true);
    assert!(mean <= 2.6 && most <= 4, "{mean} {most}");
    // Those whose turn comes, and those with more than two minutes to wait on their way.
    assert!(world.peak_after(11) <= 4 * 80, "{:?}", world.asked);
}

#[test]
fn phones_that_never_come_again_cost_no_more_than_their_second() {
    let mut world = World::new(&limited(100), &[(0, 1000)]);
    world.boot(8_000, 20_000, Protocol::Sip, Manner::Exact);
    world.boot(2_000, 20_000, Protocol::Sip, Manner::Gone);
    world.run(200);
    // Until the last place it had to be expected that all come.
    assert!(world.took_s() <= 1.3 * 80.0, "{}", world.took_s());
    let (mean, most) = world.asks_of(|it| it != Manner::Gone);
    assert!(mean <= 2.1 && most <= 3, "{mean} {most}");
    let snapshot = world.storm.snapshot(world.start + Duration::from_secs(300));
    assert!(snapshot.missed > 1_000, "{}", snapshot.missed);
    assert_eq!(snapshot.waiting, 0);
}

#[test]
fn phones_that_do_not_listen_do_not_get_in_before_those_that_do() {
    let mut world = World::new(&limited(100), &[(0, 1000)]);
    world.boot(4_000, 10_000, Protocol::Sip, Manner::Exact);
    world.boot(4_000, 10_000, Protocol::Sccp, Manner::Every(5_000));
    world.run(200);
    assert!(world.took_s() <= 1.3 * 80.0, "{}", world.took_s());
    let (mean, most) = world.asks_of(|it| it == Manner::Exact);
    assert!(mean <= 2.1 && most <= 4, "{mean} {most}");
    let mean_of = |manner: fn(Manner) -> bool| {
        let phones = world.phones.iter().filter(|it| manner(it.manner));
        let times: Vec<_> = phones.filter_map(|it| it.registered_ms).collect();
        times.iter().sum::<u64>() / times.len() as u64
    };
    let deaf = mean_of(|it| it != Manner::Exact);
    let obedient = mean_of(|it| it == Manner::Exact);
    assert!(deaf * 10 > obedient * 9, "{deaf} {obedient}");
}

#[test]
fn when_less_can_be_served_the_places_move_and_nobody_is_lost() {
    let mut world = World::new(&limited(0), &[(0, 400), (20_000, 100)]);
    world.boot(12_000, 10_000, Protocol::Sip, Manner::Exact);
    world.run(400);
    // 8,000 in twenty seconds, and 4,000 at a hundred a second.
    assert!(world.took_s() <= 1.3 * 60.0, "{}", world.took_s());
    let (mean, _) = world.asks_of(|_| true);
    assert!(mean <= 4.0, "{mean}");
    let snapshot = world.storm.snapshot(world.start + Duration::from_secs(400));
    assert!(snapshot.replanned >= 1);
}

#[test]
fn when_more_can_be_served_it_is() {
    let mut world = World::new(&limited(0), &[(0, 100), (20_000, 400)]);
    world.boot(10_000, 10_000, Protocol::Sip, Manner::Exact);
    world.run(400);
    let (mean, _) = world.asks_of(|_| true);
    assert!(mean <= 3.5, "{mean}");
    // At a hundred a second it would be that.
    assert!(world.took_s() < 100.0, "{}", world.took_s());
}

#[test]
fn without_a_storm_nobody_waits() {
    for settings in [limited(0), limited(100)] {
        let mut world = World::new(&settings, &[(0, 1000)]);
        world.boot(2_000, 40_000, Protocol::Sip, Manner::Exact);
        world.run_until(60 * SECOND, |_| false);
        let (mean, most) = world.asks_of(|_| true);
        assert_eq!((mean, most), (1.0, 1));
        assert_eq!(world.states, [State::Calm]);
    }
}
