//! Requests that are not the registrar's, and messages that are nobody's.

use super::*;
use crate::register::Refusal;
use crate::register::sip::message::{Defect, Method};

fn of_method(phone: &Phone, method: &str) -> String {
    phone.write(method, "sip:1002@10.0.0.1", "")
}

#[test]
fn each_method_gets_the_refusal_that_is_right() {
    let edge = Edge::new();
    let phone = udp();
    for (method, code) in [
        ("INVITE", 405),
        ("SUBSCRIBE", 405),
        ("MESSAGE", 405),
        ("REFER", 405),
        ("BYE", 481),
        ("CANCEL", 481),
        ("NOTIFY", 481),
        ("INFO", 481),
        ("PRACK", 481),
        ("UPDATE", 481),
        ("FLY", 501),
        ("register", 501),
    ] {
        let answered = edge.answer(&phone, &of_method(&phone, method));
        assert_eq!(answered.code, code, "{method}");
        assert_eq!(
            answered.header("Allow"),
            "REGISTER, OPTIONS, REFER, PUBLISH"
        );
    }
    let (received, out) = edge.receive(&phone, of_method(&phone, "ACK").as_bytes());
    assert_eq!((received, out.len()), (Received::Done, 0));
}

#[test]
fn what_is_of_a_dialog_is_told_that_there_is_none() {
    let edge = Edge::new();
    let phone = udp();
    let invite = of_method(&phone, "INVITE").replace("To: <sip:1001@10.0.0.1>", "$&;tag=1");
    let invite = invite.replace("$&", "To: <sip:1001@10.0.0.1>");
    assert_eq!(edge.answer(&phone, &invite).code, 481);
}

#[test]
fn options_tells_what_is_allowed() {
    let edge = Edge::new();
    let phone = udp();
    let answered = edge.answer(&phone, &phone.write("OPTIONS", "sip:10.0.0.1", ""));
    assert_eq!(answered.code, 200);
    assert_eq!(
        answered.header("Allow"),
        "REGISTER, OPTIONS, REFER, PUBLISH"
    );
    assert!(
        answered
            .header("Accept")
            .contains("application/x-cisco-alarm+xml")
    );
}

#[test]
fn requests_that_may_go_no_further_are_refused() {
    let edge = Edge::new();
    let phone = udp();
    let invite = of_method(&phone, "INVITE").replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(edge.answer(&phone, &invite).code, 483);
    // A REGISTER is where it was to go.
    let register = phone
        .register()
        .replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(edge.answer(&phone, &register).code, 401);
}

#[test]
fn what_is_required_and_not_known_is_named() {
    let edge = Edge::new();
    let mut phone = udp();
    phone.headers =
        "Require: nothingSupportsThis, norefersub\r\nProxy-Require: noProxies\r\n".into();
    let answered = edge.answer(&phone, &phone.register());
    assert_eq!(answered.code, 420);
    // In one header, whoever asked: an answer to a forged request is no longer than it.
    assert_eq!(
        answered.all("Unsupported"),
        ["nothingSupportsThis,noProxies"]
    );
}

#[test]
fn other_schemes_are_refused() {
    let edge = Edge::new();
    let phone = udp();
    for method in ["REGISTER", "OPTIONS", "INVITE"] {
        for uri in [
            "tel:+15551000",
            "nobodyKnowsThisScheme:totallyopaquecontent",
        ] {
            assert_eq!(edge.answer(&phone, &phone.write(method, uri, "")).code, 416);
        }
    }
    let to = phone
        .register()
        .replace("To: <sip:1001@10.0.0.1>", "To: <isbn:2983792873>");
    assert_eq!(edge.answer(&phone, &to).code, 404);
}

#[test]
fn a_pbx_gets_what_is_not_the_registrars() {
    let edge = Edge::new();
    let edge = Edge {
        core: Core::new(Settings::default(), edge.desk.clone()).relaying(true),
        ..edge
    };
    let phone = udp();
    let relayed = |text: &str| {
        let (received, out) = edge.receive(&phone, text.as_bytes());
        assert_eq!(received == Received::Relay, out.is_empty());
        received == Received::Relay
    };
    for method in [
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "SUBSCRIBE",
        "PUBLISH",
        "REFER",
        "OPTIONS",
    ] {
        assert!(relayed(&of_method(&phone, method)), "{method}");
    }
    assert!(relayed(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKpbx\r\n\r\n"
    ));
    assert!(!relayed(&phone.register()));
    assert!(!relayed(&phone.write("OPTIONS", "sip:10.0.0.1", "")));
    let last = of_method(&phone, "INVITE").replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(edge.answer(&phone, &last).code, 483);
    let (received, out) = edge.receive(
        &phone,
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKedge-SEP0-1\r\n\r\n",
    );
    assert_eq!((received, out.len()), (Received::Done, 0));
}

#[test]
fn strangers_and_noise_get_silence() {
    let edge = Edge::new();
    let mut phone = udp();
    for noise in [
        "\r\n\r\n",
        "\0\0\0\0",
        "GET / HTTP/1.1\r\n\r\n",
        "hello",
        "\u{1}\u{2}",
    ] {
        let (_, out) = edge.receive(&phone, noise.as_bytes());
        assert!(out.is_empty(), "{noise:?}");
    }
    assert_eq!(edge.core.counts().defect(Defect::NotSip), 3);
    // Without a way back there is no answer.
    let no_via = phone.register().replace("Via: ", "X-Via: ");
    assert!(edge.receive(&phone, no_via.as_bytes()).1.is_empty());
    phone.source = ([203, 0, 113, 9], 5060).into();
    assert!(
        edge.receive(&phone, phone.register().as_bytes())
            .1
            .is_empty()
    );
    assert_eq!(edge.core.counts().refusal(Refusal::Denied), 1);
    assert_eq!(edge.core.counts().requests[Method::Register as usize], 0);
}

#[test]
fn answers_to_nothing_are_not_answered() {
    let edge = Edge::new();
    let phone = udp();
    for code in [100, 200, 404, 699] {
        let text = phone.register().replace(
            "REGISTER sip:10.0.0.1 SIP/2.0",
            &format!("SIP/2.0 {code} Whatever"),
        );
        assert!(edge.receive(&phone, text.as_bytes()).1.is_empty());
    }
    assert_eq!(edge.count(Event::Ignored), 4);
}
