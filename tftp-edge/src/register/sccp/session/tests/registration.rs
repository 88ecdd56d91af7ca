//! A registration from its first message to its last, and what a phone is told in it.

use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::inventory::{KeyAction, LineKey, PhoneService, Protocol, SoftKeySet};
use crate::register::{Event, Guard, Table};

const PEER: &str = "10.0.0.7:50000";

/// The bodies of what a phone hears.
fn bodies(answer: &[u8]) -> Vec<Vec<u8>> {
    messages(answer).into_iter().map(|it| it.1).collect()
}

fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0);
    std::str::from_utf8(&bytes[..end.unwrap_or(bytes.len())]).unwrap()
}

/// Inventory in which the 7941 has all kinds of buttons: its two own ones have a line and a lamp,
/// its module the rest.
fn furnished() -> Contents {
    let mut contents = contents();
    let device = &mut contents.devices[0];
    device.modules = vec!["7914".into()];
    device.owner = "anna".into();
    device.lines[0].label = "Anna".into();
    let key = |label: &str, action| LineKey {
        label: label.into(),
        action,
    };
    let name = |name: &str| name.to_owned();
    device.keys = [
        (2, key("Gate", KeyAction::Blf { number: name("9") })),
        (
            4,
            key(
                "Depot",
                KeyAction::SpeedDial {
                    number: name("4711"),
                },
            ),
        ),
        (5, key("Menu", KeyAction::Service { name: name("menu") })),
        (6, key("Quiet", KeyAction::Feature { name: name("dnd") })),
        (
            7,
            key(
                "None",
                KeyAction::Feature {
                    name: name("services"),
                },
            ),
        ),
    ]
    .into();
    contents.objects.services.insert(
        name("menu"),
        PhoneService {
            url: name("http://10.0.0.1/menu"),
            kind: 0,
            category: 0,
            vendor: String::new(),
            version: String::new(),
        },
    );
    let states = [(name("On Hook"), vec![name("NewCall"), name("DND")])];
    contents.objects.soft_keys.insert(
        name("office"),
        SoftKeySet {
            states: states.into(),
        },
    );
    let settings = [
        ("soft_keys", "office"),
        ("time_zone", "W. Europe Standard/Daylight Time"),
        ("date_template", "D.M.YA"),
        ("servers", "10.0.0.1;cm2.example.net/sccp=2010"),
    ];
    let settings = settings.map(|(key, value)| (name(key), name(value)));
    contents.sites.insert(name("default"), settings.into());
    contents.loads.insert(
        (name("7941"), crate::inventory::Protocol::Sccp),
        name("SCCP41.9-4-2"),
    );
    contents
}

#[test]
fn register_is_acknowledged_in_the_version_of_the_phone() {
    for (claimed, used, features) in [
        (3, 3, [0, 0, 0]),
        (5, 5, [0x20, 0xF1, 0xFE]),
        (11, 11, [0x20, 0xF1, 0xFF]),
        (17, 17, [0x20, 0xF1, 0xFF]),
        (30, 22, [0x20, 0xF1, 0xFF]),
    ] {
        let lab = Lab::with(furnished(), settings());
        let mut phone = lab.connect(PEER);
        let answer = lab.send(&mut phone, &register(PHONE, TYPE_7941, claimed));
        assert_eq!(
            kinds(&answer),
            [Outgoing::RegisterAck, Outgoing::CapabilitiesReq]
        );
        let ack = &bodies(&answer)[0];
        assert!((23..=30).contains(&number_at(ack, 0)));
        assert_eq!(text(&ack[4..11]), "D.M.YA");
        assert_eq!(number_at(ack, 12), 60);
        assert_eq!((ack[16], &ack[17..20]), (used, &features[..]));
        assert_eq!(lab.in_table().unwrap().version, used);
    }
}

#[test]
fn buttons_are_those_of_the_inventory_with_instances_of_their_kind() {
    let lab = Lab::with(furnished(), settings());
    let mut phone = lab.registered(PEER);
    let template = &bodies(&lab.send(&mut phone, &message(0x000E, &[])))[0];
    // A 7941 has two buttons, a 7914 fourteen.
    assert_eq!([0, 4, 8].map(|at| number_at(template, at)), [0, 16, 16]);
    let buttons: Vec<_> = template[12..].chunks(2).take(8).collect();
    assert_eq!(
        buttons,
        [
            [1, 0x09],
            [1, 0x15],
            [2, 0x09],
            [1, 0x02],
            [1, 0x14],
            [2, 0x82],
            [0, 0xFF],
            [0, 0xFF],
        ]
    );
}

