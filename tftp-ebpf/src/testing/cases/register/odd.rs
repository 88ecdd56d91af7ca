//! Packets that are damaged, or none of a registration's.

use super::sccp::{message, named};
use super::sip::{datagram, request};
use super::{DEVICE, is, over_tcp, over_udp, syn, to_port};
use crate::classify::Class;
use crate::testing::cases::request::over_v6;
use crate::testing::cases::{Before, Case, Expected, InterfaceState};
use crate::testing::datagram::{Datagram, Endpoint, Ip};
use crate::testing::segment::Segment;
use crate::verdict::Reason;

pub(super) fn damaged() -> Vec<Case> {
    let register = || datagram(&request("REGISTER"));
    let complex = |ip| Datagram { ip, ..register() };
    let complex_v6 = |ip| Datagram {
        from: over_v6().from,
        to: Endpoint {
            port: 5060,
            ..over_v6().to
        },
        ..complex(ip)
    };
    let udp_len = |len| Datagram {
        udp_len: Some(len),
        ..register()
    };
    let words = |words| Segment {
        words: Some(words),
        ..Segment::default().with(&message(1, 0, &named(DEVICE, 120)))
    };
    let fragment = Segment {
        around: Datagram {
            ip: Ip::Fragment(0x2000),
            ..Segment::default().around
        },
        ..syn()
    };
    let mut wrong_sum = Segment::default().frame();
    wrong_sum[24] ^= 1;
    let mut cut = Segment::default().with(&message(1, 0, &named(DEVICE, 120)));
    cut.around.padded_to = 0;
    let mut cut_frame = cut.frame();
    cut_frame.pop();
    let sccp_over_udp = Datagram {
        to: Endpoint {
            port: 2000,
            ..register().to
        },
        ..register()
    };
    vec![
        over_udp(
            "REGISTER behind IPv4 options",
            &complex(Ip::Options),
            Class::Complex,
        ),
        over_udp(
            "a first fragment of REGISTER",
            &complex(Ip::Fragment(0x2000)),
            Class::Complex,
        ),
        over_udp(
            "a later fragment of REGISTER",
            &complex(Ip::Fragment(0x0010)),
            Class::Complex,
        ),
        over_udp(
            "REGISTER behind an extension header",
            &complex_v6(Ip::Extension(60)),
            Class::Complex,
        ),
        over_udp(
            "an IPv6 fragment of REGISTER",
            &complex_v6(Ip::Extension(44)),
            Class::Complex,
        ),
        over_tcp("a fragment of SYN", &fragment, Class::Complex),
        over_udp(
            "REGISTER shorter than its UDP length",
            &udp_len(1400),
            Class::Malformed,
        ),
        over_udp(
            "REGISTER with a UDP length below 8",
            &udp_len(7),
            Class::Malformed,
        ),
        over_udp("UDP to the port of SCCP", &sccp_over_udp, Class::Malformed),
        over_tcp("a TCP header of four words", &words(4), Class::Malformed),
        is(
            "SCCP with a wrong header checksum",
            &Segment::default().around,
            wrong_sum,
            Class::Malformed,
        ),
        is(
            "Register cut by its frame",
            &cut.around,
            cut_frame,
            Class::Malformed,
        ),
        over_tcp(
            "a TCP header longer than its packet",
            &Segment {
                words: Some(15),
                ..Segment::default()
            },
            Class::Malformed,
        ),
    ]
}

/// What is none of a registration's.
pub(super) fn strangers() -> Vec<Case> {
    let elsewhere = |segment: Segment| Segment {
        around: Datagram {
            to: Endpoint {
                address: [10, 20, 0, 2].into(),
                ..segment.around.to
            },
            ..segment.around
        },
        ..segment
    };
    let fragment = Datagram {
        ip: Ip::Options,
        ..elsewhere(Segment::default()).around
    };
    let not_ours = |name, segment: &Segment| {
        Case::new(name, segment.frame(), Expected::Silence(Reason::NotOurs))
    };
    let other = Before {
        interface: InterfaceState::Elsewhere,
        ..Before::default()
    };
    let reserve = Before {
        interface: InterfaceState::Off,
        ..Before::default()
    };
    let untold = Before {
        interface: InterfaceState::Unknown,
        ..Before::default()
    };
    let unclassified = Before {
        unclassified: true,
        ..Before::default()
    };
    vec![
        not_ours("SYN to another host", &elsewhere(syn())),
        // 80 shares its bit with 2000, and 22 with none.
        not_ours("SYN to a port that shares its bit", &to_port(syn(), 80)),
        not_ours("SYN to another port", &to_port(syn(), 22)),
        not_ours(
            "SIP between two phones",
            &elsewhere(to_port(Segment::default(), 5060)).with(&request("INVITE")),
        ),
        Case::new(
            "TCP with options to another host",
            Segment {
                around: fragment,
                ..syn()
            }
            .frame(),
            Expected::Silence(Reason::NotOurs),
        ),
        not_ours("SYN that the other rung classifies", &syn()).with(other),
        not_ours("SYN on a member of a bond in reserve", &syn()).with(reserve),
        not_ours("SYN on an interface nobody told of", &syn()).with(untold),
        not_ours("SYN while registrations are not looked at", &syn()).with(unclassified),
        Case::silence(
            "REGISTER while registrations are not looked at",
            &datagram(&request("REGISTER")),
            Reason::NotOurs,
        )
        .with(Before {
            unclassified: true,
            ..Before::default()
        }),
    ]
}
