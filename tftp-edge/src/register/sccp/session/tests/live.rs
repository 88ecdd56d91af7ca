//! Settings that change while phones are there.

use std::sync::Arc;

use super::*;
use crate::register::sccp::Settings;
use crate::register::storm::{Settings as StormSettings, Storm};

const PEER: &str = "10.0.0.7:50000";
const OTHER: &str = "SEP0011223344BB";
const TYPE_7960: u32 = 7;

fn change(lab: &Lab, change: impl FnOnce(&mut Settings)) {
    let mut other = (**lab.registrar.settings.get()).clone();
    change(&mut other);
    lab.registrar.settings.set(other);
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn how_long_a_phone_may_take_is_asked_of_the_settings_at_once() {
    let mut lab = Lab::new();
    change(&lab, |settings| settings.register_timeout_s = 7);
    let mut silent = lab.connect(PEER);
    assert_eq!(lab.wait(&mut silent).0, seconds(7));

    change(&lab, |settings| settings.message_timeout_s = 3);
    let mut slow = lab.connect(PEER);
    lab.send(&mut slow, &message(0x0020, &[])[..6]);
    assert_eq!(lab.wait(&mut slow).0, seconds(3));

    change(&lab, |settings| settings.capabilities_timeout_s = 4);
    let mut phone = lab.connect(PEER);
    lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    assert_eq!(lab.wait(&mut phone).0, seconds(4));
}

#[test]
fn keepalives_are_granted_by_the_settings_at_the_registration() {
    let mut lab = Lab::new();
    change(&lab, |settings| {
        settings.keepalive_s = 200;
        settings.secondary_keepalive_s = 300;
        settings.keepalive_grace_s = 50;
    });
    let mut phone = lab.connect(PEER);
    let answer = lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    let (_, ack) = &messages(&answer)[0];
    let granted = number_at(ack, 0);
    assert!((150..=200).contains(&granted), "{granted}");
    assert_eq!(number_at(ack, 12), 300);
    lab.send(&mut phone, &capabilities());
    let patience = seconds(granted.into()).mul_f64(1.2) + seconds(50);
    assert_eq!(lab.wait(&mut phone).0, patience);
}

#[test]
fn the_oldest_version_that_is_taken_may_change() {
    let lab = Lab::new();
    change(&lab, |settings| settings.min_version = 20);
    let mut phone = lab.connect(PEER);
    let answer = lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    assert_eq!(kinds(&answer), [Outgoing::RegisterReject]);
    change(&lab, |settings| settings.min_version = 17);
    let mut phone = lab.connect(PEER);
    let answer = lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
}

#[test]
fn in_a_storm_phones_are_held_and_told_to_wait_by_the_settings_of_the_moment() {
    let mut lab = Lab::new();
    let storm = StormSettings {
        max_registrations_per_second: 1,
        ..StormSettings::default()
    };
    let desk = Arc::get_mut(&mut lab.registrar.desk).unwrap();
    desk.storm = Arc::new(Storm::new(&storm));
    lab.now.instant = Instant::now();
    let mut first = lab.connect(PEER);
    lab.send(&mut first, &token(PHONE, TYPE_7941));

    change(&lab, |settings| settings.hold_s = 0);
    let mut other = lab.connect("10.0.0.8:50000");
    let answer = lab.send(&mut other, &register(OTHER, TYPE_7960, 5));
    assert_eq!(kinds(&answer), [Outgoing::RegisterReject]);
    change(&lab, |settings| settings.hold_s = 60);
    let mut held = lab.connect("10.0.0.9:50000");
    let answer = lab.send(&mut held, &register(OTHER, TYPE_7960, 5));
    assert!(answer.is_empty(), "{:?}", kinds(&answer));

    for least in [40, 700] {
        change(&lab, |settings| settings.token_wait_min_s = least);
        let mut asking = lab.connect("10.0.0.10:50000");
        let answer = lab.send(&mut asking, &token(OTHER, TYPE_7960));
        let (kind, body) = &messages(&answer)[0];
        assert_eq!(*kind, Outgoing::RegisterTokenReject);
        assert_eq!(number_at(body, 0), least);
    }
}
