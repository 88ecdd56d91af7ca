//! Every reason for which a phone is not registered, and what it hears.

use ipnet::IpNet;

use super::*;
use crate::access::Access;

/// What a phone hears that sends this, and that it is refused for this reason alone.
fn refused(lab: &Lab, peer: &str, bytes: &[u8], why: Refusal) -> String {
    let mut phone = lab.connect(peer);
    let answer = lab.send(&mut phone, bytes);
    assert_eq!(phone.flow, Flow::Close(Ending::Refused), "{why:?}");
    for refusal in Refusal::ALL {
        let expected = u64::from(refusal == why);
        assert_eq!(lab.counts().refused(refusal), expected, "{refusal:?}");
    }
    reject_text(&answer)
}

const PEER: &str = "10.0.0.7:50000";

#[test]
fn an_address_that_is_not_on_the_list_is_refused() {
    let mut lab = Lab::new();
    let allowed: IpNet = "10.9.0.0/16".parse().unwrap();
    let desk = std::sync::Arc::get_mut(&mut lab.registrar.desk).unwrap();
    desk.access = Access::from_nets(vec![allowed]).into();
    let message = register(PHONE, TYPE_7941, 17);
    let text = refused(&lab, PEER, &message, Refusal::Denied);
    assert_eq!(text, "Address not allowed");
    assert!(lab.in_table().is_none());
}

#[test]
fn a_name_that_cannot_be_one_is_malformed() {
    let text = refused(
        &Lab::new(),
        PEER,
        &register("no name", TYPE_7941, 17),
        Refusal::Malformed,
    );
    assert_eq!(text, "Malformed register");
}

#[test]
fn a_version_that_is_too_old_is_refused() {
    let old = register(PHONE, TYPE_7941, 2);
    refused(&Lab::new(), PEER, &old, Refusal::OldVersion);
    let strict = super::super::super::Settings {
        min_version: 11,
        ..settings()
    };
    let old = register(PHONE, TYPE_7941, 10);
    let text = refused(
        &Lab::with(contents(), strict),
        PEER,
        &old,
        Refusal::OldVersion,
    );
    assert_eq!(text, "Old protocol version");
}

#[test]
fn a_device_nobody_knows_is_refused() {
    let stranger = register("SEPFFFFFFFFFFFF", TYPE_7941, 17);
    let text = refused(&Lab::new(), PEER, &stranger, Refusal::UnknownDevice);
    assert_eq!(text, "Unknown device");
}

#[test]
fn a_phone_of_the_other_protocol_is_refused() {
    let sip = register("SEP0011223344AA", 684, 17);
    let text = refused(&Lab::new(), PEER, &sip, Refusal::ProtocolMismatch);
    assert_eq!(text, "Not an SCCP device");
}

#[test]
fn another_model_under_the_name_is_refused() {
    let text = refused(
        &Lab::new(),
        PEER,
        &register(PHONE, 7, 17),
        Refusal::WrongModel,
    );
    assert_eq!(text, "Wrong model");
}

#[test]
fn settings_that_cannot_be_used_are_told_apart() {
    let mut contents = contents();
    contents.devices[0]
        .settings
        .insert("server_group".into(), "nowhere".into());
    let text = refused(
        &Lab::with(contents, settings()),
        PEER,
        &register(PHONE, TYPE_7941, 17),
        Refusal::BadConfiguration,
    );
    assert_eq!(text, "Bad configuration");
}

#[test]
fn a_device_that_is_registered_elsewhere_and_alive_is_not_taken_over() {
    let lab = Lab::new();
    let mut first = lab.registered(PEER);
    let again = register(PHONE, TYPE_7941, 17);
    let text = refused(&lab, "10.0.0.8:50000", &again, Refusal::Duplicate);
    assert_eq!(text, "Registered elsewhere, 41 s");
    assert_eq!(lab.in_table().unwrap().source.to_string(), PEER);
    let answer = lab.send(&mut first, &message(0x0000, &[]));
    assert_eq!(kinds(&answer), [Outgoing::KeepAliveAck]);
}

#[test]
fn a_device_whose_connection_is_gone_may_register_from_elsewhere() {
    let lab = Lab::new();
    let first = lab.registered(PEER);
    lab.registrar.connections.close(first.connection);
    lab.registered("10.0.0.8:50000");
    assert_eq!(lab.in_table().unwrap().source.to_string(), "10.0.0.8:50000");
}

