use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::Connection;

use super::*;
use crate::alarms::{AlarmKind, Alarms};
use crate::clock::Reading;
use crate::inventory::{DeviceName, Protocol};
use crate::register::{Binding, Departure, Edit, Registration, Table, Transport};
use crate::storage::testing::SmallDisk;

fn device(number: u32) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

/// To the millisecond, as the file has it.
fn soon(seconds: u64) -> SystemTime {
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs() + seconds)
}

fn sip(number: u32, transport: Transport, lives: u64) -> Registration {
    Registration {
        device: device(number),
        protocol: Protocol::Sip,
        transport,
        source: "[2001:db8::5]:50123".parse().unwrap(),
        connection: None,
        type_id: Some(684),
        load: Some("sip8851.14-1-1-0001-125".into()),
        version: 0,
        since: soon(0),
        expires: soon(lives),
        bindings: vec![Binding {
            line: "1001".into(),
            contact: "sip:\"quoted\"@[2001:db8::5]:50123;transport=tcp".into(),
            call_id: "00070e15-6bcf0002@2001:db8::5".into(),
            cseq: 4_000_000_000,
            expires: soon(lives),
            all_lines: true,
        }],
    }
}

fn put(table: &Table, registration: Registration) {
    let device = registration.device;
    table.edit(&device, |_| ((), Edit::Put(registration)));
}

/// One run of a daemon with this file.
struct Run {
    table: Arc<Table>,
    alarms: Arc<Alarms>,
    writer: Writer,
    began: Instant,
    clocks: Reading,
}

impl Run {
    fn begin(path: &Path) -> Self {
        Self::wanting(path, |_| true)
    }

    fn wanting(path: &Path, is_wanted: impl Fn(&Registration) -> bool) -> Self {
        Self::by(Reading::never_set(SystemTime::now()), path, is_wanted)
    }

    fn by(clocks: Reading, path: &Path, is_wanted: impl Fn(&Registration) -> bool) -> Self {
        let (table, alarms) = (Arc::new(Table::default()), Arc::new(Alarms::default()));
        let began = Instant::now();
        let writer = Writer::restore(
            path.into(),
            Arc::clone(&table),
            Arc::clone(&alarms),
            is_wanted,
            (began, clocks),
        );
        Self {
            table,
            alarms,
            writer,
            began,
            clocks,
        }
    }

    fn turn_at(&mut self, second: u64) -> Snapshot {
        let since = Duration::from_secs(second);
        let clocks = Reading {
            wall: self.clocks.wall + since,
            steady: self.clocks.steady + since,
        };
        self.writer.turn(self.began + since, clocks);
        *self.writer.seen().lock()
    }
}

#[test]
fn registrations_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/registrations.db");
    let phones = [
        sip(1, Transport::Udp, 3_600),
        sip(2, Transport::Tls, 3_600),
        Registration {
            protocol: Protocol::Sccp,
            transport: Transport::Tcp,
            type_id: None,
            load: None,
            version: 22,
            bindings: Vec::new(),
            ..sip(3, Transport::Tcp, 60)
        },
    ];
    let mut run = Run::begin(&path);
    for phone in &phones {
        put(&run.table, phone.clone());
    }
    run.writer.flush(run.began, run.clocks);
    drop(run);

    let run = Run::begin(&path);
    for phone in &phones {
        let restored = run.table.get(&phone.device);
        assert_eq!(restored.as_deref(), Some(phone));
    }
    assert_eq!(run.table.of_user("1001").len(), 2);
    let counts = run.table.counts();
    assert_eq!(counts.expected, 2, "who had a connection has to come again");
    assert_eq!(run.writer.seen().lock().restored, 3);
}

#[test]
fn setting_the_clock_neither_ends_nor_prolongs_what_is_kept_over_a_restart() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let steady = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let lives = Duration::from_secs(600);
    let phone = Registration {
        since: steady,
        expires: steady + lives,
        bindings: Vec::new(),
        ..sip(1, Transport::Tcp, 0)
    };
    for wall in [steady + YEAR, steady - YEAR] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registrations.db");
        let mut run = Run::by(Reading::never_set(steady), &path, |_| true);
        put(&run.table, phone.clone());
        run.turn_at(2);
        // What was written with the old time is written anew with the new one.
        run.clocks.wall = wall;
        assert_eq!(run.turn_at(3).rows, 2);
        assert_eq!(run.turn_at(4).rows, 2, "once");
        drop(run);
        // The steady time of the next run begins with the time of day.
        let passed = Duration::from_secs(60);
        let run = Run::by(Reading::never_set(wall + passed), &path, |_| true);
        let restored = run.table.get(&device(1)).unwrap();
        let left = restored.expires.duration_since(run.clocks.steady).unwrap();
        assert_eq!(left, lives - passed);
    }
}

