use super::*;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

/// A map with its program at work.
#[derive(Default)]
struct Map(Mutex<HashMap<Source, Budget>>);

impl Ledger for Map {
    fn read(&self, source: &Source) -> Option<Budget> {
        self.0.lock().get(source).copied()
    }

    fn write(&self, source: &Source, budget: &Budget) {
        self.0.lock().insert(*source, *budget);
    }
}

fn settings() -> BudgetSettings {
    BudgetSettings {
        miss_burst: 10,
        miss_per_second: 1,
        unknown_burst: 3,
        unknown_per_second: 1,
        ..BudgetSettings::default()
    }
}

fn device(number: usize) -> Miss {
    Miss::of(format!("SEP{number:012X}.cnf.xml").as_bytes())
}

/// How many of these are answered before one is not.
fn answered(misses: &Misses, asked: impl Iterator<Item = Miss>, now: Instant) -> usize {
    let mut asked = asked;
    asked
        .position(|miss| misses.take(CLIENT, &miss, now).is_err())
        .expect("a budget has an end")
}

#[test]
fn the_name_tells_what_was_asked_for() {
    let device = |name: &str| Miss::Device(name.as_bytes().to_vec());
    for (name, miss) in [
        ("SEP001122334455.cnf.xml", device("sep001122334455")),
        (
            "Communicator\\SEP001122334455.cnf.xml.sgn",
            device("sep001122334455"),
        ),
        ("SIP001122334455.cnf", device("sip001122334455")),
        ("CSFmiller.cnf.xml", device("csfmiller")),
        ("CTLSEP001122334455.tlv", Miss::Optional),
        ("ITLFile.tlv", Miss::Optional),
        ("/mk-sip.jar", Miss::Optional),
        ("XMLDefault.cnf.xml", Miss::Name),
        ("no-such-file", Miss::Name),
        ("../SEP001122334455.cnf.xml", Miss::Name),
        ("", Miss::Name),
    ] {
        assert_eq!(Miss::of(name.as_bytes()), miss, "{name}");
    }
}

#[test]
fn a_phone_that_asks_again_and_again_is_one_unknown_device() {
    let (misses, now) = (Misses::new(settings(), None), Instant::now());
    let again = std::iter::repeat_with(|| device(7));
    assert_eq!(answered(&misses, again, now), 10);
}

#[test]
fn ever_new_devices_meet_with_silence_soon_and_other_names_do_not() {
    let (misses, now) = (Misses::new(settings(), None), Instant::now());
    assert_eq!(answered(&misses, (0..).map(device), now), 3);
    let silence = Err(Reason::UnknownBudget);
    assert_eq!(misses.take(CLIENT, &device(0), now), silence);
    assert_eq!(misses.take(CLIENT, &Miss::Optional, now), Ok(()));
    assert_eq!(misses.take(CLIENT, &Miss::Name, now), Ok(()));
    let later = now + Duration::from_secs(1);
    assert_eq!(misses.take(CLIENT, &device(9), later), Ok(()));
    assert_eq!(misses.take(CLIENT, &device(10), later), silence);
    let neighbour = IpAddr::from([10, 0, 0, 10]);
    assert_eq!(misses.take(neighbour, &device(10), now), Ok(()));
}

#[test]
fn the_defaults_let_a_site_of_2000_phones_boot_behind_one_address() {
    let misses = Misses::new(BudgetSettings::default(), None);
    let now = Instant::now();
    let optional = |_| misses.take(CLIENT, &Miss::Optional, now).is_ok();
    assert!((0..2000 * 5).all(optional));
}

#[test]
fn behind_one_address_2000_phones_nobody_knows_are_all_told_within_20_minutes() {
    let misses = Misses::new(BudgetSettings::default(), None);
    let start = Instant::now();
    let mut told = 0;
    // Each asks every 15 seconds until it is told, and goes on to register by itself.
    let mut waiting: std::collections::VecDeque<_> = (0..2000).collect();
    for second in 0..20 * 60 {
        for _ in 0..(2000 / 15) {
            let Some(phone) = waiting.pop_front() else {
                break;
            };
            let now = start + Duration::from_secs(second);
            match misses.take(CLIENT, &device(phone), now) {
                Ok(()) => told += 1,
                Err(_) => waiting.push_back(phone),
            }
        }
    }
    assert_eq!(told, 2000);
}

