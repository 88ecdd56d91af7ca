//! Packets to the request port that end there: nothing is ever answered to them.

use std::net::IpAddr;

use super::request::over_v6;
use super::{Before, Case};
use crate::frame::Bucket;
use crate::testing::datagram::{Datagram, Endpoint};
use crate::testing::site::Site;
use crate::verdict::Reason;

const CONFIG: &str = "sep001122334455.cnf.xml";

fn from(request: Datagram, address: &str) -> Datagram {
    let address: IpAddr = address.parse().expect("an address of a case");
    Datagram {
        from: Endpoint {
            address,
            ..request.from
        },
        ..request
    }
}

fn to(request: Datagram, address: &str) -> Datagram {
    let address: IpAddr = address.parse().expect("an address of a case");
    Datagram {
        to: Endpoint {
            address,
            ..request.to
        },
        ..request
    }
}

fn to_mac(request: Datagram, mac: [u8; 6]) -> Datagram {
    Datagram {
        to: Endpoint { mac, ..request.to },
        ..request
    }
}

fn from_port(request: Datagram, port: u16) -> Datagram {
    Datagram {
        from: Endpoint {
            port,
            ..request.from
        },
        ..request
    }
}

fn payload(bytes: &[u8]) -> Datagram {
    Datagram {
        payload: bytes.to_vec(),
        ..Datagram::default()
    }
}

pub(super) fn cases(_site: &Site) -> Vec<Case> {
    let read = || Datagram::default().read(CONFIG, "octet", "");
    let read6 = || over_v6().read(CONFIG, "octet", "");
    let own = read().to.address.to_string();
    let cases = [
        // CVE-2024-2169: two servers that answer each other never stop.
        (
            "DATA to the request port",
            payload(b"\0\x03\0\x01x"),
            Reason::ReplyOpcode,
        ),
        (
            "an ACK to the request port",
            payload(b"\0\x04\0\x01"),
            Reason::ReplyOpcode,
        ),
        (
            "an ERROR to the request port",
            payload(b"\0\x05\0\x01x\0"),
            Reason::ReplyOpcode,
        ),
        (
            "an OACK to the request port",
            payload(b"\0\x06x\0"),
            Reason::ReplyOpcode,
        ),
        (
            "a request from the request port",
            from_port(read(), 69),
            Reason::SourcePort,
        ),
        (
            "a request from port 0",
            from_port(read(), 0),
            Reason::SourcePort,
        ),
        ("no payload", payload(b""), Reason::Short),
        ("three bytes", payload(b"\0\x01x"), Reason::Short),
        (
            "to the limited broadcast",
            to(read(), "255.255.255.255"),
            Reason::Broadcast,
        ),
        (
            "to a multicast group",
            to(read(), "239.1.2.3"),
            Reason::Broadcast,
        ),
        (
            "to an IPv6 group",
            to(read6(), "ff02::1"),
            Reason::Broadcast,
        ),
        (
            "to the broadcast MAC",
            to_mac(read(), [0xff; 6]),
            Reason::Broadcast,
        ),
        (
            "to a group MAC",
            to_mac(read6(), [0x33, 0x33, 0, 0, 0, 1]),
            Reason::Broadcast,
        ),
        (
            "from this network",
            from(read(), "0.0.0.0"),
            Reason::SourceAddress,
        ),
        (
            "from loopback",
            from(read(), "127.0.0.1"),
            Reason::SourceAddress,
        ),
        (
            "from a multicast group",
            from(read(), "224.0.0.1"),
            Reason::SourceAddress,
        ),
        (
            "from the broadcast address",
            from(read(), "255.255.255.255"),
            Reason::SourceAddress,
        ),
        (
            "from our own address",
            from(read(), &own),
            Reason::SourceAddress,
        ),
        (
            "from the IPv6 loopback",
            from(read6(), "::1"),
            Reason::SourceAddress,
        ),
        (
            "from the unspecified address",
            from(read6(), "::"),
            Reason::SourceAddress,
        ),
        (
            "from an IPv6 group",
            from(read6(), "ff02::1"),
            Reason::SourceAddress,
        ),
        (
            "from an IPv4 address that is not allowed, though an IPv6 prefix has its mapped form",
            from(read(), "192.0.2.1"),
            Reason::Denied,
        ),
        (
            "from an IPv6 prefix that is not allowed",
            from(read6(), "2001:db8::1"),
            Reason::Denied,
        ),
    ];
    let lost = Datagram::default().read("lost.xml", "octet", "");
    let unknown = Datagram::default().read("no-such-file", "octet", "");
    let device = Datagram::default().read("SEP00AABBCCDDEE.cnf.xml", "octet", "");
    let list = Datagram::default().read("ITLSEP00AABBCCDDEE.tlv", "octet", "");
    let spent = |bucket| Before {
        spent: Some(bucket),
        ..Before::default()
    };
    cases
        .into_iter()
        .map(|(name, request, reason)| Case::silence(name, &request, reason))
        .chain([
            Case::silence(
                "content outside the slabs is not made up",
                &lost,
                Reason::WriteFailed,
            ),
            Case::silence("too many unknown names", &unknown, Reason::MissBudget)
                .with(spent(Bucket::Miss)),
            Case::silence(
                "whoever is known to be there has asked for too many unknown names too",
                &unknown,
                Reason::MissBudget,
            )
            .with(Before {
                known: true,
                ..spent(Bucket::Miss)
            }),
            Case::silence(
                "too many names known to be absent",
                &list,
                Reason::MissBudget,
            )
            .with(spent(Bucket::Miss)),
            Case::silence("too many unknown devices", &device, Reason::UnknownBudget)
                .with(spent(Bucket::Unknown)),
            Case::silence(
                "an unknown device in another spelling is one as well",
                &Datagram::default().read(
                    "Communicator\\SIP00AABBCCDDEE.CNF",
                    "octet",
                    "blksize 1024",
                ),
                Reason::UnknownBudget,
            )
            .with(spent(Bucket::Unknown)),
            Case::silence(
                "unknown devices are names, too",
                &device,
                Reason::MissBudget,
            )
            .with(spent(Bucket::Miss)),
        ])
        .collect()
}