/// A board without a battery: it starts before NTP has told it the time.
#[test]
fn a_phone_that_registered_in_times_to_come_is_not_known_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    let mut run = Run::begin(&path);
    put(&run.table, sip(1, Transport::Udp, 3_600));
    run.writer.flush(run.began, run.clocks);
    drop(run);
    let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    let run = Run::by(Reading::never_set(begun), &path, |_| true);
    let restored = run.table.get(&device(1)).unwrap();
    let left = restored.expires.duration_since(begun).unwrap();
    assert_eq!(left, Duration::from_secs(3_600));
    assert_eq!(restored.bindings[0].expires, restored.expires);
}

#[test]
fn what_is_over_or_not_wanted_stays_out_and_goes_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    let mut run = Run::begin(&path);
    put(&run.table, sip(1, Transport::Udp, 0));
    put(&run.table, sip(2, Transport::Udp, 3_600));
    put(&run.table, sip(3, Transport::Udp, 3_600));
    run.writer.flush(run.began, run.clocks);
    drop(run);

    let mut run = Run::wanting(&path, |it| it.device != device(3));
    assert_eq!(run.table.len(), 1);
    assert_eq!(run.writer.seen().lock().dropped, [1, 1, 0]);
    run.writer.flush(run.began, run.clocks);
    drop(run);
    let run = Run::begin(&path);
    assert_eq!(
        (run.table.len(), run.writer.seen().lock().dropped()),
        (1, 0)
    );
}

#[test]
fn many_changes_of_a_device_are_one_row_of_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::begin(&folder.path().join("registrations.db"));
    for lives in 60..160 {
        let mut phone = sip(1, Transport::Udp, lives);
        phone.source.set_port(lives as u16);
        put(&run.table, phone);
    }
    put(&run.table, sip(2, Transport::Udp, 60));
    run.table
        .edit(&device(2), |_| ((), Edit::Remove(Departure::Reset)));
    let seen = run.turn_at(1);
    assert_eq!((seen.pending, seen.flushes), (2, 0));
    assert_eq!(seen.oldest_pending, Duration::from_secs(1));
    let seen = run.turn_at(2);
    assert_eq!((seen.pending, seen.flushes, seen.rows), (0, 1, 2));
    assert_eq!(seen.oldest_pending, Duration::ZERO);
    let seen = run.turn_at(9);
    assert_eq!(seen.flushes, 1, "nothing has changed");
}

#[test]
fn much_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::begin(&folder.path().join("registrations.db"));
    for number in 0..10_000 {
        put(&run.table, sip(number, Transport::Udp, 60));
    }
    let seen = run.turn_at(0);
    assert_eq!((seen.pending, seen.flushes, seen.rows), (0, 1, 10_000));
}

#[test]
fn a_damaged_file_is_set_aside_as_it_is_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    let before = "this is no database, and somebody may want it\n".repeat(100);
    std::fs::write(&path, &before).unwrap();
    let mut run = Run::begin(&path);
    put(&run.table, sip(1, Transport::Udp, 3_600));
    let seen = run.turn_at(3);
    assert_eq!((seen.is_failing, seen.pending, seen.rows), (false, 0, 1));
    let [alarm] = &run.alarms.list()[..] else {
        panic!("an alarm");
    };
    assert_eq!(alarm.kind, AlarmKind::RegistrationStore);
    assert!(alarm.problem.contains("set aside as"), "{alarm:?}");
    assert_eq!(
        std::fs::read_to_string(aside(folder.path())).unwrap(),
        before
    );
    drop(run);
    assert_eq!(Run::begin(&path).table.len(), 1);
}

fn aside(folder: &Path) -> PathBuf {
    let folder = std::fs::read_dir(folder).unwrap();
    let paths = folder.map(|it| it.unwrap().path());
    let aside: Vec<_> = paths
        .filter(|it| it.extension().is_some_and(|it| it == "aside"))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    aside[0].clone()
}

/// A page that no query of the start reads: the file opens well, and fails when it is written.
#[test]
fn a_file_that_is_damaged_while_it_is_used_is_set_aside_and_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    let mut run = Run::begin(&path);
    for number in 0..500 {
        put(&run.table, sip(number, Transport::Udp, 3_600));
    }
    run.writer.flush(run.began, run.clocks);
    drop(run);
    let mut run = Run::begin(&path);
    let len = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(len / 2).unwrap();
    for number in 0..500 {
        let mut moved = sip(number, Transport::Udp, 3_600);
        moved.source.set_port(9);
        put(&run.table, moved);
    }
    assert!(run.turn_at(3).is_failing);
    let seen = run.turn_at(34);
    assert_eq!((seen.is_failing, seen.pending), (false, 0));
    let problem = run.alarms.list().remove(0).problem;
    assert!(problem.contains("set aside as"), "{problem}");
    aside(folder.path());
    drop(run);
    assert_eq!(Run::begin(&path).table.len(), 500);
}

