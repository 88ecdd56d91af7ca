//! What the journal is told of a phone.

use super::*;
use crate::inventory::Protocol;
use crate::journal::{Fact, What, unix_ms};
use crate::register::Transport;

const PEER: &str = "10.0.0.7:50000";

const REGISTERING: Fact = Fact::Registering {
    protocol: Protocol::Sccp,
    transport: Transport::Tcp,
};

fn told(lab: &Lab) -> Vec<Fact> {
    let phone = lab.registrar.desk.journal.phone(&PHONE.parse().unwrap());
    let boots = phone.into_iter().flat_map(|phone| phone.boots);
    let facts = boots.flat_map(|boot| boot.entries).map(|it| match it.what {
        What::Fact(fact) => fact,
        What::File(file) => panic!("{file:?}"),
    });
    facts.collect()
}

#[test]
fn a_registration_is_told_from_the_alarm_before_it_to_its_end() {
    let lab = Lab::new();
    let mut phone = lab.connect(PEER);
    let alarm = b"Name=SEP001122334455 Load=9.1\x07 Last=CM-closed-TCP";
    lab.send(
        &mut phone,
        &message(0x0020, &[&[2, 0, 0, 0], &alarm[..]].concat()),
    );
    lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    questions()
        .iter()
        .for_each(|it| drop(lab.send(&mut phone, it)));
    lab.turn(&mut phone, |session, turn| session.end(Ending::Peer, turn));
    let expected = [
        Fact::Alarm {
            code: Some(14),
            text: "Name=SEP001122334455 Load=9.1 Last=CM-closed-TCP".into(),
        },
        REGISTERING,
        Fact::Registered {
            protocol: Protocol::Sccp,
            transport: Transport::Tcp,
            load: Some("SCCP41.9-4-2S".into()),
        },
        Fact::Left(Departure::Connectivity),
    ];
    assert_eq!(told(&lab), expected);
}

#[test]
fn a_refusal_is_told_with_what_is_wrong() {
    let lab = Lab::new();
    let mut phone = lab.connect(PEER);
    lab.send(&mut phone, &register(PHONE, 30_016, 17));
    let told = told(&lab);
    let [
        REGISTERING,
        Fact::Refused {
            refusal, detail, ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(*refusal, Refusal::WrongModel);
    let detail = detail.as_deref().unwrap();
    assert!(
        detail.contains("30016") && detail.contains("79"),
        "{detail}"
    );
}

#[test]
fn a_phone_that_asks_a_token_in_vain_hears_for_how_long() {
    let lab = Lab::new();
    let _there = lab.registered("10.0.0.8:50000");
    let mut phone = lab.connect(PEER);
    let answer = lab.send(&mut phone, &token(PHONE, TYPE_7941));
    let heard_s = number_at(&messages(&answer)[0].1, 0);
    let last = told(&lab).pop();
    let Some(Fact::Refused {
        refusal, wait_s, ..
    }) = last
    else {
        panic!("{last:?}")
    };
    assert_eq!(refusal, Refusal::Duplicate);
    assert_eq!(wait_s, Some(heard_s));
}

#[test]
fn keepalives_are_signs_of_life_and_no_entries() {
    let mut lab = Lab::new();
    let mut phone = lab.registered(PEER);
    let before = told(&lab);
    let heard = |lab: &Lab| {
        let phone = lab.registrar.desk.journal.phone(&PHONE.parse().unwrap());
        phone.unwrap().heard_ms
    };
    // The table writes by the true clock: time here goes on from there.
    lab.now.wall = std::time::SystemTime::now() + Duration::from_secs(60);
    let registered = heard(&lab);
    lab.pass(Duration::from_secs(10));
    lab.send(&mut phone, &message(0x0000, &[]));
    assert_eq!(heard(&lab), registered);
    lab.pass(Duration::from_secs(10));
    lab.send(&mut phone, &message(0x0000, &[]));
    assert_eq!(heard(&lab), unix_ms(lab.now.wall));
    assert_eq!(told(&lab), before);
}

#[test]
fn an_alarm_in_xml_is_told_as_that_of_a_sip_phone() {
    let lab = Lab::new();
    let mut phone = lab.registered(PEER);
    let xml = b"<x-cisco-alarm><Alarm Name=\"DeviceTLInfo\"><ParameterList>\
        <String name=\"ITL_Signature\">00112233445566778899AABBCCDDEEFF00112233</String>\
        </ParameterList></Alarm></x-cisco-alarm>\0\0\0";
    lab.send(&mut phone, &message(0x015A, xml));
    let expected = Fact::TrustLists {
        ctl: None,
        itl: Some("00112233445566778899aabbccddeeff00112233".into()),
    };
    assert_eq!(told(&lab).pop(), Some(expected));
}
