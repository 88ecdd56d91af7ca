use std::net::IpAddr;

use super::*;
use crate::abi::trace::MIRROR_MAX;
use crate::testing::cases::InterfaceState;
use crate::testing::datagram::{Endpoint, Ip};
use crate::testing::site::map;
use crate::testing::{Datagram, MemoryFrame, MemoryMaps, Outcome, Segment, Site, host, table};

const XDP: u8 = Rung::Xdp as u8;
const TC: u8 = Rung::Tc as u8;

fn phone() -> IpAddr {
    Datagram::default().from.address
}

/// A site on this rung where one address is traced, by the traces of `slots`.
fn tracing(rung: Rung, address: IpAddr, slots: Slots) -> MemoryMaps {
    let maps = MemoryMaps::new(Site::on(rung));
    maps.traced.borrow_mut().insert(map(address), slots);
    maps
}

fn run<const RUNG: u8>(maps: &MemoryMaps, frame: Vec<u8>) -> (Outcome, Vec<Mirrored>) {
    let outcome = host::run(maps, MemoryFrame::<RUNG>::new(frame), host::NOW_NS);
    (outcome, maps.mirrors.take())
}

fn frame_of(record: &Mirrored) -> &[u8] {
    &record.frame[..record.captured_len as usize]
}

fn request() -> Vec<u8> {
    Datagram::default().read("one.xml", "octet", "").frame()
}

#[test]
fn under_xdp_a_packet_and_its_answer_are_told() {
    let maps = tracing(Rung::Xdp, phone(), 0b101);
    let (outcome, told) = run::<XDP>(&maps, request());
    let [came, left] = &told[..] else {
        panic!("{} records", told.len());
    };
    assert_eq!(frame_of(came), request());
    assert_eq!(frame_of(left), outcome.frame);
    assert_eq!((came.is_answer, left.is_answer), (0, 1));
    for record in [came, left] {
        assert_eq!(record.reason, Reason::FirstData as u8);
        assert_eq!((record.slots, record.class), (0b101, NO_CLASS));
        assert_eq!(record.frame_len, record.captured_len);
        assert_eq!((record.at_ns, record.rung), (host::NOW_NS, XDP));
    }
}

#[test]
fn under_tc_the_answer_is_left_to_who_sees_it_leave() {
    let maps = tracing(Rung::Tc, phone(), 1);
    let (outcome, told) = run::<TC>(&maps, request());
    assert_eq!(outcome.reason, Reason::FirstData);
    assert_eq!(told.len(), 1);
    assert_eq!(frame_of(&told[0]), request());
    assert_eq!((told[0].is_answer, told[0].rung), (0, TC));
}

#[test]
fn behind_xdp_only_what_it_did_otherwise_is_told_by_tc() {
    let maps = tracing(Rung::Xdp, phone(), 1);
    let (outcome, told) = run::<TC>(&maps, request());
    assert_eq!(outcome.reason, Reason::FirstData);
    assert_eq!(told.len(), 1);
    let unknown = Datagram::default().read("nobody-has-this", "octet", "");
    let (outcome, told) = run::<TC>(&maps, unknown.frame());
    assert_eq!(outcome.reason, Reason::UnknownName);
    assert_eq!(told.len(), 0);
}

#[test]
fn what_is_dropped_and_what_is_passed_is_told_with_its_reason() {
    let maps = tracing(Rung::Xdp, phone(), 1);
    for (payload, reason) in [(vec![0], Reason::Short), (vec![0, 9, 0, 0], Reason::Opcode)] {
        let datagram = Datagram {
            payload,
            ..Datagram::default()
        };
        let (outcome, told) = run::<XDP>(&maps, datagram.frame());
        assert_eq!(outcome.reason, reason);
        assert_eq!(told.len(), 1, "{reason:?}");
        assert_eq!(told[0].reason, reason as u8);
        assert_eq!(frame_of(&told[0]), datagram.frame());
    }
}

#[test]
fn a_registration_packet_is_told_once_with_class_and_verdict() {
    let maps = tracing(Rung::Tc, phone(), 1);
    let keepalive = Segment::default().with(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (outcome, told) = run::<TC>(&maps, keepalive.frame());
    assert_eq!(outcome.reason, Reason::Registration);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason, Reason::Registration as u8);
    assert_eq!(told[0].class, Class::SccpKeepalive as u8);
    assert_eq!(told[0].decision, Decision::Pass as u8);
}

#[test]
fn the_packets_of_others_are_not_told() {
    let maps = tracing(Rung::Xdp, IpAddr::from([10, 20, 30, 41]), 1);
    assert_eq!(run::<XDP>(&maps, request()).1.len(), 0);
}

