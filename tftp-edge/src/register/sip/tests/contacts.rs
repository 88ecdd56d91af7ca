//! Contacts by the rules of RFC 3261 10.3.

use super::*;
use crate::register::Refusal;
use crate::register::sip::message::Defect;

const NAME: &str = "SIP001122334477";

/// A phone that says no name, and may have several contacts.
fn phone() -> Phone {
    let mut phone = udp().nameless("1007");
    phone.expires = None;
    phone
}

fn send(edge: &Edge, phone: &mut Phone, contact: &str) -> Answered {
    phone.cseq += 1;
    edge.answer(phone, &phone.register_with(contact))
}

fn contacts(edge: &Edge) -> Vec<String> {
    let registration = edge.registered(NAME);
    let bindings = registration.iter().flat_map(|it| &it.bindings);
    bindings.map(|it| it.contact.to_string()).collect()
}

#[test]
fn each_contact_has_its_own_time() {
    let edge = Edge::without_digest();
    let contact = "Contact: <sip:a@10.0.0.9>;expires=70, <sip:b@10.0.0.9>\r\n\
        m: sip:c@10.0.0.9;expires=\"80\"\r\nExpires: 90\r\n";
    let answered = send(&edge, &mut phone(), contact);
    assert_eq!(answered.code, 200, "{}", answered.text);
    let listed = answered.all("Contact");
    let left = |at: usize| -> u32 {
        listed[at]
            .split_once(";expires=")
            .unwrap()
            .1
            .parse()
            .unwrap()
    };
    assert!((65..=70).contains(&left(0)), "{listed:?}");
    assert!((65..=90).contains(&left(1)), "{listed:?}");
    assert!((65..=80).contains(&left(2)), "{listed:?}");
    assert!(listed[2].starts_with("<sip:c@10.0.0.9>;"));
}

#[test]
fn a_register_without_contact_lists_what_there_is_and_changes_nothing() {
    let mut edge = Edge::without_digest();
    let mut phone = phone();
    send(
        &edge,
        &mut phone,
        "Contact: <sip:a@10.0.0.9>;expires=65\r\n",
    );
    let before = edge.registered(NAME).unwrap();
    edge.pass(5);
    let answered = send(&edge, &mut phone, "");
    assert_eq!(answered.header("Contact"), "<sip:a@10.0.0.9>;expires=60");
    assert_eq!(*edge.registered(NAME).unwrap(), *before);
    edge.pass(200);
    assert!(send(&edge, &mut phone, "").all("Contact").is_empty());
}

#[test]
fn contacts_are_removed_one_by_one_or_all_at_once() {
    let edge = Edge::without_digest();
    let mut phone = phone();
    let three = "Contact: <sip:a@10.0.0.9>,<sip:b@10.0.0.9>,<sip:c@10.0.0.9>\r\n";
    send(&edge, &mut phone, three);
    // The same URI, written otherwise.
    send(
        &edge,
        &mut phone,
        "Contact: <SIP:%62@10.0.0.9>;expires=0\r\n",
    );
    assert_eq!(contacts(&edge), ["sip:a@10.0.0.9", "sip:c@10.0.0.9"]);
    let answered = send(&edge, &mut phone, "Contact: *\r\nExpires: 0\r\n");
    assert_eq!(answered.code, 200);
    assert!(edge.registered(NAME).is_none());
    // Nothing is left to remove: that is fine too.
    assert_eq!(
        send(&edge, &mut phone, "Contact: *\r\nExpires: 0\r\n").code,
        200
    );
}

#[test]
fn a_star_stands_alone_and_with_expires_0() {
    let edge = Edge::without_digest();
    for contact in [
        "Contact: *\r\n",
        "Contact: *\r\nExpires: 60\r\n",
        "Contact: *, <sip:a@10.0.0.9>\r\nExpires: 0\r\n",
    ] {
        let answered = send(&edge, &mut phone(), contact);
        assert_eq!(
            (answered.code, answered.reason()),
            (400, &*Defect::Star.to_string())
        );
    }
}

#[test]
fn an_older_request_of_the_same_call_changes_nothing() {
    let edge = Edge::without_digest();
    let mut phone = phone();
    phone.cseq = 200;
    send(&edge, &mut phone, "Contact: <sip:a@10.0.0.9>\r\n");
    for (cseq, contact) in [
        (150, "Contact: <sip:a@10.0.0.9>;expires=0\r\n"),
        (200, "Contact: <sip:b@10.0.0.9>\r\n"),
        (200, "Contact: *\r\nExpires: 0\r\n"),
    ] {
        phone.cseq = cseq;
        let answered = send(&edge, &mut phone, contact);
        assert_eq!(
            (answered.code, answered.reason()),
            (400, "CSeq Out Of Order")
        );
        assert_eq!(contacts(&edge), ["sip:a@10.0.0.9"]);
    }
    assert_eq!(edge.core.counts().refusal(Refusal::Sequence), 3);
    // Another call may have any number.
    phone.call_id = "other".into();
    phone.cseq = 0;
    send(&edge, &mut phone, "Contact: <sip:a@10.0.0.9>;expires=0\r\n");
    assert!(contacts(&edge).is_empty());
}

