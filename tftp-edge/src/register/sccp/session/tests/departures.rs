//! Every reason for which a phone is not registered any more, as the table and the counters have it.

use super::*;
use crate::inventory::{Contents, Site, Snapshot};
use crate::register::Change;

const PEER: &str = "10.0.0.7:50000";

/// Has a registered phone leave, and checks why everybody thinks it has.
fn left(why: Departure, act: impl FnOnce(&mut Lab, &mut Phone)) {
    let mut lab = Lab::new();
    let mut phone = lab.registered(PEER);
    let mut changes = lab.registrar.desk.table.changes();
    act(&mut lab, &mut phone);
    assert!(lab.in_table().is_none(), "{why:?}");
    let mut told = Vec::new();
    while let Ok(change) = changes.try_recv() {
        if let Change::Left { why, .. } = change {
            told.push(why);
        }
    }
    assert_eq!(told, [why]);
    for departure in Departure::ALL {
        let expected = u64::from(departure == why);
        assert_eq!(lab.counts().left(departure), expected, "{departure:?}");
    }
    assert_eq!(lab.counts().registered, 0);
}

fn alarm(last: &str) -> Vec<u8> {
    let text = format!("Name={PHONE} Load=9.4 Last={last}");
    message(0x0020, &[&[2, 0, 0, 0], text.as_bytes()].concat())
}

#[test]
fn a_connection_that_ends_is_lost_connectivity() {
    left(Departure::Connectivity, |lab, phone| {
        lab.turn(phone, |session, turn| session.end(Ending::Peer, turn));
    });
}

#[test]
fn a_phone_that_unregisters_hears_that_it_may() {
    left(Departure::Unregistered, |lab, phone| {
        let answer = lab.send(phone, &number(0x0027, 0));
        assert_eq!(messages(&answer), [(Outgoing::UnregisterAck, vec![0; 4])]);
        assert_eq!(phone.flow, Flow::Open);
        // What follows of the connection changes nothing.
        lab.turn(phone, |session, turn| session.end(Ending::Peer, turn));
    });
    left(Departure::Unregistered, |lab, phone| {
        lab.send(phone, &message(0x0027, &[]));
    });
}

#[test]
fn a_phone_that_saves_power_says_so() {
    left(Departure::PowerSave, |lab, phone| {
        lab.send(phone, &number(0x0027, 1));
    });
}

#[test]
fn a_phone_that_was_restarted_at_its_keys_has_told_so_before() {
    left(Departure::DeviceReset, |lab, phone| {
        lab.send(phone, &alarm("Phone-Keypad"));
        lab.send(phone, &number(0x0027, 0));
    });
}

#[test]
fn a_phone_that_follows_an_order_leaves_because_of_it() {
    for order in Order::ALL {
        left(order.departure(), |lab, phone| {
            let answer = lab.turn(phone, |session, turn| {
                session.order(order, turn);
                Flow::Open
            });
            let [(Outgoing::Reset, body)] = &messages(&answer)[..] else {
                panic!("a Reset is expected");
            };
            assert_eq!(number_at(body, 0), order as u32 + 1);
            lab.pass(Duration::from_secs(20));
            lab.send(phone, &number(0x0027, 0));
        });
        left(order.departure(), |lab, phone| {
            lab.turn(phone, |session, turn| {
                session.order(order, turn);
                session.end(Ending::Peer, turn)
            });
        });
    }
}

#[test]
fn a_phone_that_leaves_long_after_an_order_has_its_own_reason() {
    left(Departure::Unregistered, |lab, phone| {
        lab.turn(phone, |session, turn| {
            session.order(Order::ApplyConfig, turn);
            Flow::Open
        });
        for _ in 0..4 {
            lab.pass(Duration::from_secs(20));
            lab.send(phone, &message(0x0000, &[]));
        }
        lab.send(phone, &number(0x0027, 0));
    });
}

#[test]
fn phones_before_version_17_restart_to_apply_a_configuration() {
    let lab = Lab::new();
    let mut phone = lab.connect(PEER);
    lab.send(&mut phone, &register(PHONE, TYPE_7941, 11));
    let answer = lab.turn(&mut phone, |session, turn| {
        session.order(Order::ApplyConfig, turn);
        Flow::Open
    });
    assert_eq!(number_at(&messages(&answer)[0].1, 0), 2);
}

