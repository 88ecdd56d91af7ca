//! Raw frames through the rules of the kernel program, which are the same code on the host.
//!
//! Input: which rung, which case of the kernel's table has set up the maps, whether the frame can
//! grow; then the frame. What comes out is held against what may ever come out, read with another
//! implementation: an answer goes back the way its question came, has valid lengths and checksums
//! and no more bytes than a block; what is passed on is untouched; nothing that is not ours is
//! dropped.

use std::cell::RefCell;
use std::net::IpAddr;

use etherparse::{LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice, ip_number};
use tftp_ebpf::classify::Decision;
use tftp_ebpf::testing::{Case, MemoryFrame, MemoryMaps, Outcome, Site, host, table};
use tftp_ebpf::verdict::{Reason, Rung, Verdict};

use crate::script::Script;

/// Bytes of the input before the frame.
pub const PREFIX: usize = 3;

/// Largest DATA of the site: an untagged frame at an MTU of 1500.
const LONGEST: usize = 1514;
const TAG_BYTES: usize = 4;

/// The site of a rung, and its cases.
struct Prepared {
    site: Site,
    cases: Vec<Case>,
    maps: RefCell<MemoryMaps>,
}

thread_local! {
    static PREPARED: [Prepared; 2] = [Rung::Xdp, Rung::Tc].map(|rung| {
        let site = Site::on(rung);
        let cases = table(&site);
        let maps = RefCell::new(MemoryMaps::new(site.clone()));
        Prepared { site, cases, maps }
    });
}

/// The input that runs the frame of a case as the table does.
pub fn input_of(rung: Rung, case: usize, frame: &[u8]) -> Vec<u8> {
    let number = (case as u16).to_be_bytes();
    let how = if rung == Rung::Tc { 1 } else { 0 };
    [&[how, number[0], number[1]], frame].concat()
}

/// The case of an input, of those of a rung: its frame, and the maps as one of them has them.
pub fn case_of(input: &[u8], cases: &[Case]) -> Case {
    let (_, at, _, frame) = read(input);
    Case {
        frame: frame.to_vec(),
        ..cases[at % cases.len()].clone()
    }
}

fn read(input: &[u8]) -> (Rung, usize, bool, &[u8]) {
    let mut script = Script::new(input);
    let how = script.byte();
    let rung = if how & 1 == 0 { Rung::Xdp } else { Rung::Tc };
    let case = usize::from(script.word());
    (rung, case, how & 2 == 0, script.rest())
}

pub fn run(input: &[u8]) {
    let (rung, ..) = read(input);
    match rung {
        Rung::Tc => run_on::<1>(input),
        _ => run_on::<0>(input),
    }
}

fn run_on<const RUNG: u8>(input: &[u8]) {
    let (_, case, grows, frame) = read(input);
    PREPARED.with(|prepared| {
        let Prepared { site, cases, maps } = &prepared[usize::from(RUNG)];
        let case = &cases[case % cases.len()];
        let once = || {
            let mut maps = maps.borrow_mut();
            maps.set_up(case, host::NOW_NS);
            let before = (maps.transfers(), maps.budgets.borrow().clone());
            let frame = MemoryFrame::<RUNG> {
                grows,
                ..MemoryFrame::new(frame.to_vec())
            };
            (before, host::run(&maps, frame, host::NOW_NS))
        };
        let ((transfers, budgets), outcome) = once();
        let again = once().1;
        assert_eq!(
            (outcome.reason, &outcome.frame),
            (again.reason, &again.frame)
        );
        let began = outcome.transfers.len().saturating_sub(transfers.len());
        match outcome.reason.verdict() {
            Verdict::Answer => {
                assert!(began <= 1, "one frame began {began} transfers");
                check_answer(site, frame, &outcome, grows);
            }
            Verdict::Pass | Verdict::Classify => {
                assert_eq!(outcome.frame, frame, "passed, and not as it came");
                assert_eq!(outcome.transfers, transfers);
                assert_eq!(outcome.budgets, budgets);
                assert!(outcome.events.is_empty(), "{:?}", outcome.events);
            }
            Verdict::Drop => {
                assert_eq!(began, 0, "dropped, and a transfer began");
                check_ours(site, frame, outcome.reason);
            }
        }
        if outcome
            .classified
            .as_ref()
            .is_some_and(|it| it.decision == Decision::Drop)
        {
            check_registration(frame);
        }
    });
}

fn policy_ports(site: &Site) -> std::ops::RangeInclusive<u16> {
    let policy = &site.policy;
    policy.tid_first..=policy.tid_first + (policy.tid_count - 1)
}

/// Only what is for the request port or the port of a transfer is dropped.
fn check_ours(site: &Site, frame: &[u8], reason: Reason) {
    let packet = LaxSlicedPacket::from_ethernet(frame).expect("a header of Ethernet");
    let Some(TransportSlice::Udp(udp)) = packet.transport else {
        panic!("{reason:?}, and it is not UDP");
    };
    let port = udp.destination_port();
    assert!(
        port == 69 || policy_ports(site).contains(&port),
        "{reason:?}, and it is for port {port}"
    );
}

