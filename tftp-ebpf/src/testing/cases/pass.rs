//! Packets that go on to the next rung exactly as they came.

use super::request::over_v6;
use super::{Before, Case, InterfaceState, JUST_NOW};
use crate::frame::Bucket;
use crate::testing::datagram::{Checksum, Datagram, Endpoint, Ip};
use crate::testing::site::{ELSEWHERE, Site};
use crate::verdict::Reason;
use crate::wire::tftp::Granted;

const CONFIG: &str = "sep001122334455.cnf.xml";

pub(super) fn cases(site: &Site) -> Vec<Case> {
    [headers(), raw_frames(), requests(), states(site)].concat()
}

/// A good request in a packet the kernel program leaves alone.
fn headers() -> Vec<Case> {
    let read = || Datagram::default().read(CONFIG, "octet", "");
    let read6 = || over_v6().read(CONFIG, "octet", "");
    let tags = |tags: &[(u16, u16)]| Datagram {
        tags: tags.to_vec(),
        ..read()
    };
    let to = |address: [u8; 4], port: u16| Datagram {
        to: Endpoint {
            address: address.into(),
            port,
            ..read().to
        },
        ..read()
    };
    [
        (
            "IPv4 options",
            Datagram {
                ip: Ip::Options,
                ..read()
            },
            Reason::IpComplex,
        ),
        (
            "a first fragment",
            Datagram {
                ip: Ip::Fragment(0x2000),
                ..read()
            },
            Reason::IpComplex,
        ),
        (
            "a later fragment",
            Datagram {
                ip: Ip::Fragment(0x0010),
                ..read()
            },
            Reason::IpComplex,
        ),
        (
            "hop-by-hop options",
            Datagram {
                ip: Ip::Extension(0),
                ..read6()
            },
            Reason::IpComplex,
        ),
        (
            "a routing header",
            Datagram {
                ip: Ip::Extension(43),
                ..read6()
            },
            Reason::IpComplex,
        ),
        (
            "an IPv6 fragment",
            Datagram {
                ip: Ip::Extension(44),
                ..read6()
            },
            Reason::IpComplex,
        ),
        (
            "destination options",
            Datagram {
                ip: Ip::Extension(60),
                ..read6()
            },
            Reason::IpComplex,
        ),
        (
            "TCP",
            Datagram {
                protocol: 6,
                ..read()
            },
            Reason::NotOurs,
        ),
        (
            "TCP over IPv6",
            Datagram {
                protocol: 6,
                ..read6()
            },
            Reason::NotOurs,
        ),
        (
            "three tags",
            tags(&[(0x88a8, 1), (0x8100, 2), (0x8100, 3)]),
            Reason::NotIp,
        ),
        (
            "another UDP service",
            to([10, 20, 0, 1], 67),
            Reason::NotOurs,
        ),
        (
            "a request to another host",
            to([10, 20, 0, 2], 69),
            Reason::NotOurs,
        ),
        (
            "a wrong checksum",
            Datagram {
                checksum: Checksum::Wrong,
                ..read()
            },
            Reason::Checksum,
        ),
        (
            "a wrong checksum over IPv6",
            Datagram {
                checksum: Checksum::Wrong,
                ..read6()
            },
            Reason::Checksum,
        ),
        (
            "no checksum over IPv6",
            Datagram {
                checksum: Checksum::Zero,
                ..read6()
            },
            Reason::Checksum,
        ),
        (
            "a UDP length past the packet",
            Datagram {
                udp_len: Some(500),
                ..read()
            },
            Reason::Length,
        ),
        (
            "a UDP length below its header",
            Datagram {
                udp_len: Some(7),
                ..read()
            },
            Reason::Length,
        ),
        (
            "a UDP length past the IPv6 packet",
            Datagram {
                udp_len: Some(500),
                padded_to: 1000,
                ..read6()
            },
            Reason::Length,
        ),
    ]
    .into_iter()
    .map(|(name, request, reason)| Case::silence(name, &request, reason))
    .collect()
}

