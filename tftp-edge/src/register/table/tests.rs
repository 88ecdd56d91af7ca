use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::register::Transport;

/// Whole seconds, long after any clock that is not set.
fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(2_000_000_000 + second)
}

fn device(number: u64) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

fn sccp(number: u64, source: [u8; 4], expires: u64) -> Registration {
    Registration {
        device: device(number),
        protocol: Protocol::Sccp,
        transport: Transport::Tcp,
        source: SocketAddr::from((source, 50_000)),
        connection: Some(ConnectionId(number)),
        type_id: Some(308),
        load: None,
        version: 17,
        since: at(0),
        expires: at(expires),
        bindings: Vec::new(),
    }
}

fn binding(line: &str, expires: u64) -> Binding {
    Binding {
        line: line.into(),
        contact: format!("sip:{line}@10.0.0.1:5060").into(),
        call_id: "a-call".into(),
        cseq: 101,
        expires: at(expires),
        all_lines: false,
    }
}

fn sip(number: u64, lines: &[(&str, u64)]) -> Registration {
    let bindings: Vec<_> = lines
        .iter()
        .map(|&(line, end)| binding(line, end))
        .collect();
    Registration {
        protocol: Protocol::Sip,
        transport: Transport::Udp,
        connection: None,
        version: 0,
        bindings,
        ..sccp(
            number,
            [10, 0, 0, 1],
            lines.iter().map(|it| it.1).max().unwrap(),
        )
    }
}

fn put(table: &Table, registration: Registration) {
    let device = registration.device;
    table.edit(&device, |_| ((), Edit::Put(registration)));
}

fn remove(table: &Table, number: u64, why: Departure) {
    table.edit(&device(number), |_| ((), Edit::Remove(why)));
}

/// What is told to a reader that keeps up.
fn told(changes: &mut broadcast::Receiver<Change>) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(change) = changes.try_recv() {
        told.push(match change {
            Change::New(now) => format!("{} new", now.device),
            Change::Moved { before, now } => {
                format!("{} {} to {}", now.device, before.source, now.source)
            }
            Change::Left { was, why } => format!("{} {}", was.device, why.as_str()),
        });
    }
    told
}

#[test]
fn a_device_comes_moves_and_leaves_and_readers_hear_of_it() {
    let table = Table::default();
    let mut changes = table.changes();
    put(&table, sccp(1, [10, 0, 0, 1], 60));
    put(&table, sccp(1, [10, 0, 0, 2], 60));
    assert_eq!(table.count(Protocol::Sccp), 1);
    let source = table.get(&device(1)).unwrap().source;
    assert_eq!(source, SocketAddr::from(([10, 0, 0, 2], 50_000)));
    remove(&table, 1, Departure::Unregistered);
    remove(&table, 1, Departure::Unregistered);
    assert!(table.get(&device(1)).is_none());
    assert_eq!(
        told(&mut changes),
        [
            "SEP000000000001 new",
            "SEP000000000001 10.0.0.1:50000 to 10.0.0.2:50000",
            "SEP000000000001 unregistered"
        ]
    );
    let counts = table.counts();
    assert_eq!(counts.events(Protocol::Sccp, Event::New), 1);
    assert_eq!(counts.events(Protocol::Sccp, Event::Replace), 1);
    let left = |why| counts.departures(Protocol::Sccp, why);
    assert_eq!(left(Departure::Unregistered), 1, "it can leave once only");
    assert_eq!(counts.registered(Protocol::Sccp), 0);
}

#[test]
fn a_refresh_is_no_change() {
    let table = Table::default();
    put(&table, sip(1, &[("1001", 60)]));
    let mut changes = table.changes();
    let mut later = sip(1, &[("1001", 90)]);
    later.bindings[0].cseq += 1;
    put(&table, later);
    assert_eq!(table.get(&device(1)).unwrap().expires, at(90));
    assert!(told(&mut changes).is_empty());
    let mut elsewhere = sip(1, &[("1001", 90)]);
    elsewhere.bindings[0].contact = "sip:1001@10.0.0.1:5062".into();
    put(&table, elsewhere);
    assert_eq!(told(&mut changes).len(), 1);
    let counts = table.counts();
    assert_eq!(counts.events(Protocol::Sip, Event::Refresh), 1);
    assert_eq!(counts.events(Protocol::Sip, Event::Replace), 1);
}

