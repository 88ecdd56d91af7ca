//! Telling phones to restart.

use super::*;
use crate::register::{Change, Departure, Order};

const NAME: &str = "SEP0011223344FF";

/// No phone of a daemon that was not restarted needs it.
fn nowhere(_: SocketAddr) -> Option<SocketAddr> {
    None
}

fn order(edge: &Edge, device: &str, order: Order) -> Option<Outgoing> {
    let registration = edge.registered(device).unwrap();
    edge.core.order(&registration, order, nowhere, edge.now)
}

fn left(edge: &Edge, act: impl FnOnce()) -> Departure {
    let mut changes = edge.desk.table.changes();
    act();
    match changes.try_recv().unwrap() {
        Change::Left { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_phone_is_told_by_notify_with_its_own_call() {
    let edge = Edge::new();
    let mut phone = tcp();
    phone.registers(&edge);
    for (what, action) in [
        (Order::Reset, "reset"),
        (Order::Restart, "restart"),
        (Order::ApplyConfig, "apply-config"),
    ] {
        let outgoing = order(&edge, NAME, what).unwrap();
        assert_eq!(outgoing.to.connection, Some(CONNECTION));
        assert_eq!(outgoing.to.to, phone.source);
        let branch = outgoing.branch.clone().unwrap();
        let text = String::from_utf8(outgoing.bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let contact = "sip:04984998-fe29@10.0.0.9:51778;transport=tcp";
        assert_eq!(lines.next().unwrap(), format!("NOTIFY {contact} SIP/2.0"));
        for line in [
            &format!("Via: SIP/2.0/TCP 10.0.0.1:5060;branch={branch};rport"),
            "CSeq: 101 NOTIFY",
            "Event: service-control",
            "Subscription-State: active",
            "Content-Type: text/plain",
            &format!("Content-Length: {}", body.len()),
            &format!("To: <{contact}>"),
            "Contact: <sip:10.0.0.1:5060;transport=tcp>",
        ] {
            assert!(head.contains(&format!("\r\n{line}")), "{line} in\n{text}");
        }
        assert!(body.starts_with(&format!(
            "action={action}\r\nRegisterCallId={{{}}}\r\nConfigVersionStamp={{00000000",
            phone.call_id
        )));
    }
}

#[test]
fn over_udp_it_goes_to_the_contact_or_through_the_nat() {
    let edge = Edge::new();
    let mut phone = udp();
    phone.registers(&edge);
    let registration = edge.registered(NAME).unwrap();
    let mut at_5060 = Registration::clone(&registration);
    at_5060.bindings[0].contact = "sip:1001@10.0.0.9".into();
    let mut behind_nat = Registration::clone(&registration);
    behind_nat.bindings[0].contact = "sip:1001@192.168.1.9:5070".into();
    for (registration, to) in [
        (&*registration, phone.source),
        (&at_5060, ([10, 0, 0, 9], 5060).into()),
        (&behind_nat, phone.source),
    ] {
        let outgoing = edge
            .core
            .order(registration, Order::Reset, nowhere, edge.now);
        assert_eq!(outgoing.unwrap().to.to, to);
    }
}

#[test]
fn a_7960_is_told_by_check_sync() {
    let edge = Edge::new();
    udp().nameless("1007").registers(&edge);
    let outgoing = order(&edge, "SIP001122334477", Order::Restart).unwrap();
    let text = String::from_utf8(outgoing.bytes).unwrap();
    assert!(text.contains("\r\nEvent: check-sync\r\n"), "{text}");
    assert!(text.ends_with("\r\nContent-Length: 0\r\n\r\n"));
}

#[test]
fn a_phone_that_cannot_be_reached_is_not_told() {
    let edge = Edge::new();
    tcp().registers(&edge);
    let mut registration = Registration::clone(&edge.registered(NAME).unwrap());
    registration.connection = None;
    assert!(
        edge.core
            .order(&registration, Order::Reset, nowhere, edge.now)
            .is_none()
    );
    registration.bindings.clear();
    assert!(
        edge.core
            .order(&registration, Order::Reset, nowhere, edge.now)
            .is_none()
    );
}

#[test]
fn a_phone_that_is_restored_after_a_restart_is_told_where_datagrams_go() {
    let edge = Edge::new();
    for (mut phone, is_told) in [(udp(), true), (tcp(), false)] {
        phone.registers(&edge);
        let registration = edge.registered(NAME).unwrap();
        let anew = Edge::new();
        let towards = |to: SocketAddr| {
            assert_eq!(to, phone.source);
            Some(([10, 0, 0, 2], 5062).into())
        };
        let outgoing = anew
            .core
            .order(&registration, Order::Reset, towards, anew.now);
        assert_eq!(outgoing.is_some(), is_told);
        if let Some(outgoing) = outgoing {
            let text = String::from_utf8(outgoing.bytes).unwrap();
            assert!(
                text.contains("\r\nVia: SIP/2.0/UDP 10.0.0.2:5062;"),
                "{text}"
            );
            assert_eq!(outgoing.to.from, ([10, 0, 0, 2], 5062).into());
        }
        phone.expires = Some(0);
        phone.registers(&edge);
    }
}

#[test]
fn a_phone_that_leaves_after_an_order_leaves_for_it() {
    for (what, why) in [
        (Order::Reset, Departure::Reset),
        (Order::Restart, Departure::Restart),
        (Order::ApplyConfig, Departure::ApplyConfig),
    ] {
        let edge = Edge::new();
        let mut phone = tcp();
        phone.registers(&edge);
        order(&edge, NAME, what).unwrap();
        phone.expires = Some(0);
        let told = left(&edge, || {
            phone.registers(&edge);
        });
        assert_eq!(told, why);
        phone.expires = Some(3600);
        phone.registers(&edge);
        order(&edge, NAME, what).unwrap();
        let told = left(&edge, || edge.core.closed(CONNECTION, edge.now));
        assert_eq!(told, why);
    }
}

#[test]
fn an_order_is_forgotten_after_a_while() {
    let mut edge = Edge::new();
    let mut phone = tcp();
    phone.registers(&edge);
    order(&edge, NAME, Order::Reset).unwrap();
    edge.pass(301);
    let told = left(&edge, || edge.core.closed(CONNECTION, edge.now));
    assert_eq!(told, Departure::Connectivity);
}

#[test]
fn a_phone_that_does_not_answer_has_left_unless_it_gave_another_sign_of_life() {
    let mut edge = Edge::new();
    let mut phone = udp();
    phone.registers(&edge);
    let first = order(&edge, NAME, Order::Reset).unwrap().branch.unwrap();
    edge.pass(10);
    phone.sends(&edge);
    edge.core.unanswered(&first, edge.now);
    assert!(edge.registered(NAME).is_some());
    let second = order(&edge, NAME, Order::Reset).unwrap().branch.unwrap();
    // Of another order, or of nobody.
    edge.core.unanswered(&first, edge.now);
    edge.core.unanswered("z9hG4bKedge-", edge.now);
    edge.core.unanswered("z9hG4bKother", edge.now);
    assert!(edge.registered(NAME).is_some());
    let told = left(&edge, || edge.core.unanswered(&second, edge.now));
    assert_eq!(told, Departure::NoResponse);
}
