use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// An admission of so many a second, and a clock.
struct Stepped {
    admission: Admission,
    now: Instant,
}

impl Stepped {
    fn new(max_registrations_per_second: u32, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            max_registrations_per_second,
            ..Settings::default()
        };
        change(&mut settings);
        let now = Instant::now();
        Self {
            admission: Admission::new(&settings, now),
            now,
        }
    }

    fn ask(&mut self, number: u32) -> Verdict {
        self.ask_over(number, Protocol::Sip)
    }

    fn ask_over(&mut self, number: u32, protocol: Protocol) -> Verdict {
        self.admission.ask(&device(number), protocol, self.now)
    }

    /// Asks with so many others, and all that are let in are served.
    fn crowd(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.ask(number);
            self.admission.served(&device(number), self.now);
        }
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.now += SECOND / 4;
            self.admission.tick(self.now);
        }
    }
}

fn device(number: u32) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

fn told(told: Told, wait_s: u64) -> Verdict {
    Verdict {
        told,
        wait_s: Some(wait_s),
    }
}

#[test]
fn a_phone_is_let_in_when_it_comes_as_told() {
    let mut it = Stepped::new(10, |_| {});
    it.crowd(0..10);
    it.crowd(100..125);
    assert_eq!(it.ask(1000), told(Told::Wait, 3));
    it.wait(3);
    assert_eq!(it.ask(1000), Verdict::admit(Told::InTurn));
    // It goes on with what it began.
    assert_eq!(it.ask(1000), Verdict::admit(Told::Again));
}

#[test]
fn asking_early_gains_nothing_where_others_have_a_place_before() {
    let mut it = Stepped::new(10, |_| {});
    it.crowd(0..10);
    it.crowd(100..150);
    assert_eq!(it.ask(1000), told(Told::Wait, 6));
    for rest in (1..6).rev() {
        it.wait(1);
        // Those whose turn it is come.
        for number in 0..10 {
            it.ask(100 + (5 - rest as u32) * 10 + number);
        }
        assert_eq!(it.ask(1000), told(Told::Rest, rest));
    }
    it.wait(1);
    assert_eq!(it.ask(1000), Verdict::admit(Told::InTurn));
}

#[test]
fn what_nobody_has_a_place_for_goes_to_whoever_asks() {
    let mut it = Stepped::new(10, |settings| settings.min_wait_sccp_s = 30);
    it.crowd(0..10);
    assert_eq!(it.ask_over(1000, Protocol::Sccp), told(Told::Wait, 30));
    it.wait(5);
    assert_eq!(it.ask(1), Verdict::admit(Told::Again));
    assert_eq!(it.ask(2000), Verdict::admit(Told::AtOnce));
    assert_eq!(
        it.ask_over(1000, Protocol::Sccp),
        Verdict::admit(Told::Early)
    );
    assert_eq!(it.admission.places.len(), 0);
}

#[test]
fn a_place_is_kept_for_a_while_and_then_given_back() {
    for (late, expected) in [(9, Told::InTurn), (12, Told::AtOnce)] {
        let mut it = Stepped::new(10, |_| {});
        it.crowd(0..10);
        assert_eq!(it.ask(1000), told(Told::Wait, 1));
        it.wait(1 + late);
        assert_eq!(it.ask(1000).told, expected);
        assert_eq!(it.admission.missed, u64::from(expected == Told::AtOnce));
    }
}

#[test]
fn who_waits_long_asks_on_the_way_and_keeps_its_place() {
    let mut it = Stepped::new(10, |_| {});
    it.crowd(0..10);
    it.crowd(10_000..12_500);
    // 251 seconds in three legs.
    assert_eq!(it.ask(1), Verdict::admit(Told::Again));
    assert_eq!(it.ask(1000), told(Told::Wait, 84));
    let now_ms = it.admission.ms(it.now);
    let place = it.admission.places.get(&device(1000), now_ms).unwrap();
    assert_eq!(place.due_ms - now_ms, 251_000);
    it.wait(84);
    for _ in 0..1000 {
        // Others fill what those who do not come have left.
        it.ask(50_000);
        it.crowd(60_000..60_040);
    }
    assert_eq!(it.ask(1000), told(Told::Rest, 84));
    let kept = it.admission.places.get(&device(1000), now_ms).unwrap();
    assert_eq!(kept.due_ms, place.due_ms);
}

#[test]
fn places_are_bounded_and_who_gets_none_is_told_the_longest_wait() {
    let mut it = Stepped::new(10, |settings| settings.max_waiting = 20);
    it.crowd(0..10);
    it.crowd(100..120);
    assert_eq!(it.ask(1000), told(Told::NoPlace, 120));
    assert_eq!(it.admission.places.len(), 20);
    it.wait(20);
    assert_eq!(it.ask(1000), Verdict::admit(Told::AtOnce));
}

#[test]
fn a_name_that_nobody_has_takes_no_place() {
    let mut it = Stepped::new(10, |settings| settings.min_wait_sccp_s = 30);
    for _ in 0..1000 {
        assert_eq!(it.admission.glance(Protocol::Sip, it.now), None);
    }
    it.crowd(0..10);
    for _ in 0..1000 {
        assert_eq!(it.admission.glance(Protocol::Sip, it.now), Some(1));
        assert_eq!(it.admission.glance(Protocol::Sccp, it.now), Some(30));
    }
    assert_eq!(it.ask(1000), told(Told::Wait, 1));
    assert_eq!(it.admission.arrivals.total(), 11);
}

#[test]
fn no_more_is_under_way_than_there_may_be() {
    let mut it = Stepped::new(0, |settings| settings.max_in_progress = 5);
    for number in 0..5 {
        assert_eq!(it.ask(number), Verdict::admit(Told::AtOnce));
    }
    assert_eq!(it.ask(5), told(Told::Wait, 1));
    it.admission.served(&device(0), it.now);
    it.wait(1);
    assert_eq!(it.ask(5), Verdict::admit(Told::InTurn));
}