#[test]
fn a_change_of_protocol_is_counted_with_both() {
    let table = Table::default();
    put(&table, sccp(1, [10, 0, 0, 1], 60));
    put(&table, sip(1, &[("1001", 60)]));
    assert_eq!(table.count(Protocol::Sccp), 0);
    assert_eq!(table.count(Protocol::Sip), 1);
}

#[test]
fn a_keepalive_prolongs_the_registration_of_its_own_connection_only() {
    let table = Table::default();
    put(&table, sccp(1, [10, 0, 0, 1], 60));
    let mut changes = table.changes();
    let of = |number| Some(ConnectionId(number));
    assert!(table.touch(&device(1), of(1), at(120)));
    assert!(
        !table.touch(&device(1), of(2), at(500)),
        "another connection"
    );
    assert!(!table.touch(&device(1), None, at(500)));
    assert!(!table.touch(&device(2), of(1), at(500)), "nobody");
    assert_eq!(table.get(&device(1)).unwrap().expires, at(120));
    assert!(told(&mut changes).is_empty());
    table.sweep(at(60));
    assert_eq!(table.count(Protocol::Sccp), 1);
    table.sweep(at(120));
    assert_eq!(table.count(Protocol::Sccp), 0);
}

#[test]
fn who_holds_a_version_keeps_it_as_it_is() {
    let table = Table::default();
    put(&table, sccp(1, [10, 0, 0, 1], 60));
    let held = table.get(&device(1)).unwrap();
    table.touch(&device(1), Some(ConnectionId(1)), at(120));
    assert_eq!(held.expires, at(60));
    assert_eq!(table.get(&device(1)).unwrap().expires, at(120));
}

#[test]
fn silence_ends_a_registration_not_a_moment_too_early() {
    let table = Table::default();
    let mut changes = table.changes();
    let mut odd = sccp(1, [10, 0, 0, 1], 60);
    odd.expires += Duration::from_millis(250);
    put(&table, odd);
    for (moment, left) in [(at(60), 1), (at(61), 0)] {
        table.sweep(moment);
        assert_eq!(table.count(Protocol::Sccp), left);
    }
    assert_eq!(
        told(&mut changes)[1..],
        ["SEP000000000001 keepalive_timeout"]
    );
}

#[test]
fn a_deadline_that_is_moved_forward_is_kept() {
    let table = Table::default();
    put(&table, sip(1, &[("1001", 3_600)]));
    put(&table, sip(1, &[("1001", 60)]));
    put(&table, sccp(2, [10, 0, 0, 1], 3_600));
    table.touch(&device(2), Some(ConnectionId(2)), at(60));
    table.sweep(at(60));
    assert_eq!(table.counts().registered, [0, 0]);
}

#[test]
fn each_binding_ends_by_itself_and_the_last_one_ends_the_registration() {
    let table = Table::default();
    put(&table, sip(1, &[("1001", 60), ("1002", 90)]));
    let mut changes = table.changes();
    table.sweep(at(60));
    let left = table.get(&device(1)).unwrap();
    let lines: Vec<_> = left.bindings.iter().map(|it| &*it.line).collect();
    assert_eq!(lines, ["1002"]);
    assert!(table.of_user("1001").is_empty());
    assert_eq!(table.of_user("1002").len(), 1);
    table.sweep(at(90));
    assert!(table.get(&device(1)).is_none());
    assert!(table.of_user("1002").is_empty());
    assert_eq!(told(&mut changes).len(), 2);
}

#[test]
fn phones_are_found_by_the_lines_they_registered() {
    let table = Table::default();
    put(&table, sip(1, &[("1001", 60), ("1002", 60)]));
    put(&table, sip(2, &[("1002", 60)]));
    let of = |user| -> Vec<_> {
        let found = table.of_user(user).into_iter();
        found.map(|it| it.device).collect()
    };
    assert_eq!(of("1001"), [device(1)]);
    assert_eq!(of("1002"), [device(1), device(2)]);
    put(&table, sip(1, &[("1003", 60)]));
    assert!(of("1001").is_empty());
    assert_eq!(of("1002"), [device(2)]);
    assert_eq!(of("1003"), [device(1)]);
    remove(&table, 1, Departure::Reset);
    assert!(of("1003").is_empty());
}

