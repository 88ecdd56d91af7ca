//! What a phone is told that cannot be served now.

use super::*;
use crate::register::bans::{Bans, Settings as BanSettings};
use crate::register::newcomers::tests::Site as Taking;
use crate::register::sip::core::Exchange;
use crate::register::sip::message::{Message, Reply, Request};
use crate::register::sip::registrar::No;
use crate::register::{Refusal, Table};

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

/// Another phone than [`udp`].
fn other() -> Phone {
    let mut phone = udp();
    phone.source = ([10, 0, 0, 10], 49_152).into();
    phone.line = "1003".into();
    phone.user = "1003".into();
    phone.secret = "secret of 1003".into();
    phone.call_id = "00112233-440003@10.0.0.10".into();
    phone.contact_params = ";+u.sip!devicename.ccm.cisco.com=\"SEP001122334400\"".into();
    phone
}

#[test]
fn in_a_storm_a_phone_is_told_when_to_come_and_let_in_then() {
    let mut edge = Edge::at(|desk| {
        let settings = toml::from_str("max_registrations_per_second = 1").unwrap();
        desk.storm = Arc::new(Storm::new(&settings));
    });
    let (mut first, mut second) = (udp(), other());
    assert_eq!(first.registers(&edge).code, 200);
    let answered = second.registers(&edge);
    assert_eq!(
        (answered.code, answered.reason()),
        (503, "Service Unavailable")
    );
    let wait_s: u64 = answered.header("Retry-After").parse().unwrap();
    assert!((1..=2).contains(&wait_s), "{wait_s}");
    assert_eq!(edge.core.counts().refusal(Refusal::Storm), 1);
    // Who is registered goes before all others.
    assert_eq!(first.registers(&edge).code, 200);
    edge.pass(wait_s);
    assert_eq!(second.registers(&edge).code, 200);
    assert_eq!(edge.core.counts().refusal(Refusal::Storm), 1);
}

#[test]
fn a_full_table_takes_nobody_but_who_is_in_it() {
    let edge = Edge::at(|desk| {
        let alarms = Arc::clone(&desk.alarms);
        desk.table = Arc::new(Table::new(1, Arc::new(NoGuard), alarms));
    });
    let (mut first, mut second) = (udp(), other());
    assert_eq!(first.registers(&edge).code, 200);
    let answered = second.registers(&edge);
    assert_eq!((answered.code, answered.header("Retry-After")), (503, "60"));
    assert_eq!(edge.core.counts().refusal(Refusal::Capacity), 1);
    assert_eq!(edge.count(Event::Registered), 1);
    assert!(edge.registered("SEP001122334400").is_none());
    assert_eq!(edge.desk.table.counts().refused, 1);
    assert_eq!(edge.desk.alarms.list().len(), 1);
    assert_eq!(first.registers(&edge).code, 200);
    first.expires = Some(0);
    assert_eq!(first.registers(&edge).code, 200);
    assert_eq!(second.registers(&edge).code, 200);
}

#[test]
fn a_source_that_tries_the_passwords_of_many_lines_gets_no_further_answer() {
    let edge = Edge::at(|desk| {
        let settings = BanSettings {
            guesses: 2,
            ..BanSettings::default()
        };
        desk.bans = Arc::new(Bans::new(&settings, Box::new(|_| false)));
    });
    let (mut first, mut second) = (udp(), other());
    second.source = first.source;
    for phone in [&mut first, &mut second] {
        phone.secret = "wrong".into();
        assert_eq!(phone.registers(&edge).code, 403);
    }
    assert_eq!(edge.core.counts().refusal(Refusal::Authentication), 2);
    let (_, out) = edge.receive(&first, first.register().as_bytes());
    assert!(out.is_empty());
    assert_eq!(edge.core.counts().refusal(Refusal::Banned), 1);
    assert_eq!(other().registers(&edge).code, 200);
}

#[test]
fn an_unknown_phone_is_told_to_come_again_while_its_site_takes_it_in() {
    let site = Taking::new();
    let edge = Edge::made(
        INVENTORY,
        |settings| settings.digest.require = RequireDigest::Never,
        |_| {},
        |desk| {
            desk.directory = Arc::clone(&site.directory);
            desk.newcomers = Arc::clone(&site.newcomers);
        },
    );
    let mut phone = udp();
    phone.source = ([10, 1, 0, 9], 49_152).into();
    // It has to prove its address, whatever its password is.
    let answered = phone.registers(&edge);
    assert_eq!((answered.code, answered.header("Retry-After")), (503, "2"));
    assert_eq!(edge.core.counts().refusal(Refusal::AutoRegistration), 1);
    phone.line = site.knows(&"SEP0011223344FF".parse().unwrap());
    assert_eq!(phone.sends(&edge).code, 200);
    assert_eq!(site.newcomers.counts().taken_in, 1);
}
