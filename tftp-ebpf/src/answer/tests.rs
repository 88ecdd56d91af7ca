//! The table of cases on the host, and properties of the same code over random frames.

use std::collections::HashSet;

use crate::testing::cases::{DAEMON_ONLY, table};
use crate::testing::random::{Random, spoil};
use crate::testing::{Datagram, MemoryFrame, MemoryMaps, Site, host};
use crate::verdict::{Reason, Verdict};

/// Reads an answer with another implementation: lengths, and every checksum.
fn check_with_etherparse(frame: &[u8]) {
    let sliced = etherparse::SlicedPacket::from_ethernet(frame).expect("an answer that parses");
    let Some(etherparse::TransportSlice::Udp(udp)) = &sliced.transport else {
        panic!("an answer that is not UDP");
    };
    let header = udp.to_header();
    let sum = match sliced.net.expect("an IP header") {
        etherparse::NetSlice::Ipv4(v4) => {
            let header4 = v4.header().to_header();
            assert_eq!(header4.header_checksum, header4.calc_header_checksum());
            header.calc_checksum_ipv4(&header4, udp.payload())
        }
        etherparse::NetSlice::Ipv6(v6) => {
            header.calc_checksum_ipv6(&v6.header().to_header(), udp.payload())
        }
        etherparse::NetSlice::Arp(_) => panic!("an answer that is ARP"),
    };
    assert_eq!(Ok(header.checksum), sum);
    assert_ne!(header.checksum, 0, "no checksum");
}

fn run_table<const RUNG: u8>() {
    let site = Site::new();
    let mut problems = Vec::new();
    let mut maps = MemoryMaps::new(site.clone());
    for case in table(&site) {
        maps.set_up(&case, host::NOW_NS);
        let (transfers, budgets) = (maps.transfers(), maps.budgets.borrow().clone());
        let outcome = host::run_case::<RUNG>(&maps, &case);
        if let Err(problem) = case.check(&outcome, &transfers, &budgets) {
            problems.push(format!("{}: {problem}", case.name));
        } else if outcome.reason.verdict() == Verdict::Answer {
            check_with_etherparse(&outcome.frame);
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_case_of_the_table_under_xdp() {
    run_table::<0>();
}

#[test]
fn every_case_of_the_table_under_tc() {
    run_table::<1>();
}

#[test]
fn the_table_has_every_reason_the_kernel_can_give() {
    let site = Site::new();
    let given: HashSet<_> = table(&site)
        .iter()
        .map(|case| case.expected.reason())
        .collect();
    for reason in Reason::ALL {
        assert_eq!(
            given.contains(&reason),
            !DAEMON_ONLY.contains(&reason),
            "{reason:?}"
        );
    }
}

#[test]
fn the_names_of_the_table_are_unique() {
    let site = Site::new();
    let table = table(&site);
    let names: HashSet<_> = table.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), table.len());
}

#[test]
fn a_tag_the_driver_took_out_is_remembered_for_the_daemon() {
    let site = Site::new();
    let maps = MemoryMaps::new(site);
    let request = Datagram::default().read("one.xml", "octet", "");
    let frame = MemoryFrame::<1> {
        outer_tag: Some([0x81, 0x00, 0x00, 0xc8]),
        ..MemoryFrame::new(request.frame())
    };
    let outcome = host::run(&maps, frame, host::NOW_NS);
    let transfer = outcome.transfers.values().next().expect("a transfer");
    assert_eq!(transfer.tags, [0x81, 0x00, 0x00, 0xc8, 0, 0, 0, 0]);
    assert_eq!(transfer.tags_len, 4);
    // It is not in the frame, and does not go into the answer: the kernel puts it back.
    assert_eq!(outcome.frame[12..14], [0x08, 0x00]);
}

/// The destination port, and whether the packet is UDP over IP at all, by another implementation.
fn udp_port(frame: &[u8]) -> Option<u16> {
    let packet = etherparse::LaxSlicedPacket::from_ethernet(frame).ok()?;
    match packet.transport? {
        etherparse::TransportSlice::Udp(udp) => Some(udp.destination_port()),
        _ => None,
    }
}

fn spoilt_frames<const RUNG: u8>(seed: u64) {
    let site = Site::new();
    let cases = table(&site);
    let mut maps = MemoryMaps::new(site.clone());
    let mut random = Random::new(seed);
    let mut verdicts = [0_u32; 3];
    for round in 0..20_000 {
        let case = &cases[random.below(cases.len())];
        let spoilt = spoil(&case.frame, &mut random);
        maps.set_up(case, host::NOW_NS);
        let transfers = maps.transfers();
        let frame = MemoryFrame::<RUNG> {
            grows: !case.before.stuck,
            ..MemoryFrame::new(spoilt.clone())
        };
        let outcome = host::run(&maps, frame, host::NOW_NS);
        let what = || format!("round {round}, from {}: {:?}", case.name, outcome.reason);
        verdicts[outcome.reason.verdict() as usize] += 1;
        match outcome.reason.verdict() {
            Verdict::Pass => {
                assert_eq!(outcome.frame, spoilt, "{}", what());
                assert_eq!(outcome.transfers, transfers, "{}", what());
                continue;
            }
            Verdict::Answer => check_with_etherparse(&outcome.frame),
            Verdict::Drop => {}
        }
        let port = udp_port(&spoilt).unwrap_or_else(|| panic!("not UDP; {}", what()));
        let policy = &site.policy;
        let ours = policy.tid_first..=policy.tid_first + (policy.tid_count - 1);
        assert!(
            port == 69 || ours.contains(&port),
            "port {port}; {}",
            what()
        );
    }
    // All three are met often enough to mean something.
    assert!(verdicts.iter().all(|&count| count > 1_000), "{verdicts:?}");
}

#[test]
fn spoilt_frames_are_passed_untouched_or_were_for_us_under_xdp() {
    spoilt_frames::<0>(0x7f7f);
}

#[test]
fn spoilt_frames_are_passed_untouched_or_were_for_us_under_tc() {
    spoilt_frames::<1>(0x7c7c);
}
