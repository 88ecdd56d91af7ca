//! Registration packets: their class, and whether they may come in.

mod admission;
mod odd;
mod sccp;
mod sip;

use super::request::over_v6;
use super::{Case, Expected, Told};
use crate::classify::{Class, Decision};
use crate::plan;
use crate::testing::datagram::{Datagram, Endpoint};
use crate::testing::segment::{ACK, RST, SYN, Segment};
use crate::testing::site::map;
use crate::verdict::Reason;
use crate::wire::sip::HEAD_MAX;

const DEVICE: &str = "SEP001122334455";

pub(super) fn cases() -> Vec<Case> {
    [
        connections(),
        sccp::cases(),
        sip::requests(),
        sip::responses(),
        odd::damaged(),
        odd::strangers(),
        admission::cases(),
    ]
    .concat()
}

/// A case that passes, and that the daemon is told of as much as its class says.
fn is(name: &'static str, around: &Datagram, frame: Vec<u8>, class: Class) -> Case {
    let sample = class.is_told().then(|| Told {
        head: head(&around.payload, class),
        ..Told::default()
    });
    let from = around.from.address;
    let reason = match (class, around.protocol) {
        // Nothing is known of it but its addresses, and TFTP is not over TCP.
        (Class::Complex, 17) => Reason::IpComplex,
        (Class::Complex, _) => Reason::NotOurs,
        _ => Reason::Registration,
    };
    Case {
        source: plan::source(&map(from), from.is_ipv6()),
        address: map(from),
        ..Case::new(
            name,
            frame,
            Expected::Classified {
                reason,
                class,
                decision: Decision::Pass,
                charged: class.draws(around.protocol == 17) && !is_from_server(around),
                sample,
            },
        )
    }
}

fn is_from_server(around: &Datagram) -> bool {
    matches!(around.from.port, 2000 | 5060 | 5061) && !matches!(around.to.port, 5060)
}

fn head(payload: &[u8], class: Class) -> Vec<u8> {
    let has_head = matches!(
        class,
        Class::SipRegister
            | Class::SipRefer
            | Class::SipRegistered
            | Class::SipForbidden
            | Class::SipTooBrief
            | Class::SipUnavailable
    );
    match has_head {
        true => payload[..payload.len().min(HEAD_MAX)].to_vec(),
        false => Vec::new(),
    }
}

fn over_tcp(name: &'static str, segment: &Segment, class: Class) -> Case {
    is(name, &segment.around, segment.frame(), class)
}

fn over_udp(name: &'static str, datagram: &Datagram, class: Class) -> Case {
    is(name, datagram, datagram.frame(), class)
}

impl Case {
    /// With this device in what the daemon is told.
    fn of_device(mut self, name: &str) -> Self {
        if let Expected::Classified {
            sample: Some(told), ..
        } = &mut self.expected
        {
            name.clone_into(&mut told.device);
        }
        self
    }

    fn in_vlan(mut self, id: u16) -> Self {
        if let Expected::Classified {
            sample: Some(told), ..
        } = &mut self.expected
        {
            told.vlan = id;
        }
        self
    }

    /// What becomes of it in a storm: what is held back is told, and pays nothing.
    fn held_back(mut self, verdict: Decision) -> Self {
        if let Expected::Classified {
            decision,
            charged,
            sample,
            ..
        } = &mut self.expected
        {
            *decision = verdict;
            *charged = false;
            sample.get_or_insert_default();
        }
        self
    }
}

/// The same to another port.
fn to_port(segment: Segment, port: u16) -> Segment {
    let around = segment.around;
    Segment {
        around: Datagram {
            to: Endpoint { port, ..around.to },
            ..around
        },
        ..segment
    }
}

/// The same over IPv6.
fn v6(segment: Segment) -> Segment {
    let v6 = over_v6();
    Segment {
        around: Datagram {
            from: v6.from,
            to: Endpoint {
                port: segment.around.to.port,
                ..v6.to
            },
            ..segment.around
        },
        ..segment
    }
}

fn tagged(segment: Segment, tags: &[(u16, u16)]) -> Segment {
    Segment {
        around: Datagram {
            tags: tags.to_vec(),
            ..segment.around
        },
        ..segment
    }
}

/// Maximum segment size, SACK permitted, timestamps, no operation and window scale, as Linux has it.
const SYN_OPTIONS: [u8; 20] = [
    2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
];
/// Timestamps in a segment of data.
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

fn syn() -> Segment {
    Segment {
        flags: SYN,
        options: SYN_OPTIONS.to_vec(),
        ..Segment::default()
    }
}

fn connections() -> Vec<Case> {
    let control = |flags| Segment {
        flags,
        ..Segment::default()
    };
    vec![
        over_tcp("SYN to SCCP", &syn(), Class::Syn),
        over_tcp("SYN to SCCP over IPv6", &v6(syn()), Class::Syn),
        over_tcp("SYN to SIP", &to_port(syn(), 5060), Class::Syn),
        over_tcp("SYN to SIP over TLS", &to_port(syn(), 5061), Class::Syn),
        over_tcp(
            "SYN behind a tag",
            &tagged(syn(), &[(0x8100, 110)]),
            Class::Syn,
        ),
        over_tcp(
            "SYN behind two tags over IPv6",
            &tagged(v6(syn()), &[(0x88a8, 200), (0x8100, 0xe06e)]),
            Class::Syn,
        ),
        over_tcp(
            "SYN and ACK of a server",
            &control(SYN | ACK).back(),
            Class::TcpControl,
        ),
        over_tcp("ACK", &control(ACK), Class::TcpControl),
        over_tcp("RST", &control(RST), Class::TcpControl),
        over_tcp(
            "a hello of TLS",
            &to_port(Segment::default(), 5061).with(&[0x16, 3, 1, 2, 0, 1, 0, 1]),
            Class::Encrypted,
        ),
    ]
}
