//! The table of cases on the host; properties of the same code over random frames and transfers.

mod accounts;
mod spoilt;
mod whole;

use std::collections::HashSet;

use crate::testing::cases::{NEVER_GIVEN, table};
use crate::testing::{Datagram, MemoryFrame, MemoryMaps, Site, host};
use crate::verdict::{Reason, Rung, Verdict};

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
    let site = Site::on(Rung::ALL[usize::from(RUNG)]);
    let mut problems = Vec::new();
    let mut maps = MemoryMaps::new(site.clone());
    for case in table(&site) {
        maps.set_up(&case, host::NOW_NS);
        let (transfers, budgets) = (maps.transfers(), maps.budgets.borrow().clone());
        let outcome = host::run_case::<RUNG>(&maps, &case);
        if outcome.is_passed() && outcome.frame != case.frame {
            problems.push(format!("{}: passed, but not as it came", case.name));
        }
        if let Err(problem) = case.check(&site, &outcome, &transfers, &budgets) {
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
            !NEVER_GIVEN.contains(&reason),
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
