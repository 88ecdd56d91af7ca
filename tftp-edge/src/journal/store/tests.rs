use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;
use tftp_ebpf::stage::Stage as FileStage;
use tftp_ebpf::verdict::Rung;

use super::*;
use crate::alarms::AlarmKind;
use crate::inventory::{DeviceName, Protocol};
use crate::journal::{Answer, Event, Fact, Gap, Happening, Outcome, Phone, Request, unix_ms};
use crate::register::{Departure, Order, Refusal, Transport, front};
use crate::storage::testing::SmallDisk;

fn device(number: u32) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

fn source() -> SocketAddr {
    "[2001:db8::5]:50123".parse().unwrap()
}

fn fetched(number: u32, outcome: Outcome, at: SystemTime) -> Event {
    let request = Request {
        name: device(number).config_file().into(),
        stage: FileStage::Config,
        path: crate::stats::Path::Rung(Rung::Xdp),
        generation: Some(7),
        len_bytes: 6_000,
    };
    let answer = Answer {
        outcome,
        took: Duration::from_micros(2_500),
        resends: 3,
    };
    Event {
        at,
        device: None,
        source: source(),
        what: Happening::Answered(request, answer),
    }
}

/// One run of a daemon with this file.
struct Run {
    journal: Arc<Journal>,
    alarms: Arc<Alarms>,
    writer: Writer,
    began: (Instant, SystemTime),
}

impl Run {
    /// So many seconds after a moment that is the same for all runs.
    fn begin(path: &Path, second: u64) -> Self {
        Self::begin_by(path, second, Live::default())
    }

    fn begin_by(path: &Path, second: u64, settings: Live<crate::journal::Settings>) -> Self {
        let began = (Instant::now(), at(second));
        let (journal, alarms) = (Arc::<Journal>::default(), Arc::<Alarms>::default());
        let writer = Writer::restore(
            path.into(),
            settings,
            Arc::clone(&journal),
            Arc::clone(&alarms),
            began,
        );
        Self {
            journal,
            alarms,
            writer,
            began,
        }
    }

    fn turn_at(&mut self, second: u64) -> Snapshot {
        let since = Duration::from_secs(second);
        self.writer.turn(self.began.0 + since, self.began.1 + since);
        *self.writer.seen().lock()
    }

    fn problems(&self) -> Vec<String> {
        let alarms = self.alarms.list().into_iter();
        let alarms = alarms.filter(|it| it.kind == AlarmKind::JournalStore);
        alarms.map(|it| it.problem).collect()
    }
}

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_392_000 + second)
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/journal.db");
    (folder, path)
}

/// A phone with everything in it that there is.
fn everything() -> Phone {
    let journal = Journal::default();
    for outcome in [Outcome::Complete, Outcome::Unconfirmed, Outcome::Absent] {
        journal.tell(&fetched(1, outcome, at(1)));
    }
    let facts = [
        Fact::Registering {
            protocol: Protocol::Sip,
            transport: Transport::Tls,
        },
        Fact::Refused {
            protocol: Protocol::Sccp,
            refusal: Refusal::WrongModel,
            wait_s: Some(35),
            detail: Some("it says".into()),
        },
        Fact::Registered {
            protocol: Protocol::Sip,
            transport: Transport::Udp,
            load: Some("sip88xx.12-5".into()),
        },
        Fact::Alarm {
            code: Some(25),
            text: "Name=SEP000000000001".into(),
        },
        Fact::TrustLists {
            ctl: None,
            itl: Some("00112233445566778899aabbccddeeff00112233".into()),
        },
        Fact::Ordered(Order::ApplyConfig),
        Fact::Seen(front::Stage::Waits),
        Fact::Left(Departure::CapabilitiesTimeout),
    ];
    for (second, fact) in (2..).zip(facts) {
        journal.tell(&Event {
            at: at(second),
            ..Event::fact(device(1), source(), fact)
        });
    }
    journal.phone(&device(1)).unwrap()
}

#[test]
fn a_phone_is_read_as_it_was_written() {
    let phone = everything();
    let bytes = postcard::to_extend(&phone, Vec::new()).unwrap();
    let read: Phone = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(format!("{read:?}"), format!("{phone:?}"));
}

/// Files of installed daemons have this form: if this fails, count up `FORMAT`.
#[test]
fn the_form_of_the_rows_is_that_of_its_number() {
    let bytes = postcard::to_extend(&everything(), Vec::new()).unwrap();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    insta::assert_snapshot!(format!("format_{}", database::FORMAT), digits);
}

