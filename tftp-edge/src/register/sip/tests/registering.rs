//! REGISTER as the enterprise series sends it, from the first to the last.

use super::*;
use crate::register::{Change, Departure};

const NAME: &str = "SEP0011223344FF";

#[test]
fn a_phone_registers_with_digest() {
    let edge = Edge::new();
    let mut phone = udp();
    let challenged = phone.sends(&edge);
    assert_eq!(challenged.code, 401);
    assert!(edge.registered(NAME).is_none());
    let answered = phone.registers(&edge);
    assert_eq!(answered.code, 200, "{}", answered.text);
    let registration = edge.registered(NAME).unwrap();
    assert_eq!(registration.source, phone.source);
    assert_eq!(registration.type_id, Some(684));
    let [binding] = &registration.bindings[..] else {
        panic!("one binding")
    };
    assert_eq!(&*binding.line, "1001");
    assert_eq!(&*binding.call_id, phone.call_id);
    assert_eq!(binding.cseq, phone.cseq);
    assert_eq!(
        binding.contact.as_ref(),
        "sip:04984998-fe29@10.0.0.9:49152;transport=udp"
    );
}

#[test]
fn the_200_echoes_the_contact_and_tells_the_time() {
    let edge = Edge::without_digest();
    let mut phone = tcp();
    let answered = phone.sends(&edge);
    assert_eq!(answered.code, 200, "{}", answered.text);
    assert_eq!(answered.header("Date"), "Mon, 23 Nov 2026 00:00:00 GMT");
    let expires: u32 = answered.header("Expires").parse().unwrap();
    assert!((84..=120).contains(&expires), "{expires}");
    let contact = format!("{};expires={expires};x-cisco-newreg", phone.contact());
    assert_eq!(answered.header("Contact"), contact);
    assert_eq!(
        answered.header("Supported"),
        "X-cisco-srtp-fallback,X-cisco-sis-8.0.0"
    );
    assert_eq!(answered.header("CSeq"), "102 REGISTER");
    assert_eq!(answered.header("Call-ID"), phone.call_id);
    assert!(answered.header("To").contains(";tag="));
    assert_eq!(answered.header("Content-Length"), "0");
}

#[test]
fn a_refresh_is_not_told_that_it_is_new() {
    let mut edge = Edge::new();
    let mut phone = tcp();
    assert!(phone.registers(&edge).text.contains("x-cisco-newreg"));
    let began = edge.registered(NAME).unwrap();
    edge.pass(80);
    let answered = phone.sends(&edge);
    assert_eq!(answered.code, 200, "{}", answered.text);
    assert!(!answered.text.contains("x-cisco-newreg"));
    let now = edge.registered(NAME).unwrap();
    assert_eq!(now.since, began.since);
    assert!(now.expires > began.expires);
    assert_eq!(edge.count(Event::Refreshed), 1);
}

#[test]
fn a_register_that_is_repeated_is_answered_the_same() {
    let edge = Edge::new();
    let mut phone = udp();
    let first = phone.registers(&edge);
    assert_eq!(first.code, 200);
    let again = edge.answer(&phone, &phone.register());
    assert_eq!(again.text, first.text);
}

#[test]
fn a_phone_that_has_restarted_registers_anew_and_its_old_contact_is_gone() {
    let mut edge = Edge::new();
    let mut phone = tcp();
    phone.registers(&edge);
    let began = edge.registered(NAME).unwrap().since;
    edge.pass(30);
    phone.source.set_port(51_900);
    phone.call_id = "another@10.0.0.9".into();
    phone.nonce = None;
    let answered = phone.registers(&edge);
    assert!(
        answered.text.contains("x-cisco-newreg"),
        "{}",
        answered.text
    );
    let registration = edge.registered(NAME).unwrap();
    assert!(registration.since > began);
    assert_eq!(registration.bindings.len(), 1);
    assert!(registration.bindings[0].contact.contains("51900"));
}

#[test]
fn every_line_of_a_phone_has_its_binding_and_only_the_first_is_told_that_it_is_new() {
    let edge = Edge::new();
    let mut first = tcp();
    assert!(first.registers(&edge).text.contains("x-cisco-newreg"));
    let mut second = tcp();
    second.line = "1002".into();
    second.user = "1002".into();
    second.secret = "secret of 1002".into();
    second.call_id = "second@10.0.0.9".into();
    let answered = second.registers(&edge);
    assert_eq!(answered.code, 200);
    assert!(!answered.text.contains("x-cisco-newreg"));
    // Each line is told of its own contacts.
    assert_eq!(answered.all("Contact").len(), 1);
    let registration = edge.registered(NAME).unwrap();
    let lines: Vec<_> = registration.bindings.iter().map(|it| &*it.line).collect();
    assert_eq!(lines, ["1001", "1002"]);
}

#[test]
fn a_line_without_a_password_takes_the_first_ones() {
    let edge = Edge::of(
        INVENTORY,
        |_| {},
        |device| {
            device.lines[0].secret = "secret of 1001".into();
        },
    );
    let mut second = tcp();
    second.line = "1002".into();
    assert_eq!(second.registers(&edge).code, 200);
}

