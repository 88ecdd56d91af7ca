//! Messages of SIP over UDP and TCP.

use super::{DEVICE, TIMESTAMPS, over_tcp, over_udp, to_port, v6};
use crate::classify::Class;
use crate::testing::cases::Case;
use crate::testing::cases::request::over_v6;
use crate::testing::datagram::{Datagram, Endpoint};
use crate::testing::segment::Segment;
use crate::testing::site::BEHIND_V4;

/// A message of SIP over UDP from a phone.
pub(super) fn datagram(payload: &[u8]) -> Datagram {
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

pub(super) fn request(method: &str) -> Vec<u8> {
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

pub(super) fn requests() -> Vec<Case> {
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
pub(super) fn responses() -> Vec<Case> {
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