#[test]
fn what_phones_did_is_there_after_a_restart_and_goes_on() {
    let (_folder, path) = file();
    let mut run = Run::begin(&path, 0);
    run.journal.tell(&fetched(1, Outcome::Complete, at(1)));
    assert_eq!(run.turn_at(1).rows, 0, "not every change by itself");
    run.journal.tell(&fetched(2, Outcome::Absent, at(2)));
    let seen = run.turn_at(2);
    assert_eq!((seen.rows, seen.saved, seen.waiting), (2, 2, 0));
    assert!(seen.size_bytes > 0);
    // Killed.
    drop(run);
    let mut next = Run::begin(&path, 60);
    assert_eq!(next.turn_at(0).restored, 2);
    let phone = next.journal.phone(&device(1)).unwrap();
    assert_eq!(phone.boots[0].entries.len(), 1);
    // Of the address, too.
    assert_eq!(next.journal.device_at(source().ip()), Some(device(2)));
    next.journal.tell(&fetched(1, Outcome::Refused, at(61)));
    assert_eq!(next.turn_at(2).rows, 1);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn the_time_without_a_daemon_is_a_gap_and_no_silence() {
    let (_folder, path) = file();
    let mut run = Run::begin(&path, 0);
    assert!(run.journal.gaps().is_empty());
    run.turn_at(100);
    run.journal.lost(3, at(101), at(102));
    run.writer.finish(run.began.0, at(110));
    drop(run);
    let next = Run::begin(&path, 200);
    let gap = |from, until, events| Gap {
        from_ms: unix_ms(at(from)),
        until_ms: unix_ms(at(until)),
        events,
    };
    assert_eq!(next.journal.gaps(), [gap(101, 102, 3), gap(110, 200, 0)]);
    assert_eq!(next.journal.counts().lost, 0, "of this run");
}

#[test]
fn a_file_that_is_no_journal_is_set_aside_and_never_written_to() {
    let foreign: [fn(&Path); 3] = [
        |path| std::fs::write(path, vec![b'x'; 5_000]).unwrap(),
        |path| {
            let other = Connection::open(path).unwrap();
            other.execute_batch("CREATE TABLE devices (name)").unwrap();
        },
        |path| {
            drop(Run::begin(path, 0));
            let newer = Connection::open(path).unwrap();
            newer.pragma_update(None, "user_version", 99).unwrap();
        },
    ];
    for make in foreign {
        let (_folder, path) = file();
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        make(&path);
        let before = std::fs::read(&path).unwrap();
        let mut run = Run::begin(&path, 10);
        let [problem] = &run.problems()[..] else {
            panic!("{:?}", run.problems())
        };
        assert!(problem.contains("set aside as"), "{problem}");
        run.journal.tell(&fetched(1, Outcome::Complete, at(11)));
        assert_eq!(run.turn_at(3).saved, 1);
        let folder = std::fs::read_dir(path.parent().unwrap()).unwrap();
        let aside = folder
            .map(|it| it.unwrap().path())
            .find(|it| it.extension().is_some_and(|it| it == "aside"));
        assert_eq!(std::fs::read(aside.unwrap()).unwrap(), before);
    }
}

#[test]
fn a_row_of_another_form_is_left_out_and_counted() {
    let (_folder, path) = file();
    let mut run = Run::begin(&path, 0);
    for number in 1..=3 {
        run.journal.tell(&fetched(number, Outcome::Complete, at(1)));
    }
    run.turn_at(3);
    drop(run);
    let other = Connection::open(&path).unwrap();
    let spoil = "UPDATE phones SET format = 99 WHERE device = 'SEP000000000001';
                 UPDATE phones SET phone = x'00' WHERE device = 'SEP000000000002';";
    other.execute_batch(spoil).unwrap();
    drop(other);
    let mut next = Run::begin(&path, 10);
    let seen = next.turn_at(0);
    assert_eq!((seen.restored, seen.unreadable), (1, 2));
    assert!(next.problems().is_empty());
}

#[test]
fn a_file_that_somebody_has_is_tried_again_and_gets_everything_then() {
    let (_folder, path) = file();
    drop(Run::begin(&path, 0));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut run = Run::begin(&path, 10);
    assert_eq!(run.problems().len(), 1);
    run.journal.tell(&fetched(1, Outcome::Complete, at(11)));
    let seen = run.turn_at(4);
    assert!(seen.is_failing && seen.failures == 1, "{seen:?}");
    assert_eq!((seen.waiting, seen.saved), (1, 0));
    assert!(seen.oldest_waiting >= Duration::from_secs(4));
    drop(other);
    let seen = run.turn_at(31);
    assert!(!seen.is_failing, "{seen:?}");
    assert_eq!((seen.waiting, seen.saved), (0, 1));
    assert!(run.problems().is_empty());
}

#[test]
fn without_room_for_the_file_nothing_is_lost_of_the_journal() {
    let (_folder, path) = file();
    let mut run = Run::begin(&path, 0);
    run.writer.limit_to_pages(12);
    for number in 0..2_000 {
        run.journal.tell(&fetched(number, Outcome::Complete, at(1)));
    }
    let seen = run.turn_at(3);
    assert!(seen.is_failing, "{seen:?}");
    assert_eq!(seen.waiting, 2_000, "kept for the file");
    assert!(run.problems()[0].contains("full"), "{:?}", run.problems());
    // Opened anew, the file has room again.
    let seen = run.turn_at(40);
    assert_eq!(
        (seen.saved, seen.waiting, seen.is_failing),
        (2_000, 0, false)
    );
}

#[test]
fn phones_that_were_silent_for_too_long_are_deleted_and_no_others() {
    const DAY: u64 = 86_400;
    let (_folder, path) = file();
    let mut run = Run::begin(&path, 0);
    for number in 1..=3 {
        run.journal.tell(&fetched(number, Outcome::Complete, at(1)));
    }
    run.turn_at(3);
    // A sign of life, of which the file does not hear by itself.
    run.journal.tell(&Event {
        at: at(20 * DAY),
        device: Some(device(2)),
        source: source(),
        what: Happening::Refreshed,
    });
    run.turn_at(29 * DAY);
    assert!(run.journal.phone(&device(1)).is_some());
    run.turn_at(31 * DAY);
    run.turn_at(31 * DAY + 3);
    let left = |run: &Run| [1, 2, 3].map(|it| run.journal.phone(&device(it)).is_some());
    assert_eq!(left(&run), [false, true, false]);
    drop(run);
    let next = Run::begin(&path, 32 * DAY);
    assert_eq!(left(&next), [false, true, false]);
}

#[test]
fn the_thread_writes_what_is_left_when_it_is_stopped() {
    let (_folder, path) = file();
    let (journal, alarms) = (Arc::<Journal>::default(), Arc::<Alarms>::default());
    let store = Store::start(
        path.clone(),
        Live::default(),
        Arc::clone(&journal),
        Arc::clone(&alarms),
    );
    let store = store.unwrap();
    assert!(!store.has_ended());
    journal.tell(&fetched(1, Outcome::Complete, SystemTime::now()));
    drop(store);
    let next = Arc::<Journal>::default();
    let store = Store::start(path, Live::default(), Arc::clone(&next), alarms).unwrap();
    assert!(next.phone(&device(1)).is_some());
    assert_eq!(store.snapshot().restored, 1);
}

#[test]
fn a_disk_that_is_really_full_keeps_the_journal_in_memory_until_there_is_room() {
    SmallDisk::with(1 << 20, |disk| {
        let path = disk.path().join("journal.db");
        let mut run = Run::begin(&path, 10);
        disk.fill();
        for number in 0..2_000 {
            run.journal
                .tell(&fetched(number, Outcome::Complete, at(11)));
        }
        let seen = run.turn_at(3);
        assert!(seen.is_failing);
        assert!(run.journal.phone(&device(7)).is_some());
        let [problem] = &run.problems()[..] else {
            panic!("{:?}", run.problems())
        };
        assert!(problem.contains("of 1048576 bytes are free"), "{problem}");
        disk.free();
        let seen = run.turn_at(34);
        assert_eq!((seen.is_failing, seen.waiting), (false, 0));
        assert_eq!(run.problems(), [""; 0]);
    });
}

#[test]
fn a_file_that_is_damaged_while_it_is_used_is_set_aside_and_written_anew() {
    let (_folder, path) = file();
    let mut run = Run::begin(&path, 10);
    for number in 0..500 {
        run.journal
            .tell(&fetched(number, Outcome::Complete, at(11)));
    }
    assert_eq!(run.turn_at(3).saved, 500);
    drop(run);
    let mut run = Run::begin(&path, 20);
    let len = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(len / 2).unwrap();
    for number in 0..500 {
        run.journal
            .tell(&fetched(number, Outcome::Complete, at(21)));
    }
    assert!(run.turn_at(3).is_failing);
    let seen = run.turn_at(34);
    assert_eq!((seen.is_failing, seen.saved), (false, 500));
    assert!(
        run.problems()[0].contains("set aside as"),
        "{:?}",
        run.problems()
    );
}

#[test]
fn a_clock_that_is_set_a_year_forward_deletes_no_phone_that_is_there() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let (_folder, path) = file();
    let mut run = Run::begin(&path, 10);
    for number in 1..=2 {
        run.journal
            .tell(&fetched(number, Outcome::Complete, at(11)));
    }
    assert_eq!(run.turn_at(3).saved, 2);
    run.began.1 += YEAR;
    for second in [4, 4_000, 80_000] {
        assert_eq!(run.turn_at(second).saved, 2, "{second}");
    }
    // One is heard of by the new time, the other never again.
    run.journal
        .tell(&fetched(1, Outcome::Complete, at(80_000) + YEAR));
    run.turn_at(80_003);
    run.turn_at(90_500);
    assert!(run.journal.phone(&device(1)).is_some());
    assert!(run.journal.phone(&device(2)).is_none());
}

#[test]
fn for_how_long_a_silent_phone_is_kept_may_change() {
    const DAY: u64 = 86_400;
    let (_folder, path) = file();
    let live = Live::<crate::journal::Settings>::default();
    let mut run = Run::begin_by(&path, 0, live.clone());
    run.journal.tell(&fetched(1, Outcome::Complete, at(1)));
    run.turn_at(3);
    run.turn_at(9 * DAY);
    assert!(run.journal.phone(&device(1)).is_some());
    live.set(crate::journal::Settings {
        keep_days: 8,
        ..crate::journal::Settings::default()
    });
    run.turn_at(11 * DAY);
    assert!(run.journal.phone(&device(1)).is_none());
}