#[derive(Default)]
struct Gate(Mutex<Vec<String>>);

impl Guard for Gate {
    fn admit(&self, _newcomers: Option<crate::misses::Rate>) {}
    fn registered(&self, source: IpAddr) {
        self.0.lock().push(format!("+{source}"));
    }
    fn left(&self, source: IpAddr) {
        self.0.lock().push(format!("-{source}"));
    }
}

#[test]
fn the_guard_hears_of_the_first_and_the_last_phone_of_an_address() {
    let gate = Arc::new(Gate::default());
    let table = Table::new(10, Arc::clone(&gate) as _, Arc::default());
    let heard = || std::mem::take(&mut *gate.0.lock());
    put(&table, sccp(1, [10, 0, 0, 1], 60));
    put(&table, sccp(2, [10, 0, 0, 1], 90));
    assert_eq!(heard(), ["+10.0.0.1"]);
    assert_eq!(table.count_from([10, 0, 0, 1].into()), 2);
    // As a socket for both families gives it.
    let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001]);
    put(
        &table,
        Registration {
            source: (mapped, 50_000).into(),
            ..sccp(3, [0; 4], 60)
        },
    );
    assert!(heard().is_empty());
    put(&table, sccp(1, [10, 0, 0, 2], 90));
    assert_eq!(heard(), ["+10.0.0.2"]);
    table.sweep(at(60));
    assert!(heard().is_empty());
    table.sweep(at(90));
    let mut left = heard();
    left.sort_unstable();
    assert_eq!(left, ["-10.0.0.1", "-10.0.0.2"]);
    assert_eq!(table.counts().sources, 0);
}

#[test]
fn a_full_table_refuses_newcomers_and_says_so_until_there_is_room() {
    let alarms = Arc::new(Alarms::default());
    let table = Table::new(2, Arc::new(NoGuard), Arc::clone(&alarms));
    put(&table, sccp(1, [10, 0, 0, 1], 60));
    put(&table, sccp(2, [10, 0, 0, 1], 60));
    let newcomer = || {
        let put = |_: Option<&Arc<_>>| ("taken", Edit::Put(sccp(3, [10, 0, 0, 3], 60)));
        table.try_edit(&device(3), put)
    };
    assert_eq!(newcomer(), Err(Refusal::Capacity));
    assert_eq!(newcomer(), Err(Refusal::Capacity));
    assert_eq!(table.counts().refused, 2);
    assert_eq!(alarms.count(AlarmKind::Registrations), 1);
    assert!(table.get(&device(3)).is_none());
    // Those inside go on, and a question is no registration.
    let kept = table.try_edit(&device(3), |_| ((), Edit::Keep));
    assert_eq!(kept, Ok(()));
    let refreshed = |_: Option<&Arc<_>>| ((), Edit::Put(sccp(1, [10, 0, 0, 1], 90)));
    assert_eq!(table.try_edit(&device(1), refreshed), Ok(()));
    remove(&table, 2, Departure::Connectivity);
    assert_eq!(alarms.count(AlarmKind::Registrations), 0);
    assert_eq!(newcomer(), Ok("taken"));
}

#[test]
fn a_reader_that_is_too_slow_is_told_how_much_it_lost() {
    let table = Table::default();
    let mut changes = table.changes();
    for number in 0..BEHIND as u64 + 7 {
        put(&table, sccp(number, [10, 0, 0, 1], 60));
    }
    let lost = changes.try_recv().unwrap_err();
    assert_eq!(lost, broadcast::error::TryRecvError::Lagged(7));
}

#[test]
fn pages_hold_every_registration_once() {
    let table = Table::default();
    for number in 0..1_000 {
        put(&table, sccp(number, [10, 0, 0, 1], 60));
    }
    let pages = (0..).map_while(|page| table.page(page));
    let mut seen: Vec<_> = pages.flatten().map(|it| it.device).collect();
    seen.sort_unstable();
    let all: Vec<_> = (0..1_000).map(device).collect();
    assert_eq!(seen, all);
}

/// What the store would write now: the device, and until when.
fn written(table: &Table) -> Vec<(DeviceName, Option<SystemTime>)> {
    let dirt = (0..SHARDS).flat_map(|shard| table.take_dirt(shard));
    let mut dirt: Vec<_> = dirt
        .map(|(it, now)| (it, now.map(|it| it.expires)))
        .collect();
    dirt.sort_unstable();
    dirt
}

