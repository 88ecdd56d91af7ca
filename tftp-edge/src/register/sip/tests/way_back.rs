//! Where answers go (RFC 3261 18.2, RFC 3581), and what they say of it.

use super::*;

fn with_via(phone: &Phone, via: &str) -> String {
    let text = phone.register();
    let start = text.find("Via: ").unwrap();
    let end = start + text[start..].find("\r\n").unwrap();
    format!("{}Via: {via}{}", &text[..start], &text[end..])
}

#[test]
fn a_datagram_is_answered_at_the_port_of_the_via() {
    let edge = Edge::new();
    let phone = udp();
    for (via, port, told) in [
        ("SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bK1", 5070, ""),
        ("SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1", 5060, ""),
        ("SIP/2.0/UDP 10.0.0.9:0;branch=z9hG4bK1", 5060, ""),
        // Behind NAT, or with a name: where it really came from.
        (
            "SIP/2.0/UDP 192.168.1.9:5070;branch=z9hG4bK1",
            5070,
            ";received=10.0.0.9",
        ),
        (
            "SIP/2.0/UDP phone.local;branch=z9hG4bK1",
            5060,
            ";received=10.0.0.9",
        ),
        // What another claims to have received is not believed, nor followed.
        (
            "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1;maddr=10.0.0.66",
            5060,
            "",
        ),
    ] {
        let answered = edge.answer(&phone, &with_via(&phone, via));
        assert_eq!(
            answered.outgoing.to.to,
            ([10, 0, 0, 9], port).into(),
            "{via}"
        );
        assert_eq!(answered.outgoing.to.from, local());
        assert_eq!(answered.header("Via"), format!("{via}{told}"));
    }
}

#[test]
fn with_rport_a_datagram_is_answered_where_it_came_from() {
    let edge = Edge::new();
    let phone = udp();
    for via in [
        "SIP/2.0/UDP 10.0.0.9:5070;rport;branch=z9hG4bK1",
        "SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bK1;rport=1;received=1.2.3.4",
    ] {
        let answered = edge.answer(&phone, &with_via(&phone, via));
        assert_eq!(answered.outgoing.to.to, phone.source);
        assert_eq!(
            answered.header("Via"),
            "SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bK1;received=10.0.0.9;rport=49152"
        );
    }
}

#[test]
fn over_a_connection_answers_go_back_over_it() {
    let edge = Edge::new();
    let phone = tcp();
    let answered = edge.answer(&phone, &with_via(&phone, "SIP/2.0/TCP 10.0.0.9:5070"));
    assert_eq!(answered.outgoing.to.connection, Some(CONNECTION));
    assert_eq!(answered.outgoing.to.to, phone.source);
    assert_eq!(answered.outgoing.branch, None);
}

#[test]
fn all_vias_come_back_in_their_order() {
    let edge = Edge::new();
    let phone = udp();
    let vias = "SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1 ,SIP/2.0/UDP 10.0.0.8;branch=z9hG4bK2\r\n\
        v: SIP / 2.0 / TCP\r\n 10.0.0.9 : 5061;branch=z9hG4bK3";
    let answered = edge.answer(&phone, &with_via(&phone, vias));
    assert_eq!(
        answered.all("Via"),
        [
            "SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1;received=10.0.0.9, \
             SIP/2.0/UDP 10.0.0.8;branch=z9hG4bK2",
            "SIP / 2.0 / TCP   10.0.0.9 : 5061;branch=z9hG4bK3",
        ]
    );
}

#[test]
fn ipv6_is_answered_like_ipv4_and_mapped_addresses_are_ipv4() {
    let edge = Edge::without_digest();
    let mut phone = udp();
    phone.source = "[fd00::9]:49152".parse().unwrap();
    let answered = phone.sends(&edge);
    assert_eq!(answered.code, 200, "{}", answered.text);
    assert_eq!(answered.outgoing.to.to, phone.source);
    assert!(
        answered
            .header("Contact")
            .starts_with("<sip:04984998-fe29@[fd00::9]:49152;")
    );
    let mut mapped = udp();
    mapped.source = "[::ffff:10.0.0.9]:49152".parse().unwrap();
    let via = "SIP/2.0/UDP 192.168.1.9;branch=z9hG4bK1";
    let answered = edge.answer(&mapped, &with_via(&mapped, via));
    assert_eq!(answered.header("Via"), format!("{via};received=10.0.0.9"));
}
