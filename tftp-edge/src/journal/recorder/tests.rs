use std::net::SocketAddr;
use std::time::Duration;

use tftp_ebpf::stage::Stage as FileStage;

use super::*;
use crate::content::ByteSize;
use crate::journal::event::{Answer, Outcome, Request};
use crate::journal::{Stage, What};
use crate::stats::Path;

fn device(number: u32) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

fn source(number: u32) -> SocketAddr {
    let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
    (address, 50_000).into()
}

fn fetched(number: u32, name: &str, at_s: u64) -> Event {
    let request = Request {
        name: name.into(),
        stage: FileStage::of_name(name.as_bytes()),
        path: Path::Http,
        generation: Some(1),
        len_bytes: 100,
    };
    let answer = Answer {
        outcome: Outcome::Complete,
        took: Duration::ZERO,
        resends: 0,
    };
    Event {
        at: UNIX_EPOCH + Duration::from_secs(at_s),
        device: None,
        source: source(number),
        what: Happening::Answered(request, answer),
    }
}

fn config(number: u32) -> String {
    device(number).config_file()
}

#[test]
fn shared_files_are_those_of_the_device_that_named_itself_at_the_address() {
    let journal = Journal::default();
    journal.tell(&fetched(1, "sccp41.loads", 10));
    assert_eq!(journal.counts().unattributed, 1);
    journal.tell(&fetched(1, &config(1), 11));
    journal.tell(&fetched(1, "sccp41.loads", 12));
    let phone = journal.phone(&device(1)).unwrap();
    let names = phone.boots[0]
        .entries
        .iter()
        .map(|entry| match &entry.what {
            What::File(file) => file.name.to_string(),
            What::Fact(_) => String::new(),
        });
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["sep000000000001.cnf.xml", "sccp41.loads"]);
    assert_eq!(phone.stage, Stage::Firmware);
}

#[test]
fn devices_nobody_knows_are_few_and_push_out_nobody() {
    let journal = Journal::new(Settings::default(), Box::new(|it| *it == device(7)));
    journal.tell(&fetched(7, &config(7), 10));
    for number in 100..100 + 2 * STRANGERS as u32 {
        journal.tell(&fetched(number, &config(number), 11));
    }
    let counts = journal.counts();
    assert_eq!((counts.phones, counts.strangers), (1, STRANGERS as u64));
    assert!(journal.phone(&device(7)).is_some());
    assert!(journal.phone(&device(100)).is_none());
}

#[test]
fn memory_is_bounded_and_old_boots_go_before_phones() {
    let settings = Settings {
        memory_limit: ByteSize(3_200_000),
        ..Settings::default()
    };
    let journal = Journal::new(settings, Box::new(|_| true));
    for round in 0..6 {
        for number in 0..2_000 {
            journal.tell(&fetched(number, &config(number), 1_000 * round));
        }
    }
    let counts = journal.counts();
    assert!(counts.bytes <= counts.bytes_limit, "{counts:?}");
    assert_eq!(counts.phones, 2_000);
    assert!(counts.forgotten > 0);
    for number in 2_000..40_000 {
        journal.tell(&fetched(number, &config(number), 9_000));
    }
    let counts = journal.counts();
    assert!(counts.bytes <= counts.bytes_limit, "{counts:?}");
    assert!(journal.phone(&device(39_999)).is_some());
}

#[test]
fn lost_events_leave_a_gap() {
    let journal = Journal::default();
    let at = |s| UNIX_EPOCH + Duration::from_secs(s);
    journal.lost(3, at(10), at(11));
    journal.lost(4, at(12), at(13));
    journal.lost(1, at(100), at(101));
    let gap = |from_ms, until_ms, events| Gap {
        from_ms,
        until_ms,
        events,
    };
    let gaps = [gap(10_000, 13_000, 7), gap(100_000, 101_000, 1)];
    assert_eq!(journal.gaps(), gaps);
    assert_eq!(journal.counts().lost, 8);
}

#[test]
fn what_changed_is_saved_once_and_restored() {
    let journal = Journal::default();
    for number in 0..10 {
        journal.tell(&fetched(number, &config(number), 10));
    }
    let mut saved = journal.take_unsaved(4);
    assert_eq!(saved.len(), 4);
    saved.extend(journal.take_unsaved(100));
    assert_eq!(saved.len(), 10);
    assert!(journal.take_unsaved(100).is_empty());

    let next = Journal::default();
    next.restore(saved, journal.gaps());
    // The address is known again, too.
    next.tell(&fetched(3, "ringlist.xml", 12));
    let phone = next.phone(&device(3)).unwrap();
    assert_eq!(phone.boots[0].entries.len(), 2);
}

#[test]
fn what_is_kept_may_change_at_any_time() {
    let live = Live::new(Settings::default());
    let journal = Journal::new(live.clone(), Box::new(|_| true));
    let boots = || journal.phone(&device(1)).unwrap().boots;
    for round in 0..3 {
        journal.tell(&fetched(1, &config(1), 10_000 * (round + 1)));
    }
    assert_eq!(boots().len(), 3);
    live.set(Settings {
        boots: 1,
        ..Settings::default()
    });
    journal.tell(&fetched(1, &config(1), 50_000));
    assert_eq!(boots().len(), 1);

    // Of the boots that begin from then on: what was told of one before stays.
    let entries = |from: u64| {
        journal.tell(&fetched(1, &config(1), from));
        for number in 1..40 {
            journal.tell(&fetched(1, &format!("file{number}.xml"), from + number));
        }
        boots()
            .into_iter()
            .map(|boot| boot.entries.len())
            .collect::<Vec<_>>()
    };
    assert!(entries(60_000).contains(&40));
    live.set(Settings {
        boots: 1,
        entries: 16,
        ..Settings::default()
    });
    assert_eq!(entries(70_000), [16]);

    for number in 2..2_000 {
        journal.tell(&fetched(number, &config(number), 80_000));
    }
    let limit = journal.counts().bytes / 2;
    live.set(Settings {
        memory_limit: ByteSize(limit),
        ..Settings::default()
    });
    for number in 2..2_000 {
        journal.tell(&fetched(number, &config(number), 90_000));
    }
    let counts = journal.counts();
    assert_eq!(counts.bytes_limit, limit);
    assert!(counts.bytes <= limit && counts.forgotten > 0, "{counts:?}");
}