#[test]
fn the_store_gets_the_last_state_of_a_device_once() {
    let table = Table::default();
    put(&table, sccp(9, [10, 0, 0, 1], 60));
    assert_eq!(table.dirt(), 0, "there is no store");
    table.set_store(true);
    put(&table, sccp(1, [10, 0, 0, 1], 60));
    put(&table, sccp(1, [10, 0, 0, 2], 70));
    put(&table, sccp(2, [10, 0, 0, 1], 60));
    remove(&table, 2, Departure::Reset);
    assert_eq!(table.dirt(), 2);
    assert_eq!(
        written(&table),
        [(device(1), Some(at(70))), (device(2), None)]
    );
    assert_eq!(table.dirt(), 0);
    put(&table, sccp(3, [10, 0, 0, 1], 60));
    table.set_store(false);
    assert_eq!(table.dirt(), 0);
}

#[test]
fn refreshes_are_written_once_in_half_a_lifetime() {
    let table = Table::default();
    table.set_store(true);
    let now = SystemTime::now();
    let until = |seconds| now + Duration::from_secs(seconds);
    let phone = Registration {
        expires: until(1_000),
        ..sccp(1, [10, 0, 0, 1], 0)
    };
    put(&table, phone);
    assert_eq!(written(&table).len(), 1);
    let touch = |seconds| table.touch(&device(1), Some(ConnectionId(1)), until(seconds));
    touch(1_100);
    touch(1_400);
    assert_eq!(table.dirt(), 0);
    // 1,000 s more, of 2,000 s left.
    touch(2_010);
    assert_eq!(written(&table), [(device(1), Some(until(2_010)))]);
    touch(2_100);
    assert_eq!(table.dirt(), 0);
}

#[test]
fn restored_phones_are_known_and_expected_until_they_are_heard_of() {
    let table = Table::default();
    table.set_store(true);
    let mut changes = table.changes();
    for number in 1..=3 {
        let restored = Registration {
            connection: None,
            ..sccp(number, [10, 0, 0, 1], 60)
        };
        assert!(table.restore(restored.clone()));
        assert!(!table.restore(restored), "twice");
    }
    assert!(told(&mut changes).is_empty());
    assert_eq!(table.dirt(), 0);
    assert_eq!(
        (table.count(Protocol::Sccp), table.counts().expected),
        (3, 3)
    );
    put(&table, sccp(1, [10, 0, 0, 1], 90));
    remove(&table, 2, Departure::Unregistered);
    assert_eq!(table.counts().expected, 1);
    table.sweep(at(60));
    assert_eq!(
        (table.count(Protocol::Sccp), table.counts().expected),
        (1, 0)
    );
}

#[test]
fn the_journal_hears_who_comes_and_leaves_and_nothing_of_the_rest() {
    let journal = Arc::<Journal>::default();
    let table = Table::default().telling(Arc::clone(&journal));
    let with_lines = |lines: &[&str], expires| Registration {
        bindings: lines.iter().map(|line| binding(line, expires)).collect(),
        ..sccp(1, [10, 0, 0, 7], expires)
    };
    let facts = || {
        let phone = journal.phone(&device(1));
        let boots = phone.into_iter().flat_map(|phone| phone.boots);
        boots.flat_map(|boot| boot.entries).count()
    };
    let put = |registration: Registration| {
        table.edit(&device(1), |_| ((), Edit::Put(registration.clone())));
    };
    table.restore(sccp(1, [10, 0, 0, 7], 90));
    assert_eq!(facts(), 0, "it was registered before the restart");
    put(with_lines(&["1001"], 100));
    put(with_lines(&["1001", "1002"], 200));
    table.touch(&device(1), Some(ConnectionId(1)), at(300));
    table.sweep(at(150));
    assert_eq!(facts(), 0, "lines and time");
    put(Registration {
        since: at(50),
        ..with_lines(&["1001"], 300)
    });
    assert_eq!(facts(), 1);
    table.sweep(at(1_000));
    assert_eq!(facts(), 2);
    let failure = journal.phone(&device(1)).unwrap().failure.unwrap().1;
    let left = crate::journal::Fact::Left(Departure::KeepaliveTimeout);
    assert_eq!(failure, crate::journal::Failure::Fact(left));
}
