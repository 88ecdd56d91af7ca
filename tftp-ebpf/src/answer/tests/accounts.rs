//! Budgets and counters: what is charged, given back and counted.

use crate::abi::{Budget, StageCounter};
use crate::testing::cases::table;
use crate::testing::datagram::Endpoint;
use crate::testing::{Datagram, MemoryFrame, MemoryMaps, Site, host};
use crate::verdict::Reason;
use crate::wire::tftp::Granted;

const CONFIG: &str = "sep001122334455.cnf.xml";

fn from_port(port: u16, name: &str) -> Datagram {
    let plain = Datagram::default();
    Datagram {
        from: Endpoint { port, ..plain.from },
        ..plain
    }
    .read(name, "octet", "")
}

fn send<const RUNG: u8>(maps: &MemoryMaps, packet: &Datagram, now_ns: u64) -> Reason {
    host::run(maps, MemoryFrame::<RUNG>::new(packet.frame()), now_ns).reason
}

/// Requests from ever new ports until one is not answered; returns how many were.
fn ask_until_silence(maps: &MemoryMaps, first_port: u16, now_ns: u64) -> u16 {
    (0..1000)
        .find(|more| {
            let request = from_port(first_port + more, CONFIG);
            send::<0>(maps, &request, now_ns) == Reason::FirstBudget
        })
        .expect("a budget has an end")
}

#[test]
fn a_source_that_never_answers_gets_its_burst_and_then_its_rate() {
    let site = Site::new();
    let maps = MemoryMaps::new(site.clone());
    let policy = &site.policy;
    let burst = policy.first_burst_ns / policy.first_interval_ns;
    assert_eq!(
        u64::from(ask_until_silence(&maps, 10_000, host::NOW_NS)),
        burst
    );
    let later = host::NOW_NS + 3 * policy.first_interval_ns;
    assert_eq!(ask_until_silence(&maps, 20_000, later), 3);
}

#[test]
fn a_first_ack_gives_its_token_back_and_proves_the_source() {
    let site = Site::new();
    let maps = MemoryMaps::new(site.clone());
    let answered = ask_until_silence(&maps, 10_000, host::NOW_NS);
    let talk = site.talk(&from_port(10_000, CONFIG), CONFIG, Granted::default());
    let charged = |maps: &MemoryMaps| maps.budgets.borrow().values().next().map(|it| it.first_ns);
    let before = charged(&maps).expect("a charge");
    assert_eq!(send::<0>(&maps, &talk.ack(1), host::NOW_NS), Reason::Data);
    assert_eq!(charged(&maps), Some(before - site.policy.first_interval_ns));
    // Genuine now: its budget no longer matters.
    for port in 0..answered {
        let request = from_port(20_000 + port, CONFIG);
        assert_eq!(send::<0>(&maps, &request, host::NOW_NS), Reason::FirstData);
    }
    // The second ACK gives nothing back.
    let before = charged(&maps);
    assert_eq!(send::<0>(&maps, &talk.ack(2), host::NOW_NS), Reason::Data);
    assert_eq!(charged(&maps), before);
    // It was a while ago.
    let later = host::NOW_NS + site.policy.known_for_ns;
    let left = ask_until_silence(&maps, 30_000, later);
    assert!(left <= answered, "{left}");
}

#[test]
fn the_only_ack_of_a_short_file_is_its_first() {
    let site = Site::new();
    let maps = MemoryMaps::new(site.clone());
    let request = from_port(10_000, "one.xml");
    let talk = site.talk(&request, "one.xml", Granted::default());
    assert_eq!(send::<0>(&maps, &request, host::NOW_NS), Reason::FirstData);
    let source = crate::testing::site::map(request.from.address);
    assert!(!maps.known.borrow().contains_key(&source));
    assert_eq!(
        send::<0>(&maps, &talk.ack(1), host::NOW_NS),
        Reason::Complete
    );
    assert!(maps.known.borrow().contains_key(&source));
    assert_eq!(maps.budgets.borrow()[&source].first_ns, host::NOW_NS);
}