/// Only what is for a port where phones register is held back, whatever else is wrong with it.
fn check_registration(frame: &[u8]) {
    let packet = LaxSlicedPacket::from_ethernet(frame).expect("a header of Ethernet");
    let net = packet.net.expect("an IP header");
    let behind = net.ip_payload_ref().expect("something behind it");
    let is_stream = behind.ip_number == ip_number::TCP;
    assert!(is_stream || behind.ip_number == ip_number::UDP);
    let port = match *behind.payload {
        [_, _, high, low, ..] => u16::from_be_bytes([high, low]),
        _ => panic!("held back, and it has no ports"),
    };
    assert!(matches!(port, 2000 | 5060 | 5061), "held back from {port}");
}

/// Addresses of a packet, from and to.
fn addresses(net: &NetSlice<'_>) -> (IpAddr, IpAddr) {
    match net {
        NetSlice::Ipv4(v4) => (
            v4.header().source_addr().into(),
            v4.header().destination_addr().into(),
        ),
        NetSlice::Ipv6(v6) => (
            v6.header().source_addr().into(),
            v6.header().destination_addr().into(),
        ),
        NetSlice::Arp(_) => panic!("ARP is never ours"),
    }
}

fn check_answer(site: &Site, question: &[u8], outcome: &Outcome, grows: bool) {
    let answer = &outcome.frame;
    assert!(grows || answer.len() <= question.len(), "it cannot grow");
    let asked = SlicedPacket::from_ethernet(question).expect("an answered question parses");
    let given = SlicedPacket::from_ethernet(answer).expect("an answer parses");

    // Back to the sender, by the same VLAN.
    assert_eq!(
        (&answer[..6], &answer[6..12]),
        (&question[6..12], &question[..6])
    );
    let tags = asked.link_exts.len();
    assert_eq!(given.link_exts.len(), tags);
    assert_eq!(
        answer[12..14 + TAG_BYTES * tags],
        question[12..14 + TAG_BYTES * tags],
        "tags and EtherType"
    );

    let (asked_net, given_net) = (
        asked.net.expect("a question has an IP header"),
        given.net.expect("an answer has one"),
    );
    let (from, to) = addresses(&asked_net);
    assert_eq!(addresses(&given_net), (to, from));
    let (Some(TransportSlice::Udp(asked_udp)), Some(TransportSlice::Udp(given_udp))) =
        (asked.transport, given.transport)
    else {
        panic!("not UDP");
    };
    assert_eq!(given_udp.destination_port(), asked_udp.source_port());
    if asked_udp.destination_port() == 69 {
        let is_error = outcome.reason == Reason::Absent;
        let port = given_udp.source_port();
        assert!(
            is_error || policy_ports(site).contains(&port),
            "from {port}"
        );
    } else {
        assert_eq!(given_udp.source_port(), asked_udp.destination_port());
    }
    check_sums(&given_net, &given_udp);
    check_payload(outcome.reason, asked_udp.payload(), given_udp.payload());
    let longest = LONGEST + TAG_BYTES * tags;
    assert!(answer.len() <= longest, "{} bytes", answer.len());
}

fn check_sums(net: &NetSlice<'_>, udp: &etherparse::UdpSlice<'_>) {
    let header = udp.to_header();
    assert_eq!(usize::from(header.length), 8 + udp.payload().len());
    let sum = match net {
        NetSlice::Ipv4(v4) => {
            let header4 = v4.header().to_header();
            assert_eq!(header4.header_checksum, header4.calc_header_checksum());
            assert_eq!(usize::from(header4.total_len), 28 + udp.payload().len());
            assert_eq!(header4.options.len(), 0);
            assert!(!header4.more_fragments && header4.fragment_offset.value() == 0);
            assert!(header4.time_to_live >= 64);
            header.calc_checksum_ipv4(&header4, udp.payload())
        }
        NetSlice::Ipv6(v6) => {
            let header6 = v6.header().to_header();
            assert_eq!(usize::from(header6.payload_length), 8 + udp.payload().len());
            assert!(header6.hop_limit >= 64);
            header.calc_checksum_ipv6(&header6, udp.payload())
        }
        NetSlice::Arp(_) => panic!("ARP is never ours"),
    };
    assert_eq!(Ok(header.checksum), sum);
    assert_ne!(header.checksum, 0, "an answer has a checksum");
}

/// The answer is of the kind that its reason says, and what proves nothing gets little.
fn check_payload(reason: Reason, asked: &[u8], given: &[u8]) {
    let opcode = given[1];
    match reason {
        Reason::FirstData => {
            assert_eq!(given[..4], [0, 3, 0, 1]);
            // Without an OACK there is no other block size.
            assert!(given.len() <= 4 + 512);
        }
        Reason::Oack => {
            assert_eq!(opcode, 6);
            assert!(
                given.len() <= asked.len() + 10,
                "as the question, in digits"
            );
        }
        Reason::Absent => assert!(given.len() <= 19, "ERROR 1 is as short as it can be"),
        Reason::Data => {
            let acknowledged = u16::from_be_bytes([asked[2], asked[3]]);
            let block = acknowledged.wrapping_add(1).to_be_bytes();
            assert_eq!(given[..4], [0, 3, block[0], block[1]]);
        }
        Reason::Repeat => assert!(matches!(opcode, 3 | 6)),
        other => panic!("{other:?} is never answered in the kernel"),
    }
}
