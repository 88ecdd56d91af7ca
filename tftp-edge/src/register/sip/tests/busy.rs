//! What a phone is told that cannot be served now.

use super::*;
use crate::register::Refusal;
use crate::register::sip::core::Exchange;
use crate::register::sip::message::{Message, Reply, Request};
use crate::register::sip::registrar::No;

fn refused(edge: &Edge, no: No) -> Option<Answered> {
    let phone = udp();
    let text = phone.register();
    let message = Message::scan(text.as_bytes()).unwrap();
    let request = Request::check(&message).unwrap();
    let reply = Reply::new(&message, phone.source, 1).unwrap();
    let incoming = Incoming {
        bytes: text.as_bytes(),
        transport: phone.transport,
        source: phone.source,
        local: local(),
        connection: None,
        arrived: edge.now,
    };
    let exchange = Exchange {
        incoming: &incoming,
        request: &request,
        reply: &reply,
        now: edge.now,
        wall: edge.wall,
    };
    let bytes = edge.core.refuse(&exchange, no)?;
    let to = super::super::core::answer_to(&incoming, &reply, bytes);
    Some(Answered::new(to))
}

#[test]
fn a_phone_that_has_to_wait_is_told_how_long_in_whole_seconds() {
    let edge = Edge::new();
    for (wait, seconds) in [(2_000, "2"), (2_001, "3"), (0, "1")] {
        let wait = Duration::from_millis(wait);
        let answered = refused(&edge, No::Later(Refusal::Storm, wait)).unwrap();
        assert_eq!(answered.code, 503);
        assert_eq!(answered.header("Retry-After"), seconds);
    }
    assert_eq!(edge.core.counts().refusal(Refusal::Storm), 3);
}

#[test]
fn what_waited_too_long_gets_no_answer() {
    let edge = Edge::new();
    assert!(refused(&edge, No::Silence(Refusal::Stale)).is_none());
    assert_eq!(edge.core.counts().refusal(Refusal::Stale), 1);
}

#[test]
fn messages_are_not_printed_with_what_is_in_them() {
    let edge = Edge::new();
    let mut phone = udp();
    phone.registers(&edge);
    let text = phone.register();
    let message = Message::scan(text.as_bytes()).unwrap();
    let request = Request::check(&message).unwrap();
    let printed = format!("{message:?} {request:?}");
    assert!(!printed.contains("response="), "{printed}");
}
