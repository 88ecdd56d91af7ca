//! REGISTER as the enterprise series sends it, from the first to the last.

use super::*;
use crate::register::Departure;

#[test]
fn a_phone_registers_with_digest() {
    let edge = Edge::new();
    let mut phone = udp();
    let challenged = phone.sends(&edge);
    assert_eq!(challenged.code, 401);
    assert!(edge.registered("SEP0011223344FF").is_none());
    let answered = phone.registers(&edge);
    assert_eq!(answered.code, 200, "{}", answered.text);
    let registration = edge.registered("SEP0011223344FF").unwrap();
    assert_eq!(registration.source, phone.source);
    assert_eq!(registration.type_id, Some(684));
    let [binding] = &registration.bindings[..] else {
        panic!("one binding")
    };
    assert_eq!(&*binding.line, "1001");
    assert_eq!(&*binding.call_id, phone.call_id);
    assert_eq!(binding.cseq, phone.cseq);
}

#[test]
fn without_digest_the_first_register_is_enough() {
    let edge = Edge::without_digest();
    let answered = udp().sends(&edge);
    assert_eq!(answered.code, 200, "{}", answered.text);
}

#[test]
fn a_phone_that_unregisters_leaves_with_the_reason_it_gives() {
    let edge = Edge::new();
    for (headers, why) in [
        ("", Departure::Unregistered),
        (
            "Reason: SIP;cause=200;text=\"cisco-alarm:105 Name=SEP0011223344FF\"\r\n",
            Departure::DeviceReset,
        ),
    ] {
        let mut changes = edge.desk.table.changes();
        let mut phone = udp();
        phone.registers(&edge);
        phone.expires = Some(0);
        phone.headers = headers.into();
        let answered = phone.registers(&edge);
        assert_eq!(answered.code, 200);
        assert!(answered.all("Contact").is_empty());
        assert!(edge.registered("SEP0011223344FF").is_none());
        changes.try_recv().unwrap();
        match changes.try_recv().unwrap() {
            crate::register::Change::Left { why: told, .. } => assert_eq!(told, why),
            other => panic!("{other:?}"),
        }
    }
}