#[test]
fn a_time_that_is_too_short_is_refused_with_the_shortest() {
    let edge = Edge::without_digest();
    let answered = send(
        &edge,
        &mut phone(),
        "Contact: <sip:a@10.0.0.9>;expires=64\r\n",
    );
    assert_eq!(answered.code, 423);
    assert_eq!(answered.header("Min-Expires"), "65");
    assert!(edge.registered(NAME).is_none());
}

#[test]
fn the_times_of_many_phones_are_spread() {
    let edge = Edge::without_digest();
    let mut phone = phone();
    let mut seen = [0_u32; 121];
    for call in 0..3700 {
        phone.call_id = format!("call-{call}");
        let answered = send(
            &edge,
            &mut phone,
            "Contact: <sip:a@10.0.0.9>;expires=3600\r\n",
        );
        seen[answered.header("Expires").parse::<usize>().unwrap()] += 1;
    }
    assert_eq!(seen[84..=120].iter().sum::<u32>(), 3700);
    assert!(
        seen[84..=120].iter().all(|it| (40..=180).contains(it)),
        "{seen:?}"
    );
}

#[test]
fn contacts_that_cannot_be_used_are_refused_and_told_why() {
    let edge = Edge::without_digest();
    let many = "Contact: <sip:a@10.0.0.9>\r\n".repeat(9);
    let long = format!("Contact: <sip:{}@10.0.0.9>\r\n", "a".repeat(500));
    for (contact, defect) in [
        ("Contact: <sip:a@10.0.0.9\r\n", Defect::Contact),
        ("Contact: \"a <sip:a@10.0.0.9>\r\n", Defect::Contact),
        ("Contact: <tel:1001>\r\n", Defect::Contact),
        (
            "Contact: sip:a@10.0.0.9?Route=%3Csip:b%3E\r\n",
            Defect::Contact,
        ),
        ("Contact: <sip:a@10.0.0.9>,\r\n", Defect::Contact),
        ("Contact: <sip:a@10.0.0.9>;;;\r\n", Defect::Contact),
        ("Contact: <sip:a@10.0.0.9>;expires=x\r\n", Defect::Expires),
        (
            "Contact: <sip:a@10.0.0.9>;expires=4294967296\r\n",
            Defect::Expires,
        ),
        (
            "Contact: <sip:a@10.0.0.9>\r\nExpires: soon\r\n",
            Defect::Expires,
        ),
        (&many, Defect::Contacts),
        (&long, Defect::Contact),
    ] {
        let answered = send(&edge, &mut phone(), contact);
        let told = (answered.code, answered.reason());
        assert_eq!(told, (400, &*defect.to_string()), "{contact}");
        assert!(edge.core.counts().defect(defect) > 0);
        assert!(edge.registered(NAME).is_none());
    }
}

#[test]
fn a_line_has_no_more_than_eight_contacts() {
    let edge = Edge::without_digest();
    let mut phone = phone();
    for at in 0..8 {
        let contact = format!("Contact: <sip:a{at}@10.0.0.9>\r\n");
        assert_eq!(send(&edge, &mut phone, &contact).code, 200);
    }
    let answered = send(&edge, &mut phone, "Contact: <sip:b@10.0.0.9>\r\n");
    assert_eq!(answered.code, 503);
    assert_eq!(answered.header("Retry-After"), "60");
    assert_eq!(contacts(&edge).len(), 8);
    assert_eq!(edge.core.counts().refusal(Refusal::Capacity), 1);
}

#[test]
fn for_how_long_a_registration_holds_may_change_at_any_time() {
    let edge = Edge::without_digest();
    let mut other = (**edge.core.registrar.settings.get()).clone();
    other.expires = crate::register::sip::ExpiresSettings {
        min_s: 200,
        max_s: 300,
        cut_percent: 0,
    };
    edge.core.registrar.settings.set(other.clone());
    let mut phone = phone();
    let mut call = 0;
    let mut ask = |seconds: u32| {
        call += 1;
        phone.call_id = format!("call-{call}");
        let contact = format!("Contact: <sip:a@10.0.0.9>;expires={seconds}\r\n");
        send(&edge, &mut phone, &contact)
    };
    let refused = ask(199);
    assert_eq!((refused.code, refused.header("Min-Expires")), (423, "200"));
    assert_eq!(ask(900).header("Expires"), "300");
    other.expires.cut_percent = 50;
    other.expires.min_s = 100;
    edge.core.registrar.settings.set(other);
    let cut = (0..100).map(|_| ask(900).header("Expires").parse::<u32>().unwrap());
    let least = cut.min().unwrap();
    assert!((150..200).contains(&least), "{least}");
}