#[test]
fn an_unknown_name_is_the_daemons_to_charge() {
    let site = Site::new();
    let maps = MemoryMaps::new(site.clone());
    for name in ["no-such-file", "SEP00AABBCCDDEE.cnf.xml"] {
        let unknown = from_port(10_000, name);
        for _ in 0..100 {
            assert_eq!(
                send::<0>(&maps, &unknown, host::NOW_NS),
                Reason::UnknownName
            );
            assert_eq!(
                send::<1>(&maps, &unknown, host::NOW_NS),
                Reason::UnknownName
            );
        }
    }
    assert!(maps.budgets.borrow().is_empty());
}

#[test]
fn a_source_asks_for_absent_names_at_its_burst_and_its_rate() {
    let site = Site::new();
    let maps = MemoryMaps::new(site.clone());
    let policy = &site.policy;
    let list = from_port(10_000, "CTLSEP00AABBCCDD00.tlv");
    let burst = policy.miss_burst_ns / policy.miss_interval_ns;
    for _ in 0..burst {
        assert_eq!(send::<0>(&maps, &list, host::NOW_NS), Reason::Absent);
    }
    assert_eq!(send::<0>(&maps, &list, host::NOW_NS), Reason::MissBudget);
    let later = host::NOW_NS + policy.miss_interval_ns;
    assert_eq!(send::<0>(&maps, &list, later), Reason::Absent);
    assert_eq!(send::<0>(&maps, &list, later), Reason::MissBudget);
}

#[test]
fn what_is_dropped_of_a_scan_is_counted_for_its_source() {
    let site = Site::new();
    let maps = MemoryMaps::new(site.clone());
    let device = from_port(10_000, "SEP00AABBCCDDEE.cnf.xml");
    let source = crate::testing::site::map(device.from.address);
    let empty = Budget {
        unknown_ns: host::NOW_NS + site.policy.unknown_burst_ns,
        ..Budget::default()
    };
    maps.budgets.borrow_mut().insert(source, empty);
    for _ in 0..7 {
        assert_eq!(
            send::<0>(&maps, &device, host::NOW_NS),
            Reason::UnknownBudget
        );
    }
    assert_eq!(maps.budgets.borrow()[&source].silenced, 7);
    let later = host::NOW_NS + site.policy.unknown_interval_ns;
    assert_eq!(send::<0>(&maps, &device, later), Reason::UnknownName);
}

#[test]
fn the_daemon_is_told_whose_trust_list_was_asked_for() {
    let maps = MemoryMaps::new(Site::new());
    for (name, device) in [
        ("CTLSEPFFEEDDCCBBAA.tlv", *b"ffeeddccbbaa"),
        ("ITLFile.tlv", [0; 12]),
    ] {
        let frame = MemoryFrame::<0>::new(from_port(10_000, name).frame());
        let outcome = host::run(&maps, frame, host::NOW_NS);
        assert_eq!(outcome.events[0].device, device, "{name}");
    }
}

#[test]
fn each_reason_is_counted_for_its_stage() {
    let site = Site::new();
    let mut maps = MemoryMaps::new(site.clone());
    for case in table(&site) {
        maps.set_up(&case, host::NOW_NS);
        for cell in &maps.counted {
            cell.set(0);
        }
        let reason = host::run_case::<0>(&maps, &case).reason;
        let count = |counter: StageCounter| maps.counted[counter as usize].get();
        let is = |reasons: &[Reason]| u64::from(reasons.contains(&reason));
        let counted = [
            (
                StageCounter::Requests,
                is(&[Reason::FirstData, Reason::Oack, Reason::Absent]),
            ),
            (StageCounter::Complete, is(&[Reason::Complete])),
            (StageCounter::NotFound, is(&[Reason::Absent])),
            (StageCounter::Resent, is(&[Reason::Repeat])),
            (StageCounter::Aborted, is(&[Reason::ClientError])),
        ];
        for (counter, expected) in counted {
            assert_eq!(count(counter), expected, "{}: {counter:?}", case.name);
        }
        // DATA and nothing else is a block, an OACK sent again is none.
        let blocks = count(StageCounter::Blocks);
        if blocks == 0 {
            assert_eq!(count(StageCounter::Bytes), 0, "{}", case.name);
        }
        match reason {
            Reason::FirstData | Reason::Data => assert_eq!(blocks, 1, "{}", case.name),
            Reason::Repeat => {}
            _ => assert_eq!(blocks, 0, "{}", case.name),
        }
    }
}