#[test]
fn questions_of_a_phone_that_has_not_registered_are_out_of_sequence() {
    for question in [
        number(0x000B, 1),
        message(0x000E, &[]),
        message(0x000D, &[]),
    ] {
        let text = refused(&Lab::new(), PEER, &question, Refusal::Sequence);
        assert_eq!(text, "Register first");
    }
}

#[test]
fn what_phones_say_before_they_register_is_heard() {
    let lab = Lab::new();
    let mut phone = lab.connect(PEER);
    let mut alarm = vec![2, 0, 0, 0];
    alarm.extend(b"Name=SEP001122334455 Load=9.1 Last=CM-closed-TCP");
    let before = [
        message(0x0000, &[]),
        message(0x0020, &alarm),
        number(0x0002, 16384),
        number(0x002B, 1),
        message(0x015A, b"<x/>"),
    ];
    let answer = lab.send(&mut phone, &before.concat());
    assert_eq!(
        (phone.flow, kinds(&answer)),
        (Flow::Open, vec![Outgoing::KeepAliveAck])
    );
    assert_eq!(lab.counts().alarms(AlarmCode::ClosedTcp), 1);
}

#[test]
fn an_unknown_phone_that_asks_for_a_token_is_to_stay_where_it_is() {
    let lab = Lab::new();
    let mut phone = lab.connect(PEER);
    let answer = lab.send(&mut phone, &token("SEPFFFFFFFFFFFF", TYPE_7941));
    let (message, body) = &messages(&answer)[0];
    assert_eq!(*message, Outgoing::RegisterTokenReject);
    assert_eq!(number_at(body, 0), 60);
    assert_eq!(lab.counts().refused(Refusal::UnknownDevice), 1);
    assert_eq!(phone.flow, Flow::Open);
}

#[test]
fn a_known_phone_gets_its_token_and_registers_with_it() {
    let lab = Lab::new();
    let mut phone = lab.connect(PEER);
    let answer = lab.send(&mut phone, &token(PHONE, TYPE_7941));
    assert_eq!(kinds(&answer), [Outgoing::RegisterTokenAck]);
    let answer = lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
}

#[test]
fn a_phone_that_has_to_wait_is_told_for_how_long_and_one_that_waited_too_long_nothing() {
    let lab = Lab::new();
    for (refusal, wait, told) in [
        (Refusal::Storm, Some(44_001), Some("Busy, 45 s")),
        (Refusal::Stale, None, None),
    ] {
        let mut phone = lab.connect(PEER);
        let wait = wait.map(Duration::from_millis);
        let answer = lab.turn(&mut phone, |session, turn| {
            session.refuse(refusal, wait, turn)
        });
        assert_eq!(phone.flow, Flow::Close(Ending::Refused));
        match told {
            Some(told) => assert_eq!(reject_text(&answer), told),
            None => assert!(answer.is_empty()),
        }
    }
}

/// A phone that is being taken in, and known from a moment on or never.
fn being_taken_in(lab: &Lab) -> Phone {
    let mut phone = lab.connect(PEER);
    let now = lab.now.instant;
    phone.session.state = State::Waiting(Box::new(Waiting {
        what_for: WhatFor::Intake,
        application: Application {
            device: PHONE.parse().unwrap(),
            type_id: TYPE_7941,
            dialect: Dialect::UNKNOWN,
            load: None,
        },
        look_at: now + LOOK_AGAIN,
        until: now + TAKEN_IN_WITHIN,
    }));
    phone
}

#[test]
fn a_phone_that_is_taken_in_registers_as_soon_as_it_is_known() {
    let mut lab = Lab::with(Contents::default(), settings());
    let mut phone = being_taken_in(&lab);
    for _ in 0..3 {
        let (passed, answer) = lab.wait(&mut phone);
        assert_eq!((passed, answer.len()), (LOOK_AGAIN, 0));
    }
    let known = crate::inventory::Snapshot::new(contents(), &Default::default());
    lab.registrar
        .desk
        .directory
        .update(std::sync::Arc::new(known));
    let (_, answer) = lab.wait(&mut phone);
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
    assert!(lab.in_table().is_some());
}

#[test]
fn a_phone_that_is_not_taken_in_within_five_seconds_is_refused() {
    let mut lab = Lab::with(Contents::default(), settings());
    let mut phone = being_taken_in(&lab);
    let mut waited = Duration::ZERO;
    while phone.flow == Flow::Open {
        waited += lab.wait(&mut phone).0;
    }
    assert_eq!(waited, TAKEN_IN_WITHIN);
    assert_eq!(lab.counts().refused(Refusal::AutoRegistration), 1);
}