#[test]
fn what_the_kernel_has_answered_counts_and_the_other_way_round() {
    let map = Arc::new(Map::default());
    let misses = Misses::new(settings(), Some(Arc::clone(&map) as _));
    let now = Instant::now();
    let rate = Allowed::from(&**misses.settings.get()).misses;
    // The kernel program has answered six.
    let mut budget = Budget {
        first_ns: 77,
        ..Budget::default()
    };
    for _ in 0..6 {
        rate.take(&mut budget.miss_ns, misses.clock.ns(now));
    }
    map.write(&source_of(CLIENT), &budget);
    let names = std::iter::repeat_with(|| Miss::Name);
    assert_eq!(answered(&misses, names, now), 4);
    let budget = map.read(&source_of(CLIENT)).unwrap();
    assert!(!rate.has(budget.miss_ns, misses.clock.ns(now)));
    assert_eq!(budget.first_ns, 77, "not ours to change");
    // The map forgets; the account does not.
    map.0.lock().clear();
    assert!(misses.take(CLIENT, &Miss::Name, now).is_err());
}

#[test]
fn a_scan_is_one_alarm_until_its_source_is_quiet() {
    let map = Arc::new(Map::default());
    let misses = Misses::new(settings(), Some(Arc::clone(&map) as _));
    let (alarms, start) = (Alarms::default(), Instant::now());
    for number in 0..3 {
        misses.take(CLIENT, &device(number), start).unwrap();
    }
    misses.review(&alarms, start);
    assert_eq!(alarms.count(AlarmKind::Scan), 0, "what the budget is for");

    misses.take(CLIENT, &device(3), start).unwrap_err();
    misses.review(&alarms, start);
    let [alarm] = &alarms.list()[..] else {
        panic!("one source is one alarm");
    };
    assert_eq!(alarm.subject, "10.0.0.9");
    assert!(alarm.problem.starts_with("4 requests"), "{}", alarm.problem);

    // From now on the kernel program drops them.
    let later = start + QUIET - Duration::from_secs(1);
    map.0.lock().get_mut(&source_of(CLIENT)).unwrap().silenced = 1000;
    misses.review(&alarms, later);
    let problem = alarms.list()[0].problem.clone();
    assert!(problem.starts_with("1004 requests"), "{problem}");
    misses.review(&alarms, start + QUIET);
    assert_eq!(alarms.count(AlarmKind::Scan), 1);
    misses.review(&alarms, later + QUIET);
    assert_eq!(alarms.count(AlarmKind::Scan), 0);
}

#[test]
fn the_scans_that_are_followed_are_bounded() {
    let settings = BudgetSettings {
        unknown_burst: 1,
        ..settings()
    };
    let (misses, now) = (Misses::new(&settings, None), Instant::now());
    for address in 0..2 * MAX_SCANS as u32 {
        let ip = IpAddr::V4((0x0a00_0000 + address).into());
        misses.take(ip, &device(0), now).unwrap();
        misses.take(ip, &device(1), now).unwrap_err();
    }
    assert_eq!(misses.scans.lock().len(), MAX_SCANS);
}

#[test]
fn budgets_may_change_at_any_time() {
    let second = Duration::from_secs(1);
    let live = Live::new(settings());
    let (misses, now) = (Misses::new(live.clone(), None), Instant::now());
    let names = || std::iter::repeat_with(|| Miss::Name);
    assert_eq!(answered(&misses, names(), now), 10);
    live.set(BudgetSettings {
        miss_burst: 6,
        miss_per_second: 5,
        ..settings()
    });
    assert_eq!(answered(&misses, names(), now + 60 * second), 6);
    assert_eq!(answered(&misses, names(), now + 61 * second), 5);

    let mut devices = (0..).map(device);
    // Each is a name, too.
    let generous = BudgetSettings {
        miss_burst: 1_000,
        miss_per_second: 1_000,
        ..settings()
    };
    live.set(generous.clone());
    let now = now + 120 * second;
    assert_eq!(answered(&misses, devices.by_ref(), now), 3);
    live.set(BudgetSettings {
        unknown_burst: 8,
        unknown_per_second: 7,
        ..generous
    });
    assert_eq!(answered(&misses, devices.by_ref(), now + 60 * second), 8);
    assert_eq!(answered(&misses, devices.by_ref(), now + 61 * second), 7);
}