#[test]
fn a_packet_is_found_by_either_end_whatever_is_in_its_way() {
    let plain = Datagram::default().read("one.xml", "octet", "");
    let over_v6 = |address: &str, port| Endpoint {
        address: address.parse().expect("an address"),
        port,
        ..plain.from
    };
    let tagged = |tags: &[(u16, u16)]| Datagram {
        tags: tags.to_vec(),
        ..plain.clone()
    };
    let cases = [
        ("plain", plain.clone()),
        ("tagged", tagged(&[(0x8100, 110)])),
        ("tagged twice", tagged(&[(0x88a8, 7), (0x8100, 110)])),
        (
            "a fragment",
            Datagram {
                ip: Ip::Fragment(0x2001),
                ..plain.clone()
            },
        ),
        (
            "with options",
            Datagram {
                ip: Ip::Options,
                ..plain.clone()
            },
        ),
        (
            "over IPv6",
            Datagram {
                from: over_v6("fd00::40", 49_152),
                to: over_v6("fd00::1", 69),
                ..plain.clone()
            },
        ),
    ];
    for (name, datagram) in cases {
        for end in [datagram.from, datagram.to] {
            let maps = tracing(Rung::Tc, end.address, 1);
            let (_, told) = run::<TC>(&maps, datagram.frame());
            assert_eq!(told.len(), 1, "{name}, by {}", end.address);
            assert_eq!(frame_of(&told[0]), datagram.frame(), "{name}");
        }
    }
}

#[test]
fn arp_is_the_phones_too() {
    // RFC 826: who has 10.20.0.1, tell 10.20.30.40?
    let arp = [
        &[0xff; 6][..],
        &[0, 0x11, 0x22, 0x33, 0x44, 0x55, 8, 6],
        &[0, 1, 8, 0, 6, 4, 0, 1],
        &[0, 0x11, 0x22, 0x33, 0x44, 0x55, 10, 20, 30, 40],
        &[0, 0, 0, 0, 0, 0, 10, 20, 0, 1],
    ]
    .concat();
    let maps = tracing(Rung::Tc, phone(), 1);
    let (outcome, told) = run::<TC>(&maps, arp.clone());
    assert_eq!(outcome.reason, Reason::NotIp);
    assert_eq!(told.len(), 1);
    assert_eq!(frame_of(&told[0]), arp);
}

#[test]
fn a_long_frame_is_cut_and_its_length_told() {
    let maps = tracing(Rung::Tc, phone(), 1);
    let long = Segment::default().with(&[0x5a; 9_000]).frame();
    let (_, told) = run::<TC>(&maps, long.clone());
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].frame_len as usize, long.len());
    assert_eq!(frame_of(&told[0]), &long[..MIRROR_MAX]);
}

#[test]
fn a_tag_the_driver_took_out_is_told() {
    let maps = tracing(Rung::Tc, phone(), 1);
    let frame = MemoryFrame::<TC> {
        outer_tag: Some([0x81, 0x00, 0x00, 0x6e]),
        ..MemoryFrame::new(request())
    };
    host::run(&maps, frame, host::NOW_NS);
    assert_eq!(maps.mirrors.take()[0].outer_tag, [0x81, 0x00, 0x00, 0x6e]);
}

fn the_table_is_told<const RUNG: u8>() {
    let site = Site::on(Rung::ALL[usize::from(RUNG)]);
    for case in &table(&site) {
        let mut maps = MemoryMaps::new(site.clone());
        maps.set_up(case, host::NOW_NS);
        let plain = host::run_case::<RUNG>(&maps, case);
        maps.set_up(case, host::NOW_NS);
        let (mut from, mut to) = ([0; 4], [0; 4]);
        let frame = MemoryFrame::<RUNG>::new(case.frame.clone());
        if !read_ends(&frame, &mut from, &mut to) {
            continue;
        }
        maps.traced.borrow_mut().insert(from, 1);
        let traced = host::run_case::<RUNG>(&maps, case);
        assert_eq!(traced.reason, plain.reason, "{}", case.name);
        assert_eq!(traced.frame, plain.frame, "{}", case.name);
        assert_eq!(traced.transfers, plain.transfers, "{}", case.name);
        let told = maps.mirrors.take();
        let is_told_by_xdp = case.before.interface == InterfaceState::Elsewhere;
        let expected = match traced.reason.verdict() {
            Verdict::Answer if RUNG == XDP => 2,
            Verdict::Pass if RUNG == TC && is_told_by_xdp => 0,
            _ => 1,
        };
        assert_eq!(told.len(), expected, "{}", case.name);
        assert!(told.iter().all(|it| it.reason == plain.reason as u8));
    }
}

#[test]
fn every_case_of_the_table_ends_as_without_a_trace_and_is_told() {
    the_table_is_told::<XDP>();
    the_table_is_told::<TC>();
}