#[test]
fn older_phones_dial_where_newer_ones_have_a_lamp() {
    let lab = Lab::with(furnished(), settings());
    let mut phone = lab.connect(PEER);
    lab.send(&mut phone, &register(PHONE, TYPE_7941, 11));
    let template = &bodies(&lab.send(&mut phone, &message(0x000E, &[])))[0];
    assert_eq!(template[14..16], [1, 0x02]);
    assert_eq!(template[18..20], [2, 0x02]);
    let dial = |phone: &mut Phone, at| {
        let body = &bodies(&lab.send(phone, &number(0x000A, at)))[0];
        (
            text(&body[4..28]).to_owned(),
            text(&body[28..68]).to_owned(),
        )
    };
    assert_eq!(dial(&mut phone, 1), ("9".into(), "Gate".into()));
    assert_eq!(dial(&mut phone, 2), ("4711".into(), "Depot".into()));
    assert_eq!(dial(&mut phone, 3), (String::new(), String::new()));
    assert_eq!(dial(&mut phone, 0), (String::new(), String::new()));
}

#[test]
fn what_is_behind_the_buttons_is_told_when_asked() {
    let lab = Lab::with(furnished(), settings());
    let mut phone = lab.registered(PEER);
    let mut ask = |message: &[u8]| bodies(&lab.send(&mut phone, message)).remove(0);
    let line = ask(&number(0x000B, 1));
    assert_eq!(&line[8..], b"1001\0Anna\0Anna\0\0");
    let line = ask(&number(0x000B, 3));
    assert_eq!(&line[8..], [0; 4]);
    let lamp = ask(&message(0x0034, &[1, 0, 0, 0]));
    assert_eq!(number_at(&lamp, 4), 0x15);
    assert_eq!(text(&lamp[12..]), "Gate");
    let feature = ask(&message(0x0034, &[2, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(number_at(&feature, 4), 0x82);
    let service = ask(&number(0x0033, 1));
    assert_eq!(&service[4..], b"http://10.0.0.1/menu\0Menu\0\0\0");
    let config = ask(&message(0x000C, &[]));
    assert_eq!(text(&config[..16]), PHONE);
    assert_eq!([24, 28].map(|at| number_at(&config, at)), [2, 1]);
    assert_eq!(&config[32..], b"anna\x0010.0.0.1\0\0\0");
}

#[test]
fn soft_keys_are_those_of_the_settings_and_one_set_is_chosen() {
    let lab = Lab::with(furnished(), settings());
    let mut phone = lab.registered(PEER);
    let template = &bodies(&lab.send(&mut phone, &message(0x0028, &[])))[0];
    assert_eq!(number_at(template, 4), 32);
    assert_eq!(template[12..14], [0x80, 1]);
    let answer = lab.send(&mut phone, &message(0x0025, &[]));
    assert_eq!(
        kinds(&answer),
        [Outgoing::SoftKeySetRes, Outgoing::SelectSoftKeys]
    );
    let [sets, select] = &bodies(&answer)[..] else {
        panic!("two messages are expected");
    };
    // NewCall and DND, with their help texts.
    assert_eq!(sets[12..15], [2, 22, 0]);
    assert_eq!(sets[28..34], [46, 1, 66, 1, 0, 0]);
    assert_eq!(
        [0, 4, 8, 12].map(|at| number_at(select, at)),
        [0, 0, 0, 0b11]
    );
}

#[test]
fn servers_load_and_time_are_those_of_its_site() {
    let lab = Lab::with(furnished(), settings());
    let mut phone = lab.registered(PEER);
    let load = &bodies(&lab.send(&mut phone, &message(0x000F, &[])))[0];
    assert_eq!(text(load), "SCCP41.9-4-2");
    let servers = &bodies(&lab.send(&mut phone, &message(0x0012, &[])))[0];
    assert_eq!(text(&servers[..48]), "10.0.0.1");
    assert_eq!(text(&servers[48..96]), "cm2.example.net");
    assert_eq!(number_at(servers, 244), 2010);
    assert_eq!(servers[264..268], [10, 0, 0, 1]);
    assert_eq!(lab.counts().completed, 0);
    let time = &bodies(&lab.send(&mut phone, &message(0x000D, &[])))[0];
    let time: Vec<u32> = (0..9).map(|at| number_at(time, at * 4)).collect();
    // Noon in Greenwich, a Thursday.
    assert_eq!(time, [2026, 1, 4, 15, 13, 0, 0, 0, NOON_S as u32]);
    assert_eq!(lab.counts().completed, 1);
}

#[test]
fn without_servers_or_load_in_the_inventory_it_is_this_server_and_what_runs() {
    let lab = Lab::new();
    let mut phone = lab.registered(PEER);
    let servers = &bodies(&lab.send(&mut phone, &message(0x0012, &[])))[0];
    assert_eq!(text(&servers[..48]), "10.0.0.1");
    assert_eq!(number_at(servers, 240), 2000);
    let load = &bodies(&lab.send(&mut phone, &message(0x000F, &[])))[0];
    assert_eq!(text(load), "SCCP41.9-4-2S");
}

#[test]
fn questions_come_in_any_order_and_after_the_registration_too() {
    let lab = Lab::with(furnished(), settings());
    let mut phone = lab.registered(PEER);
    let answer = lab.send(&mut phone, &message(0x000D, &[]));
    assert_eq!(kinds(&answer), [Outgoing::DefineTimeDate]);
    let answer = lab.send(&mut phone, &number(0x000B, 1));
    assert_eq!(text(&bodies(&answer)[0][8..]), "1001");
    lab.send(&mut phone, &message(0x000D, &[]));
    assert_eq!(lab.counts().completed, 1);
}

#[test]
fn keepalives_move_the_end_of_the_registration_and_tell_nobody() {
    let mut lab = Lab::new();
    let mut phone = lab.registered(PEER);
    let since = lab.in_table().unwrap().since;
    let mut changes = lab.registrar.desk.table.changes();
    for _ in 0..60 {
        lab.pass(Duration::from_secs(20));
        let answer = lab.send(&mut phone, &message(0x0000, &[]));
        assert_eq!(answer, [4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        let there = lab.in_table().unwrap();
        assert_eq!(there.since, since);
        // Three keepalives of 30 seconds.
        assert_eq!(there.expires, lab.now.steady + Duration::from_secs(90));
        lab.registrar.desk.table.sweep(lab.now.steady);
    }
    let mut other = (**lab.registrar.settings.get()).clone();
    other.keepalive_s = 60;
    lab.registrar.settings.set(other);
    lab.pass(Duration::from_secs(20));
    lab.send(&mut phone, &message(0x0000, &[]));
    let expires = lab.in_table().unwrap().expires;
    assert_eq!(
        expires,
        lab.now.wall + Duration::from_secs(180),
        "as the settings are now"
    );
    assert!(changes.try_recv().is_err());
    let events = lab.registrar.desk.table.counts();
    assert_eq!(events.events(Protocol::Sccp, Event::Refresh), 61);
}

#[test]
fn the_table_forgets_no_phone_before_its_session_does() {
    let patient = super::super::super::Settings {
        keepalive_s: 10,
        keepalive_grace_s: 600,
        ..settings()
    };
    let lost_after = patient.lost_after();
    let lab = Lab::with(contents(), patient);
    lab.registered(PEER);
    let expires = lab.in_table().unwrap().expires;
    assert_eq!(expires, lab.now.steady + lost_after);
}

#[test]
fn setting_the_clock_ends_no_registration_and_prolongs_none() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let mut lab = Lab::new();
    let mut phone = lab.registered(PEER);
    for wall in [lab.now.wall + YEAR, lab.now.wall - YEAR] {
        lab.now.wall = wall;
        lab.registrar.desk.table.sweep(lab.now.steady);
        lab.pass(Duration::from_secs(20));
        let answer = lab.send(&mut phone, &message(0x0000, &[]));
        assert!(!answer.is_empty(), "its keepalive is answered");
        let there = lab.in_table().unwrap();
        assert_eq!(there.expires, lab.now.steady + Duration::from_secs(90));
    }
    lab.pass(Duration::from_secs(91));
    lab.registrar.desk.table.sweep(lab.now.steady);
    assert!(lab.in_table().is_none());
}

#[test]
fn a_phone_that_the_table_has_lost_begins_anew() {
    let lab = Lab::new();
    let mut phone = lab.registered(PEER);
    let later = lab.now.steady + Duration::from_secs(3600);
    lab.registrar.desk.table.sweep(later);
    lab.send(&mut phone, &message(0x0000, &[]));
    assert_eq!(phone.flow, Flow::Close(Ending::KeepaliveTimeout));
    assert_eq!(lab.counts().registered, 0);
    lab.registered("10.0.0.7:50001");
}

/// Counts what it is told of an address.
#[derive(Default)]
struct Listening(Mutex<Vec<(IpAddr, bool)>>);

impl Guard for Listening {
    fn admit(&self, _newcomers: Option<crate::misses::Rate>) {}
    fn registered(&self, source: IpAddr) {
        self.0.lock().push((source, true));
    }
    fn left(&self, source: IpAddr) {
        self.0.lock().push((source, false));
    }
}

#[test]
fn the_guard_hears_once_of_an_address_with_many_phones() {
    let guard = Arc::new(Listening::default());
    let mut lab = Lab::new();
    let desk = Arc::get_mut(&mut lab.registrar.desk).unwrap();
    desk.guard = Arc::clone(&guard) as _;
    desk.table = Arc::new(Table::new(10, Arc::clone(&guard) as _, Arc::default()));
    let mut first = lab.registered(PEER);
    let mut second = lab.connect("10.0.0.7:50001");
    lab.send(&mut second, &register("SEP0011223344BB", 7, 11));
    lab.send(&mut first, &register(PHONE, TYPE_7941, 17));
    lab.send(&mut first, &message(0x0000, &[]));
    lab.turn(&mut first, |session, turn| session.end(Ending::Peer, turn));
    let source: IpAddr = [10, 0, 0, 7].into();
    assert_eq!(*guard.0.lock(), [(source, true)]);
    lab.send(&mut second, &number(0x0027, 0));
    assert_eq!(*guard.0.lock(), [(source, true), (source, false)]);
}

#[test]
fn a_connection_without_a_phone_ends_and_one_with_a_phone_that_left_too() {
    let mut lab = Lab::new();
    let mut phone = lab.connect(PEER);
    lab.pass(Duration::from_secs(10));
    lab.send(&mut phone, &message(0x0000, &[]));
    let (passed, _) = lab.wait(&mut phone);
    assert_eq!(passed, Duration::from_secs(20));
    assert_eq!(phone.flow, Flow::Close(Ending::NoRegister));

    let mut phone = lab.registered(PEER);
    lab.send(&mut phone, &number(0x0027, 0));
    let (passed, _) = lab.wait(&mut phone);
    assert_eq!(passed, Duration::from_secs(30));
    assert_eq!(phone.flow, Flow::Close(Ending::NoRegister));
}

#[test]
fn phones_of_the_spa_series_end_with_their_lines() {
    let lab = Lab::new();
    let mut phone = lab.connect(PEER);
    let mut body = vec![0; 36];
    body[..15].copy_from_slice(PHONE.as_bytes());
    body[28..32].copy_from_slice(&TYPE_7941.to_le_bytes());
    let answer = lab.send(&mut phone, &message(0x8000, &body));
    assert_eq!(
        messages(&answer),
        [(Outgoing::SpcpTokenAck, vec![0xFF, 0xFF, 0, 0])]
    );
    lab.send(&mut phone, &register(PHONE, TYPE_7941, 8));
    lab.send(&mut phone, &number(0x002D, 2));
    assert_eq!(lab.counts().completed, 1);
}

#[test]
fn a_phone_that_registers_again_over_its_connection_stays_one() {
    let lab = Lab::new();
    let mut phone = lab.registered(PEER);
    let answer = lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
    assert_eq!(
        (lab.counts().registered, lab.counts().registrations),
        (1, 2)
    );
    assert!(lab.in_table().is_some());
}

#[test]
fn a_source_over_ipv6_that_means_ipv4_is_ipv4() {
    let lab = Lab::new();
    lab.registered("[::ffff:10.0.0.7]:50000");
    assert_eq!(lab.in_table().unwrap().source.to_string(), PEER);
}