/// Frames that are no datagram at all, or end before they should.
fn raw_frames() -> Vec<Case> {
    let request = Datagram {
        padded_to: 0,
        ..Datagram::default().read(CONFIG, "octet", "")
    };
    let tagged = Datagram {
        tags: vec![(0x8100, 1)],
        ..request.clone()
    };
    let cut = |datagram: &Datagram, len: usize| {
        let mut frame = datagram.frame();
        frame.truncate(len);
        frame
    };
    let mut header_sum = request.frame();
    header_sum[10 + 14] ^= 0x40;
    // UDP is all there, but IP said there was more.
    let mut cut_short = Datagram {
        udp_len: Some(8 + request.payload.len() as u16),
        ..request.clone()
    };
    cut_short.payload.extend_from_slice(&[0; 9]);
    let cut_short_v6 = Datagram {
        from: over_v6().from,
        to: over_v6().to,
        ..cut_short.clone()
    };
    let without_tail = |datagram: &Datagram| cut(datagram, datagram.frame().len() - 9);
    let mut arp = vec![0xff; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut not_v6 = over_v6().read(CONFIG, "octet", "").frame();
    not_v6[14] = 0x45;
    [
        ("ARP", arp, Reason::NotIp),
        ("an EtherType of IPv6 before IPv4", not_v6, Reason::NotIp),
        (
            "a frame that ends in its Ethernet header",
            cut(&request, 13),
            Reason::NotIp,
        ),
        (
            "a frame that ends in its tag",
            cut(&tagged, 17),
            Reason::NotIp,
        ),
        (
            "a frame that ends in its IP header",
            cut(&request, 33),
            Reason::NotIp,
        ),
        (
            "a frame that ends in its UDP header",
            cut(&request, 41),
            Reason::NotIp,
        ),
        (
            "a wrong checksum of the IPv4 header",
            header_sum,
            Reason::Checksum,
        ),
        (
            "an IPv4 packet that was cut short",
            without_tail(&cut_short),
            Reason::Length,
        ),
        (
            "an IPv6 packet that was cut short",
            without_tail(&cut_short_v6),
            Reason::Length,
        ),
        (
            "a frame that ends in its payload",
            cut(&request, 50),
            Reason::Length,
        ),
    ]
    .into_iter()
    .map(|(name, frame, reason)| Case::new(name, frame, super::Expected::Silence(reason)))
    .collect()
}

fn requests() -> Vec<Case> {
    let payload = |bytes: &[u8]| Datagram {
        payload: bytes.to_vec(),
        ..Datagram::default()
    };
    let read =
        |name: &str, mode: &str, options: &str| Datagram::default().read(name, mode, options);
    let long = "n".repeat(97);
    let longer = "n".repeat(260);
    [
        ("opcode 0", payload(b"\0\0x\0octet\0"), Reason::Opcode),
        ("opcode 7", payload(b"\0\x07x\0octet\0"), Reason::Opcode),
        ("opcode 256", payload(b"\x01\0x\0octet\0"), Reason::Opcode),
        (
            "a write request",
            payload(b"\0\x02x\0octet\0"),
            Reason::Write,
        ),
        ("netascii", read(CONFIG, "netascii", ""), Reason::Mode),
        ("mail", read(CONFIG, "mail", ""), Reason::Mode),
        (
            "a mode nobody knows",
            read(CONFIG, "binary", ""),
            Reason::Mode,
        ),
        (
            "a name without NUL",
            payload(b"\0\x01xyz"),
            Reason::Malformed,
        ),
        ("no mode", payload(b"\0\x01xyz\0"), Reason::Malformed),
        (
            "a mode without NUL",
            payload(b"\0\x01xyz\0octet"),
            Reason::Malformed,
        ),
        ("no name", read("", "octet", ""), Reason::Name),
        (
            "a way out of the root",
            read("../etc/passwd", "octet", ""),
            Reason::Name,
        ),
        (
            "a way out with backslashes",
            read("x\\..\\..\\passwd", "octet", ""),
            Reason::Name,
        ),
        (
            "a hidden file",
            read(".htaccess", "octet", ""),
            Reason::Name,
        ),
        ("a control byte", read("a\x07b", "octet", ""), Reason::Name),
        (
            "a byte beyond ASCII",
            read("caf\u{e9}", "octet", ""),
            Reason::Name,
        ),
        (
            "a name longer than a key",
            read(&long, "octet", ""),
            Reason::Name,
        ),
        (
            "a request longer than is read",
            read(&longer, "octet", ""),
            Reason::LongRequest,
        ),
        (
            "a window",
            read(CONFIG, "octet", "windowsize 16"),
            Reason::Option,
        ),
        (
            "the largest window",
            read(CONFIG, "octet", "windowsize 65535"),
            Reason::Option,
        ),
        (
            "a name nobody published",
            read("no-such-file", "octet", ""),
            Reason::UnknownName,
        ),
        (
            "a name the daemon keeps",
            read(ELSEWHERE, "octet", ""),
            Reason::NotCached,
        ),
        (
            "an entry that is being replaced",
            read("torn.xml", "octet", ""),
            Reason::Torn,
        ),
    ]
    .into_iter()
    .map(|(name, request, reason)| Case::silence(name, &request, reason))
    .collect()
}

fn states(site: &Site) -> Vec<Case> {
    let request = Datagram::default().read(CONFIG, "octet", "");
    let asking = Datagram::default().read(CONFIG, "octet", "blksize 8192");
    let talk = site.talk(&Datagram::default(), CONFIG, Granted::default());
    let stuck = Before {
        stuck: true,
        ..Before::default()
    };
    let partial = |bucket| Before {
        partial: true,
        spent: Some(bucket),
        ..Before::default()
    };
    vec![
        Case::silence(
            "an unknown name where some found no room in the directory, whoever asks",
            &Datagram::default().read("no-such-file", "octet", ""),
            Reason::UnknownName,
        )
        .with(partial(Bucket::Miss)),
        Case::silence(
            "and an unknown device",
            &Datagram::default().read("SEP00AABBCCDDEE.cnf.xml", "octet", ""),
            Reason::UnknownName,
        )
        .with(partial(Bucket::Unknown)),
        Case::silence(
            "and the trust list of a device, which may be among those",
            &Datagram::default().read("CTLSEP001122334455.tlv", "octet", ""),
            Reason::UnknownName,
        )
        .with(partial(Bucket::First)),
        Case::silence("until all is published", &request, Reason::NotReady).with(Before {
            disabled: true,
            ..Before::default()
        }),
        Case::silence(
            "an ACK while the program is off",
            &talk.ack(1),
            Reason::NotReady,
        )
        .with(Before {
            disabled: true,
            standing: Some(talk.standing(1, JUST_NOW)),
            ..Before::default()
        }),
        Case::silence(
            "when no daemon is there for too long",
            &request,
            Reason::LeaseOver,
        )
        .with(Before {
            deserted: true,
            ..Before::default()
        }),
        Case::silence(
            "an ACK when no daemon is there for too long",
            &talk.ack(1),
            Reason::LeaseOver,
        )
        .with(Before {
            deserted: true,
            standing: Some(talk.standing(1, JUST_NOW)),
            ..Before::default()
        }),
        Case::silence("an interface not set up", &request, Reason::NotReady).with(Before {
            interface: InterfaceState::Unknown,
            ..Before::default()
        }),
        Case::silence(
            "a block longer than the kernel serves",
            &asking,
            Reason::Option,
        )
        .with(Before {
            interface: InterfaceState::Jumbo,
            ..Before::default()
        }),
        Case::silence("no room for DATA 1", &request, Reason::CannotGrow).with(stuck.clone()),
        Case::silence(
            "no room for the next block",
            &talk.ack(1),
            Reason::CannotGrow,
        )
        .with(Before {
            standing: Some(talk.standing(1, JUST_NOW)),
            ..stuck
        }),
    ]
}