#[test]
fn a_phone_that_is_silent_for_too_long_is_gone() {
    left(Departure::KeepaliveTimeout, |lab, phone| {
        let (passed, _) = lab.wait(phone);
        assert_eq!(phone.flow, Flow::Close(Ending::KeepaliveTimeout));
        // 1.2 times the interval granted, 23 to 30 seconds, and 5.
        let range = Duration::from_millis(32_600)..=Duration::from_secs(41);
        assert!(range.contains(&passed), "{passed:?}");
    });
}

#[test]
fn a_phone_that_never_tells_its_codecs_is_sent_away() {
    let mut lab = Lab::new();
    let mut phone = lab.connect(PEER);
    lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    lab.pass(Duration::from_secs(20));
    lab.send(&mut phone, &message(0x0000, &[]));
    let (passed, _) = lab.wait(&mut phone);
    assert_eq!(passed, Duration::from_secs(10));
    assert_eq!(phone.flow, Flow::Close(Ending::CapabilitiesTimeout));
    assert_eq!(lab.counts().left(Departure::CapabilitiesTimeout), 1);
}

#[test]
fn codecs_are_told_in_any_of_the_four_forms() {
    for message in [
        capabilities(),
        message(0x0030, &[0; 12]),
        message(0x0043, &[0; 12]),
        message(0x0044, &[0; 12]),
    ] {
        let mut lab = Lab::new();
        let mut phone = lab.connect(PEER);
        lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
        lab.send(&mut phone, &message);
        let (passed, _) = lab.wait(&mut phone);
        assert!(passed > Duration::from_secs(30));
        assert_eq!(phone.flow, Flow::Close(Ending::KeepaliveTimeout));
    }
}

#[test]
fn the_same_phone_over_a_new_connection_takes_over() {
    let lab = Lab::new();
    let mut first = lab.registered(PEER);
    let second = lab.registered("10.0.0.7:50001");
    assert_eq!(lab.in_table().unwrap().connection, Some(second.connection));
    lab.turn(&mut first, |session, turn| {
        session.end(Ending::Superseded, turn)
    });
    assert_eq!(lab.counts().left(Departure::Duplicate), 1);
    // The entry is the second one's: the first has not taken it along.
    assert_eq!(lab.in_table().unwrap().connection, Some(second.connection));
    assert_eq!(lab.counts().registered, 1);
}

#[test]
fn a_phone_that_sends_too_much_is_asked_to_register_again() {
    left(Departure::Throttled, |lab, phone| {
        let mut answers = Vec::new();
        for _ in 0..2100 {
            answers = lab.send(phone, &message(0x0000, &[]));
            if phone.flow != Flow::Open {
                break;
            }
        }
        assert_eq!(phone.flow, Flow::Close(Ending::Throttled));
        assert_eq!(kinds(&answers), [Outgoing::Reset]);
    });
}

#[test]
fn a_phone_that_is_taken_out_of_the_inventory_is_reset() {
    left(Departure::ConfigurationMismatch, |lab, phone| {
        let nobody = Snapshot::new(Contents::default(), &Site::default());
        let directory = &lab.registrar.desk.directory;
        directory.update(std::sync::Arc::new(nobody));
        let answer = lab.send(phone, &message(0x0000, &[]));
        assert_eq!(kinds(&answer), [Outgoing::KeepAliveAck, Outgoing::Reset]);
        assert_eq!(phone.flow, Flow::Close(Ending::Removed));
    });
}

#[test]
fn a_phone_that_takes_nothing_has_not_answered() {
    left(Departure::NoResponse, |lab, phone| {
        lab.turn(phone, |session, turn| session.end(Ending::SlowReader, turn));
    });
}

#[test]
fn a_phone_that_loses_the_thread_breaks_the_sequence() {
    left(Departure::SequenceError, |lab, phone| {
        lab.send(phone, b"GET / HTTP/1.1\r\n\r\n");
    });
    left(Departure::SequenceError, |lab, phone| {
        // Another device over the same connection.
        lab.send(phone, &register("SEP0011223344AB", TYPE_7941, 17));
    });
}