#[test]
fn a_phone_that_says_no_name_is_the_one_that_has_the_line() {
    let edge = Edge::new();
    let mut phone = udp().nameless("1007");
    let answered = phone.registers(&edge);
    assert_eq!(answered.code, 200, "{}", answered.text);
    assert!(!answered.text.contains("x-cisco-newreg"));
    assert!(edge.registered("SIP001122334477").is_some());
}

#[test]
fn of_a_line_on_two_phones_the_one_that_says_no_name_is_unknown() {
    let inventory = "name,model,protocol,lines\n\
        SEP000000000001,8851,sip,1001\nSEP000000000002,8851,sip,1001\n";
    let edge = Edge::of(
        inventory,
        |settings| settings.digest.require = RequireDigest::Never,
        |_| {},
    );
    assert_eq!(udp().nameless("1001").sends(&edge).code, 404);
}

#[test]
fn the_instance_and_the_reason_name_the_device_too() {
    let edge = Edge::new();
    let mut phone = tcp();
    phone.contact_params =
        ";+sip.instance=\"<urn:uuid:00000000-0000-0000-0000-0011223344ff>\"".into();
    assert_eq!(phone.registers(&edge).code, 200);
    phone.expires = Some(0);
    phone.registers(&edge);
    assert!(edge.registered(NAME).is_none());
    phone.expires = None;
    phone.contact_params.clear();
    phone.headers = format!(
        "Reason: SIP;cause=200;text=\"cisco-alarm:25 Name={NAME} \
         ActiveLoad=sip88xx.12-5-1SR1-4.loads InactiveLoad= Last=initialized\"\r\n"
    );
    assert_eq!(phone.registers(&edge).code, 200);
    let registration = edge.registered(NAME).unwrap();
    assert_eq!(registration.load.as_deref(), Some("sip88xx.12-5-1SR1-4"));
    // A refresh gives no reason, and the load stays known.
    phone.headers.clear();
    phone.contact_params = udp().contact_params;
    assert_eq!(phone.registers(&edge).code, 200);
    let registration = edge.registered(NAME).unwrap();
    assert_eq!(registration.load.as_deref(), Some("sip88xx.12-5-1SR1-4"));
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
        assert!(edge.registered(NAME).is_none());
        changes.try_recv().unwrap();
        match changes.try_recv().unwrap() {
            Change::Left { why: told, .. } => assert_eq!(told, why),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_phone_whose_connection_ends_has_left() {
    let edge = Edge::new();
    let mut changes = edge.desk.table.changes();
    tcp().registers(&edge);
    edge.core.closed(ConnectionId(8), edge.now);
    assert!(edge.registered(NAME).is_some());
    edge.core.closed(CONNECTION, edge.now);
    assert!(edge.registered(NAME).is_none());
    changes.try_recv().unwrap();
    let Change::Left { why, .. } = changes.try_recv().unwrap() else {
        panic!("left")
    };
    assert_eq!(why, Departure::Connectivity);
}

#[test]
fn a_phone_that_has_come_back_over_another_connection_stays() {
    let edge = Edge::new();
    let mut phone = tcp();
    phone.registers(&edge);
    phone.connection = Some(ConnectionId(8));
    assert_eq!(phone.registers(&edge).code, 200);
    edge.core.closed(CONNECTION, edge.now);
    assert!(edge.registered(NAME).is_some());
    edge.core.closed(ConnectionId(8), edge.now);
    assert!(edge.registered(NAME).is_none());
}

#[test]
fn who_knows_the_password_takes_the_device_over_and_nobody_else_does() {
    let elsewhere: SocketAddr = ([10, 0, 0, 10], 49_152).into();
    let edge = Edge::new();
    udp().registers(&edge);
    let mut other = udp();
    other.source = elsewhere;
    other.call_id = "another@10.0.0.10".into();
    assert_eq!(other.registers(&edge).code, 200);
    assert_eq!(edge.registered(NAME).unwrap().source, elsewhere);

    let mut edge = Edge::without_digest();
    udp().sends(&edge);
    let refused = other.sends(&edge);
    assert_eq!(refused.code, 403);
    let warning = "399 tftp-edge \"Registration is active for another client\"";
    assert_eq!(refused.header("Warning"), warning);
    assert_eq!(refused.header("Retry-After"), "35");
    assert_ne!(edge.registered(NAME).unwrap().source, elsewhere);
    // The first one is gone.
    edge.pass(140);
    assert_eq!(other.sends(&edge).code, 200);
}

#[test]
fn setting_the_clock_ends_no_registration_and_prolongs_none() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let mut edge = Edge::without_digest();
    let mut phone = tcp();
    assert_eq!(phone.sends(&edge).code, 200);
    for (wall, date) in [
        (edge.wall + YEAR, "Tue, 23 Nov 2027 00:01:00 GMT"),
        (edge.wall - YEAR, "Sun, 23 Nov 2025 00:01:00 GMT"),
    ] {
        edge.wall = wall;
        edge.desk.table.sweep(edge.steady);
        edge.pass(60);
        let answered = phone.sends(&edge);
        assert_eq!(answered.code, 200, "{}", answered.text);
        assert!(!answered.text.contains("x-cisco-newreg"), "a refresh");
        assert_eq!(
            answered.header("Date"),
            date,
            "phones are told the new time"
        );
    }
    edge.pass(1_000);
    edge.desk.table.sweep(edge.steady);
    assert!(edge.registered(NAME).is_none());
}
