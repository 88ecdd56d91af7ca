//! Phones for which there is no room, now or at all: by the real table, storm, bans and intake.

use std::sync::Arc;

use super::*;
use crate::register::bans::{Bans, Settings as BanSettings};
use crate::register::newcomers::tests::Site;
use crate::register::storm::Storm;
use crate::register::{Desk, NoGuard, Table};

const PEER: &str = "10.0.0.7:50000";
const ELSEWHERE: &str = "10.0.0.8:50000";
const OTHER: &str = "SEP0011223344BB";
const TYPE_7960: u32 = 7;

fn lab(change: impl FnOnce(&mut Desk)) -> Lab {
    let mut lab = Lab::new();
    change(Arc::get_mut(&mut lab.registrar.desk).unwrap());
    lab
}

fn other() -> Vec<u8> {
    register(OTHER, TYPE_7960, 11)
}

/// The wait in a RegisterTokenReject, in seconds.
fn token_wait_s(answer: &[u8]) -> u32 {
    let [(Outgoing::RegisterTokenReject, body)] = &messages(answer)[..] else {
        panic!("a token is refused: {:?}", kinds(answer));
    };
    number_at(body, 0)
}

#[test]
fn a_full_table_sends_away_whoever_is_not_in_it() {
    let lab = lab(|desk| {
        let alarms = Arc::clone(&desk.alarms);
        desk.table = Arc::new(Table::new(1, Arc::new(NoGuard), alarms));
    });
    let mut first = lab.registered(PEER);
    let mut second = lab.connect(ELSEWHERE);
    let answer = lab.send(&mut second, &token(OTHER, TYPE_7960));
    assert_eq!(token_wait_s(&answer), 60);
    assert_eq!(lab.counts().refused(Refusal::Capacity), 1);
    let answer = lab.send(&mut second, &other());
    assert_eq!(reject_text(&answer), "Server is full");
    assert_eq!(second.flow, Flow::Close(Ending::Refused));
    assert_eq!(lab.counts().refused(Refusal::Capacity), 2);
    assert_eq!(lab.counts().registered, 1);
    let desk = &lab.registrar.desk;
    assert_eq!(desk.table.counts().refused, 1);
    assert_eq!(desk.alarms.list().len(), 1);
    // The one that is registered has its place already.
    let answer = lab.send(&mut first, &register(PHONE, TYPE_7941, 17));
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
    lab.turn(&mut first, |session, turn| session.end(Ending::Peer, turn));
    let mut second = lab.connect(ELSEWHERE);
    let answer = lab.send(&mut second, &other());
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
}

/// With room for one registration a second, and one phone registered.
fn stormy(hold_s: u32) -> (Lab, Phone) {
    let settings = super::super::super::Settings {
        hold_s,
        ..settings()
    };
    let mut lab = Lab::with(contents(), settings);
    let desk = Arc::get_mut(&mut lab.registrar.desk).unwrap();
    let storm = toml::from_str("max_registrations_per_second = 1").unwrap();
    desk.storm = Arc::new(Storm::new(&storm));
    let first = lab.registered(PEER);
    (lab, first)
}

#[test]
fn in_a_storm_a_phone_is_answered_when_it_is_its_turn() {
    let (mut lab, mut first) = stormy(20);
    let mut second = lab.connect(ELSEWHERE);
    let answer = lab.send(&mut second, &token(OTHER, TYPE_7960));
    assert_eq!(token_wait_s(&answer), 30);
    assert!(lab.send(&mut second, &other()).is_empty());
    assert_eq!(second.flow, Flow::Open);
    // Asking again changes nothing.
    assert!(lab.send(&mut second, &other()).is_empty());
    // Who is registered goes before all others.
    let answer = lab.send(&mut first, &register(PHONE, TYPE_7941, 17));
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
    let asked = lab.now.instant;
    let mut answer = Vec::new();
    while answer.is_empty() {
        let next = second.session.next(&lab.registrar);
        lab.pass(next - lab.now.instant);
        answer = lab.turn(&mut second, Session::expire);
    }
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
    let waited = lab.now.instant - asked;
    assert!(waited <= Duration::from_secs(4), "{waited:?}");
    assert_eq!(lab.counts().refused(Refusal::Storm), 1);
}

#[test]
fn a_phone_that_would_have_to_wait_for_too_long_is_rejected_and_comes_again() {
    let (mut lab, _first) = stormy(0);
    let mut second = lab.connect(ELSEWHERE);
    let answer = lab.send(&mut second, &other());
    let text = reject_text(&answer);
    assert!(text.starts_with("Busy, "), "{text}");
    assert_eq!(second.flow, Flow::Close(Ending::Refused));
    lab.pass(Duration::from_secs(3));
    let mut second = lab.connect(ELSEWHERE);
    let answer = lab.send(&mut second, &other());
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
    assert_eq!(lab.counts().refused(Refusal::Storm), 1);
}

#[test]
fn who_tries_many_names_is_shut_out() {
    let lab = lab(|desk| {
        let settings = BanSettings {
            guesses: 3,
            ..BanSettings::default()
        };
        desk.bans = Arc::new(Bans::new(&settings, Box::new(|_| false)));
    });
    let mut told = Vec::new();
    for number in 0..4 {
        let mut phone = lab.connect(PEER);
        let stranger = register(&format!("SEP{number:012X}"), TYPE_7941, 17);
        told.push(reject_text(&lab.send(&mut phone, &stranger)));
    }
    assert_eq!(told[..3], ["Unknown device"; 3]);
    assert_eq!(told[3], "Address not allowed");
    assert_eq!(lab.counts().refused(Refusal::UnknownDevice), 3);
    assert_eq!(lab.counts().refused(Refusal::Banned), 1);
    let banned = lab.registrar.desk.bans.snapshot(lab.now.instant).banned;
    assert_eq!(banned[0].source, "10.0.0.7");
    lab.registered(ELSEWHERE);
}

#[test]
fn an_unknown_phone_registers_as_soon_as_its_site_has_taken_it_in() {
    let site = Site::new();
    let mut lab = lab(|desk| {
        desk.directory = Arc::clone(&site.directory);
        desk.newcomers = Arc::clone(&site.newcomers);
    });
    let name = "SEP00112233AABB";
    let mut phone = lab.connect("10.1.0.7:50000");
    let answer = lab.send(&mut phone, &register(name, TYPE_7941, 17));
    assert!(answer.is_empty());
    assert_eq!(phone.flow, Flow::Open);
    site.knows(&name.parse().unwrap());
    let (_, answer) = lab.wait(&mut phone);
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
    assert_eq!(site.newcomers.counts().taken_in, 1);
}
