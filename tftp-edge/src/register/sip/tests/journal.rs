//! What the journal is told of a phone.

use super::*;
use crate::inventory::Protocol;
use crate::journal::{self, Fact, What, unix_ms};
use crate::register::Refusal;

const NAME: &str = "SEP0011223344FF";

fn phone(edge: &Edge) -> Option<journal::Phone> {
    edge.desk.journal.phone(&NAME.parse().unwrap())
}

fn told(edge: &Edge) -> Vec<Fact> {
    let boots = phone(edge).into_iter().flat_map(|phone| phone.boots);
    let facts = boots.flat_map(|boot| boot.entries).map(|it| match it.what {
        What::Fact(fact) => fact,
        What::File(file) => panic!("{file:?}"),
    });
    facts.collect()
}

fn refused(edge: &Edge) -> (Refusal, String) {
    match told(edge).pop() {
        Some(Fact::Refused {
            refusal, detail, ..
        }) => (refusal, detail.map(String::from).unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

fn registering(transport: Transport) -> Fact {
    Fact::Registering {
        protocol: Protocol::Sip,
        transport,
    }
}

fn registered(transport: Transport, load: Option<&str>) -> Fact {
    Fact::Registered {
        protocol: Protocol::Sip,
        transport,
        load: load.map(Box::from),
    }
}

#[test]
fn a_registration_is_told_without_its_challenge_and_its_refreshes() {
    let mut edge = Edge::new();
    // The table writes by the true clock: time here goes on from there.
    edge.wall = SystemTime::now() + Duration::from_secs(60);
    let mut there = tcp();
    let alarm =
        "cisco-alarm:25 Name=SEP0011223344FF ActiveLoad=sip88xx.12-5.loads Last=initialized";
    there.headers = format!("Reason: SIP;cause=200;text=\"{alarm}\"\r\n");
    assert_eq!(there.registers(&edge).code, 200);
    let expected = [
        registering(Transport::Tcp),
        Fact::Alarm {
            code: Some(25),
            text: alarm.into(),
        },
        registered(Transport::Tcp, Some("sip88xx.12-5")),
    ];
    assert_eq!(told(&edge), expected);
    there.headers.clear();
    edge.pass(60);
    assert_eq!(there.registers(&edge).code, 200);
    assert_eq!(phone(&edge).unwrap().heard_ms, unix_ms(edge.wall));
    assert_eq!(told(&edge).len(), 3, "{:?}", told(&edge));
}

#[test]
fn a_refusal_is_told_with_what_is_wrong() {
    let edge = Edge::new();
    let mut there = tcp();
    there.secret = "wrong".into();
    assert_eq!(there.registers(&edge).code, 403);
    assert_eq!(refused(&edge), (Refusal::Authentication, String::new()));

    let mut there = tcp();
    there.line = "1003".into();
    assert_ne!(there.registers(&edge).code, 200);
    let (refusal, _) = refused(&edge);
    assert!(matches!(
        refusal,
        Refusal::Authentication | Refusal::LineMismatch
    ));

    let mut there = tcp();
    there.contact_params = there.contact_params.replace("684", "30016");
    assert_eq!(there.registers(&edge).code, 403);
    let (refusal, detail) = refused(&edge);
    assert_eq!(refusal, Refusal::WrongModel);
    assert!(
        detail.contains("30016") && detail.contains("8851"),
        "{detail}"
    );
}

#[test]
fn a_line_that_is_not_its_own_is_told() {
    let edge = Edge::without_digest();
    let mut there = tcp();
    there.line = "1003".into();
    assert_eq!(there.registers(&edge).code, 403);
    let expected = (Refusal::LineMismatch, "it asks for line 1003".to_owned());
    assert_eq!(refused(&edge), expected);
}

#[test]
fn a_datagram_from_elsewhere_writes_nothing_into_a_phones_timeline() {
    let edge = Edge::new();
    udp().registers(&edge);
    let expected = [
        registering(Transport::Udp),
        registered(Transport::Udp, None),
    ];
    assert_eq!(told(&edge), expected);
    let before = phone(&edge).unwrap();
    let elsewhere = || {
        let mut forged = udp();
        forged.source = ([10, 0, 0, 66], 5_060).into();
        forged.call_id = "forged@10.0.0.66".into();
        forged
    };
    // Nobody sends back a nonce that went to another address.
    elsewhere().sends(&edge);
    let mut malformed = elsewhere();
    malformed.expires = None;
    malformed.headers = "Expires: many\r\n".into();
    malformed.sends(&edge);
    let mut stolen = elsewhere();
    stolen.nonce = Some("0123456789abcdef".into());
    stolen.sends(&edge);
    let after = phone(&edge).unwrap();
    assert_eq!(told(&edge), expected);
    assert_eq!(
        (after.source, after.heard_ms),
        (before.source, before.heard_ms)
    );
}

#[test]
fn without_a_proof_a_datagram_is_believed_from_where_the_phone_fetched_its_files() {
    let edge = Edge::without_digest();
    let mut wrong = udp();
    wrong.contact_params = wrong.contact_params.replace("684", "30016");
    assert_eq!(wrong.sends(&edge).code, 403);
    assert!(phone(&edge).is_none());
    let reset = Fact::Ordered(crate::register::Order::Reset);
    let heard = journal::Event::fact(NAME.parse().unwrap(), wrong.source, reset);
    edge.desk.journal.tell(&heard);
    assert_eq!(wrong.sends(&edge).code, 403);
    assert_eq!(refused(&edge).0, Refusal::WrongModel);
}

#[test]
fn the_trust_lists_a_phone_holds_are_told() {
    let edge = Edge::new();
    let mut there = tcp();
    there.headers = "Require: norefersub\r\nRefer-To: cid:1234abcd@10.0.0.9\r\n\
        Content-Type: application/x-cisco-alarm+xml\r\n"
        .into();
    there.body = "<x-cisco-alarm><Alarm Name=\"DeviceTLInfo\"><ParameterList>\
        <String name=\"DeviceName\">SEP0011223344FF</String>\
        <String name=\"ITL_Signature\">00112233445566778899AABBCCDDEEFF00112233</String>\
        </ParameterList></Alarm></x-cisco-alarm>"
        .into();
    let contact = format!("Contact: {}\r\n", there.contact());
    let refer = there.write("REFER", "sip:10.0.0.1", &contact);
    assert_eq!(edge.answer(&there, &refer).code, 202);
    let expected = Fact::TrustLists {
        ctl: None,
        itl: Some("00112233445566778899aabbccddeeff00112233".into()),
    };
    assert_eq!(told(&edge), [expected]);
}