#[test]
fn a_full_disk_costs_no_registration_and_is_over_when_there_is_room() {
    SmallDisk::with(1 << 20, |disk| {
        let path = disk.path().join("registrations.db");
        let mut run = Run::begin(&path);
        disk.fill();
        for number in 0..1_000 {
            put(&run.table, sip(number, Transport::Udp, 3_600));
        }
        assert!(run.turn_at(3).is_failing);
        assert_eq!(run.table.len(), 1_000);
        let problem = run.alarms.list().remove(0).problem;
        assert!(problem.contains("of 1048576 bytes are free"), "{problem}");
        assert!(run.turn_at(34).is_failing, "still full");
        disk.free();
        let seen = run.turn_at(65);
        assert_eq!((seen.is_failing, seen.pending), (false, 0));
        assert!(run.alarms.list().is_empty());
        drop(run);
        assert_eq!(Run::begin(&path).table.len(), 1_000);
    });
}

#[test]
fn a_locked_file_is_told_and_taken_over_once_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    let mut first = Run::begin(&path);
    put(&first.table, sip(7, Transport::Udp, 3_600));
    first.writer.flush(first.began, first.clocks);

    let mut second = Run::begin(&path);
    assert_eq!(second.alarms.count(AlarmKind::RegistrationStore), 1);
    let problem = second.alarms.list().remove(0).problem;
    assert!(problem.contains("locked"), "{problem}");
    put(&second.table, sip(8, Transport::Udp, 3_600));
    drop(first);
    assert!(!second.turn_at(31).is_failing);
    drop(second);
    let run = Run::begin(&path);
    assert!(
        run.table.get(&device(7)).is_none(),
        "what is known replaces what was stored"
    );
    assert!(run.table.get(&device(8)).is_some());
}

#[test]
fn a_file_that_goes_bad_while_in_use_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    // A schema that refuses one device, as a full disk would refuse all.
    drop(Run::begin(&path));
    let connection = Connection::open(&path).unwrap();
    let trigger = format!(
        "CREATE TRIGGER full BEFORE INSERT ON registrations WHEN NEW.device = '{}'
         BEGIN SELECT RAISE(ABORT, 'disk full'); END;",
        device(2)
    );
    connection.execute_batch(&trigger).unwrap();
    drop(connection);
    let mut run = Run::begin(&path);
    put(&run.table, sip(1, Transport::Udp, 3_600));
    put(&run.table, sip(2, Transport::Udp, 3_600));
    let seen = run.turn_at(2);
    assert!(seen.is_failing);
    assert_eq!((seen.failures, seen.pending), (1, 2));
    run.table
        .edit(&device(2), |_| ((), Edit::Remove(Departure::Reset)));
    let seen = run.turn_at(33);
    assert_eq!((seen.is_failing, seen.rows), (false, 1));
    assert!(run.alarms.list().is_empty());
}

#[test]
fn rows_that_nobody_understands_are_left_out_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    let mut run = Run::begin(&path);
    put(&run.table, sip(1, Transport::Udp, 3_600));
    put(&run.table, sip(2, Transport::Udp, 3_600));
    run.writer.flush(run.began, run.clocks);
    drop(run);
    let connection = Connection::open(&path).unwrap();
    let odd = "UPDATE registrations SET transport = 'pigeon' WHERE device = ?1";
    connection.execute(odd, [device(1).as_str()]).unwrap();
    drop(connection);
    let run = Run::begin(&path);
    assert_eq!(
        (run.table.len(), run.writer.seen().lock().dropped()),
        (1, 1)
    );
    drop(run);
    assert_eq!(Run::begin(&path).writer.seen().lock().dropped(), 0);
}

#[test]
fn a_newer_schema_is_set_aside_for_the_version_it_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    drop(Run::begin(&path));
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let run = Run::begin(&path);
    let problem = run.alarms.list().remove(0).problem;
    assert!(problem.starts_with("it has schema 99"), "{problem}");
    assert_eq!(std::fs::read(aside(folder.path())).unwrap(), before);
}

#[test]
fn the_thread_writes_what_is_left_when_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registrations.db");
    let desk = crate::register::desk::bare();
    let store = Store::start(path.clone(), &desk).unwrap();
    put(&desk.table, sip(1, Transport::Udp, 3_600));
    assert!(!store.has_ended());
    drop(store);
    assert_eq!(Run::begin(&path).table.len(), 1);
}
