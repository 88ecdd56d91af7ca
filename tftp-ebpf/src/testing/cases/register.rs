//! Registration packets: their class, and whether they may come in.

use super::request::over_v6;
use super::{Before, Case, Expected, GateState, InterfaceState, Told};
use crate::classify::{Class, Decision};
use crate::plan;
use crate::testing::datagram::{Datagram, Endpoint, Ip};
use crate::testing::segment::{ACK, RST, SYN, Segment};
use crate::testing::site::{BEHIND_V4, map};
use crate::verdict::Reason;
use crate::wire::sip::HEAD_MAX;

const DEVICE: &str = "SEP001122334455";

pub(super) fn cases() -> Vec<Case> {
    [
        connections(),
        sccp(),
        sip(),
        responses(),
        odd_packets(),
        strangers(),
        admission(),
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

/// A message of SCCP: the length counts from the id.
fn message(id: u32, version: u32, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend_from_slice(&(4 + body.len() as u32).to_le_bytes());
    message.extend_from_slice(&version.to_le_bytes());
    message.extend_from_slice(&id.to_le_bytes());
    message.extend_from_slice(body);
    message
}

/// A body that begins with a device's name.
fn named(name: &str, len: usize) -> Vec<u8> {
    let mut body = name.as_bytes().to_vec();
    body.resize(len, 0);
    body
}

fn sccp() -> Vec<Case> {
    let phone = |payload: &[u8]| Segment::default().with(payload);
    let server = |payload: &[u8]| Segment::default().back().with(payload);
    let register = message(1, 0, &named(DEVICE, 120));
    let with_options = Segment {
        options: TIMESTAMPS.to_vec(),
        ..phone(&register)
    };
    let xml = message(0x15a, 22, &[b'x'; 1400]);
    let mut cases = vec![
        over_tcp("Register", &phone(&register), Class::SccpRegister).of_device(DEVICE),
        over_tcp(
            "Register behind TCP options",
            &with_options,
            Class::SccpRegister,
        )
        .of_device(DEVICE),
        over_tcp(
            "Register over IPv6",
            &v6(with_options.clone()),
            Class::SccpRegister,
        )
        .of_device(DEVICE),
        over_tcp(
            "Register behind two tags",
            &tagged(phone(&register), &[(0x88a8, 200), (0x8100, 110)]),
            Class::SccpRegister,
        )
        .of_device(DEVICE)
        .in_vlan(200),
        over_tcp(
            "Register cut behind its header",
            &phone(&register[..12]),
            Class::SccpRegister,
        ),
        over_tcp(
            "Register cut in the name",
            &phone(&register[..27]),
            Class::SccpRegister,
        ),
        over_tcp(
            "Register cut behind the name",
            &phone(&register[..28]),
            Class::SccpRegister,
        )
        .of_device(DEVICE),
        over_tcp(
            "RegisterTokenReq",
            &phone(&message(0x29, 0, &named(DEVICE, 52))),
            Class::SccpToken,
        )
        .of_device(DEVICE),
        over_tcp(
            "RegisterTokenReq of SPCP",
            &phone(&message(0x8000, 0, &named("SEP00AABBCCDDEE", 32))),
            Class::SccpToken,
        )
        .of_device("SEP00AABBCCDDEE"),
        over_tcp(
            "KeepAlive with a message behind it",
            &phone(&[message(0, 0, &[]), register.clone()].concat()),
            Class::SccpKeepalive,
        ),
        over_tcp("XMLAlarm", &phone(&xml), Class::SccpAlarm),
    ];
    let plain: [(&str, Segment, Class); 19] = [
        (
            "KeepAlive",
            phone(&message(0, 0, &[])),
            Class::SccpKeepalive,
        ),
        (
            "Unregister",
            phone(&message(0x27, 17, &[0; 4])),
            Class::SccpUnregister,
        ),
        (
            "Alarm",
            phone(&message(0x20, 0, &[b' '; 92])),
            Class::SccpAlarm,
        ),
        (
            "CapabilitiesRes",
            phone(&message(0x10, 17, &[0; 20])),
            Class::SccpOther,
        ),
        (
            "RegisterAck",
            server(&message(0x81, 0, &[0; 20])),
            Class::SccpRegisterAck,
        ),
        (
            "RegisterReject",
            server(&message(0x9d, 17, &[0; 32])),
            Class::SccpRegisterReject,
        ),
        (
            "RegisterTokenAck",
            server(&message(0x11a, 0, &[])),
            Class::SccpTokenAck,
        ),
        (
            "RegisterTokenReject",
            server(&message(0x11b, 0, &[60, 0, 0, 0])),
            Class::SccpTokenReject,
        ),
        (
            "RegisterTokenAck of SPCP",
            server(&message(0x8100, 0, &[0; 4])),
            Class::SccpTokenAck,
        ),
        (
            "RegisterTokenReject of SPCP",
            server(&message(0x8101, 0, &[0; 4])),
            Class::SccpTokenReject,
        ),
        (
            "KeepAliveAck",
            server(&message(0x100, 0, &[])),
            Class::SccpKeepaliveAck,
        ),
        (
            "Reset",
            server(&message(0x9f, 17, &[1, 0, 0, 0])),
            Class::SccpReset,
        ),
        (
            "CapabilitiesReq",
            server(&message(0x9b, 17, &[])),
            Class::SccpOther,
        ),
        // An id means what it does in its direction.
        (
            "RegisterAck of a phone",
            phone(&message(0x81, 0, &[0; 20])),
            Class::SccpOther,
        ),
        ("Register of a server", server(&register), Class::SccpOther),
        (
            "half a header",
            phone(&register[..11]),
            Class::SccpContinuation,
        ),
        (
            "the middle of Register",
            phone(&register[12..]),
            Class::SccpContinuation,
        ),
        ("zeros", phone(&[0; 40]), Class::SccpContinuation),
        ("noise", phone(&[0xa5; 90]), Class::SccpContinuation),
    ];
    cases.extend(plain.map(|(name, segment, class)| over_tcp(name, &segment, class)));
    cases
}

/// A message of SIP over UDP from a phone.
fn datagram(payload: &[u8]) -> Datagram {
    let plain = Datagram::default();
    Datagram {
        from: Endpoint {
            port: 5060,
            ..plain.from
        },
        to: Endpoint {
            port: 5060,
            ..plain.to
        },
        payload: payload.to_vec(),
        ..plain
    }
}

fn request(method: &str) -> Vec<u8> {
    let lines = [
        format!("{method} sip:10.20.0.1 SIP/2.0"),
        "Via: SIP/2.0/TCP 10.20.30.40:49152;branch=z9hG4bK7c1a".to_owned(),
        "From: <sip:1001@10.20.0.1>;tag=001122334455".to_owned(),
        "To: <sip:1001@10.20.0.1>".to_owned(),
        "Call-ID: 00112233-4455abcd-6789-1011@10.20.30.40".to_owned(),
        format!("CSeq: 101 {method}"),
        format!("Contact: <sip:1001@10.20.30.40>;+u.sip!devicename.ccm.cisco.com=\"{DEVICE}\""),
        "Content-Length: 0".to_owned(),
        String::new(),
        String::new(),
    ];
    lines.join("\r\n").into_bytes()
}

fn response(status: &str, method: &str) -> Vec<u8> {
    let lines = [
        format!("SIP/2.0 {status}"),
        "Via: SIP/2.0/UDP 10.20.30.40:5060;branch=z9hG4bK7c1a".to_owned(),
        "To: <sip:REGISTER@10.20.0.1>;tag=1".to_owned(),
        format!("CSeq: 101 {method}"),
        "Content-Length: 0".to_owned(),
        String::new(),
        String::new(),
    ];
    lines.join("\r\n").into_bytes()
}

fn sip() -> Vec<Case> {
    let connection = |payload: &[u8]| to_port(Segment::default(), 5060).with(payload);
    let register = request("REGISTER");
    let long = [&register[..], &[b'x'; 1400 - 360]].concat();
    let over_ipv6 = Datagram {
        from: over_v6().from,
        to: Endpoint {
            port: 5060,
            ..over_v6().to
        },
        ..datagram(&register)
    };
    let over_vlan = Datagram {
        tags: vec![(0x8100, 0x606e)],
        ..datagram(&register)
    };
    let mut cases = vec![
        over_udp(
            "REGISTER over UDP",
            &datagram(&register),
            Class::SipRegister,
        ),
        over_udp("REGISTER over UDP and IPv6", &over_ipv6, Class::SipRegister),
        over_udp("REGISTER behind a tag", &over_vlan, Class::SipRegister).in_vlan(0x06e),
        over_udp("a long REGISTER", &datagram(&long), Class::SipRegister),
        over_udp(
            "REGISTER behind an empty line",
            &datagram(&[b"\r\n", &register[..]].concat()),
            Class::SipRegister,
        ),
        over_tcp(
            "REGISTER over TCP",
            &connection(&register),
            Class::SipRegister,
        ),
        over_tcp(
            "REGISTER over TCP behind a keep-alive",
            &connection(&[b"\r\n\r\n", &register[..]].concat()),
            Class::SipRegister,
        ),
        over_tcp(
            "REGISTER cut behind sixteen bytes",
            &connection(&register[..16]),
            Class::SipRegister,
        ),
        over_tcp(
            "REGISTER cut in its first line",
            &connection(&register[..15]),
            Class::SipContinuation,
        ),
        over_tcp(
            "REGISTER over TCP behind options over IPv6",
            &v6(Segment {
                options: TIMESTAMPS.to_vec(),
                ..connection(&register)
            }),
            Class::SipRegister,
        ),
        over_tcp(
            "the middle of REGISTER",
            &connection(&register[40..]),
            Class::SipContinuation,
        ),
    ];
    cases.extend(
        [
            ("REFER", Class::SipRefer),
            ("OPTIONS", Class::SipOptions),
            ("NOTIFY", Class::SipNotify),
            ("SUBSCRIBE", Class::SipSubscribe),
            ("INVITE", Class::SipInvite),
            ("PUBLISH", Class::SipRequest),
        ]
        .map(|(method, class)| over_tcp(method, &connection(&request(method)), class)),
    );
    cases.extend(
        [
            (
                "a keep-alive over UDP",
                &b"\r\n\r\n"[..],
                Class::SipKeepalive,
            ),
            ("an empty line over UDP", b"\r\n", Class::SipKeepalive),
            ("an empty datagram", b"", Class::SipKeepalive),
            ("four zeros", &[0; 4], Class::SipGarbage),
            (
                "a request in small letters",
                b"register sip:10.20.0.1 SIP/2.0\r\n",
                Class::SipGarbage,
            ),
            (
                "only empty lines",
                b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
                Class::SipGarbage,
            ),
            ("RTP at the port of SIP", &[0x80; 172], Class::SipGarbage),
        ]
        .map(|(name, payload, class)| over_udp(name, &datagram(payload), class)),
    );
    cases.push(over_tcp(
        "a keep-alive over TCP",
        &connection(b"\r\n\r\n"),
        Class::SipKeepalive,
    ));
    cases
}

/// What a server behind this host says to its phones, and a phone to its server.
fn responses() -> Vec<Case> {
    let phone = Datagram::default();
    let answer = |payload: &[u8]| Datagram {
        from: Endpoint {
            address: BEHIND_V4.into(),
            port: 5060,
            ..phone.to
        },
        to: phone.from,
        payload: payload.to_vec(),
        ..Datagram::default()
    };
    let register = |status: &str| answer(&response(status, "REGISTER"));
    let far = {
        let mut text = response("200 OK", "REGISTER");
        let at = text
            .windows(4)
            .position(|it| it == b"CSeq")
            .expect("a CSeq");
        let filler = [b"X-Filler: ", &[b'x'; 990][..], b"\r\n"].concat();
        text.splice(at..at, filler);
        text
    };
    let to_a_tid = Datagram {
        to: Endpoint {
            port: 57_400,
            ..phone.from
        },
        ..register("200 OK")
    };
    let over_tcp_back = to_port(Segment::default(), 5060)
        .with(&response("200 OK", "REGISTER"))
        .back();
    vec![
        over_udp("200 to REGISTER", &register("200 OK"), Class::SipRegistered),
        over_udp(
            "200 to REGISTER, to a port in the range of transfers",
            &to_a_tid,
            Class::SipRegistered,
        ),
        over_tcp(
            "200 to REGISTER over TCP",
            &over_tcp_back,
            Class::SipRegistered,
        ),
        over_udp(
            "200 to SUBSCRIBE",
            &answer(&response("200 OK", "SUBSCRIBE")),
            Class::SipSuccess,
        ),
        over_udp(
            "200 with its CSeq too far behind",
            &answer(&far),
            Class::SipSuccess,
        ),
        over_udp(
            "200 of a phone",
            &datagram(&response("200 OK", "REGISTER")),
            Class::SipSuccess,
        ),
        over_udp("100", &register("100 Trying"), Class::SipProvisional),
        over_udp("401", &register("401 Unauthorized"), Class::SipChallenge),
        over_udp(
            "407",
            &register("407 Proxy Authentication Required"),
            Class::SipChallenge,
        ),
        over_udp("403", &register("403 Forbidden"), Class::SipForbidden),
        over_udp("404", &register("404 Not Found"), Class::SipForbidden),
        over_udp(
            "423",
            &register("423 Interval Too Brief"),
            Class::SipTooBrief,
        ),
        over_udp(
            "503",
            &register("503 Service Unavailable"),
            Class::SipUnavailable,
        ),
        over_udp(
            "500",
            &register("500 Server Internal Error"),
            Class::SipResponse,
        ),
        over_udp(
            "302",
            &register("302 Moved Temporarily"),
            Class::SipResponse,
        ),
    ]
}

fn odd_packets() -> Vec<Case> {
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
fn strangers() -> Vec<Case> {
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
        // 80 shares its bit with 2000, and 5072 with 5008; 22 with none.
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

fn admission() -> Vec<Case> {
    let register = datagram(&request("REGISTER"));
    let in_storm = |gate| Before {
        gate,
        ..Before::default()
    };
    let known = |gate| Before {
        known: true,
        ..in_storm(gate)
    };
    let registered = |gate| Before {
        registered: true,
        ..in_storm(gate)
    };
    let observed = |before| Before {
        observed: true,
        ..before
    };
    let a_syn = |name| over_tcp(name, &syn(), Class::Syn);
    let a_register = |name| over_udp(name, &register, Class::SipRegister);
    let uncharged = |mut case: Case| {
        if let Expected::Classified { charged, .. } = &mut case.expected {
            *charged = false;
        }
        case
    };
    let untold = |mut case: Case| {
        if let Expected::Classified { sample, .. } = &mut case.expected {
            *sample = None;
        }
        case
    };
    use Decision::{Drop, WouldDrop};
    use GateState::{Empty, Open, Reserve};
    vec![
        a_syn("a stranger's SYN leaves the reserve alone")
            .held_back(Drop)
            .with(in_storm(Reserve)),
        a_register("a stranger's REGISTER leaves the reserve alone")
            .held_back(Drop)
            .with(in_storm(Reserve)),
        a_syn("SYN of who was seen booting takes from the reserve").with(known(Reserve)),
        a_register("REGISTER of who was seen booting takes from the reserve").with(known(Reserve)),
        a_syn("SYN of who was seen booting finds nothing")
            .held_back(Drop)
            .with(known(Empty)),
        over_tcp(
            "SYN over IPv6 of who was seen booting in the same network",
            &v6(syn()),
            Class::Syn,
        )
        .with(known(Reserve)),
        a_syn("SYN of a registered phone always comes in").with(registered(Empty)),
        a_register("REGISTER of a registered phone always comes in").with(registered(Empty)),
        a_syn("observed: SYN would have been dropped")
            .held_back(WouldDrop)
            .with(observed(in_storm(Reserve))),
        a_register("observed: REGISTER would have been dropped")
            .held_back(WouldDrop)
            .with(observed(known(Empty))),
        uncharged(a_syn("without a budget SYN comes in")).with(in_storm(Open)),
        uncharged(a_register("without a budget REGISTER comes in")).with(in_storm(Open)),
        over_tcp(
            "REGISTER over a connection has been paid for",
            &to_port(Segment::default(), 5060).with(&request("REGISTER")),
            Class::SipRegister,
        )
        .with(in_storm(Empty)),
        over_tcp(
            "Register over a connection has been paid for",
            &Segment::default().with(&message(1, 0, &named(DEVICE, 120))),
            Class::SccpRegister,
        )
        .of_device(DEVICE)
        .with(in_storm(Empty)),
        over_udp(
            "OPTIONS is no registration",
            &datagram(&request("OPTIONS")),
            Class::SipOptions,
        )
        .with(in_storm(Empty)),
        untold(a_register("what was not told is counted")).with(Before {
            sampled_out: true,
            ..Before::default()
        }),
        untold(a_syn("what was dropped and not told is counted").held_back(Drop)).with(Before {
            sampled_out: true,
            ..in_storm(Empty)
        }),
    ]
}
