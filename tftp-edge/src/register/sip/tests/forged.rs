//! What a datagram may cause whose address may be forged: an answer, and nothing else. And who counts
//! as a phone that is there already.

use std::path::Path;

use super::*;
use crate::inventory::{Inventory, Protocol, Settings as InventorySettings, Unchecked as _};
use crate::provisioning;
use crate::register::Refusal;
use crate::register::bans::{Bans, Settings as BanSettings};
use crate::register::newcomers::Newcomers;
use crate::register::storm::{Settings as StormSettings, Snapshot as StormSnapshot, Told};

impl Edge {
    /// With another desk.
    fn around(desk: Desk) -> Self {
        let edge = Edge::new();
        let desk = Arc::new(desk);
        Self {
            core: Core::new(Settings::default(), Arc::clone(&desk)),
            desk,
            now: Instant::now(),
            ..edge
        }
    }

    /// With room for one registration a second.
    fn busy() -> Self {
        let settings = StormSettings {
            max_registrations_per_second: 1,
            ..StormSettings::default()
        };
        let desk = Desk {
            directory: Arc::clone(&Edge::new().desk.directory),
            storm: Arc::new(Storm::new(&settings)),
            ..crate::register::desk::bare()
        };
        Self::around(desk)
    }

    fn storm(&self) -> StormSnapshot {
        self.desk.storm.snapshot(self.now)
    }

    fn told(&self, told: Told) -> u64 {
        self.storm().tallies[Protocol::Sip as usize].told(told)
    }
}

#[test]
fn a_datagram_gets_no_place_in_the_queue_before_its_address_is_proved() {
    let edge = Edge::busy();
    for line in ["1001", "1003", "1007"] {
        for port in 1..10 {
            let mut forged = udp().nameless(line);
            forged.source = ([10, 0, 0, 9], port).into();
            assert_eq!(edge.answer(&forged, &forged.register()).code, 401);
            // Nor with a nonce of somebody else's.
            forged.nonce = Some("00".repeat(24));
            assert_eq!(edge.answer(&forged, &forged.register()).code, 401);
        }
    }
    let storm = edge.storm();
    assert_eq!((storm.in_progress, storm.waiting), (0, 0));
    assert_eq!(storm.arrivals_per_second, 0.0);
    // The phones themselves do: one is let in, the next has its place.
    assert_eq!(udp().nameless("1003").registers(&edge).code, 200);
    let waits = udp().nameless("1007").registers(&edge);
    assert_eq!(waits.code, 503);
    assert!(waits.header("Retry-After").parse::<u64>().unwrap() >= 1);
    assert_eq!(edge.storm().waiting, 1);
}

#[test]
fn a_datagram_that_waited_too_long_is_dropped_before_it_is_challenged() {
    let mut edge = Edge::new();
    let phone = udp();
    let arrived = edge.now;
    edge.pass(3);
    let register = phone.register();
    let incoming = Incoming {
        bytes: register.as_bytes(),
        transport: phone.transport,
        source: phone.source,
        local: local(),
        connection: None,
        arrived,
    };
    let mut out = Vec::new();
    edge.core
        .receive_at(&incoming, edge.now, edge.clocks(), &mut out);
    assert!(out.is_empty());
    assert_eq!(edge.told(Told::Stale), 1);
    assert_eq!(edge.core.counts().refusal(Refusal::Stale), 1);
}

#[test]
fn a_phone_that_has_started_anew_is_no_refresh() {
    let edge = Edge::new();
    let mut phone = tcp();
    assert_eq!(phone.registers(&edge).code, 200);
    assert_eq!(edge.told(Told::Refresh), 0);
    assert_eq!(phone.registers(&edge).code, 200);
    assert_eq!(edge.told(Told::Refresh), 1);
    // Its registration stands still, and it comes from the same address.
    let mut edge = edge;
    edge.pass(40);
    phone.call_id = "another".into();
    phone.nonce = None;
    assert_eq!(phone.registers(&edge).code, 200);
    assert_eq!(edge.told(Told::Refresh), 1);
}

#[test]
fn a_token_for_a_name_that_nobody_has_takes_no_place() {
    let edge = Edge::busy();
    for number in 0..20 {
        let mut phone = tcp();
        phone.headers = "Refer-To: <urn:X-cisco-remotecc:token-registration>\r\n".into();
        phone.contact_params = format!(";+u.sip!devicename.ccm.cisco.com=\"SEP{number:012X}\"");
        let contact = format!("Contact: {}\r\n", phone.contact());
        edge.answer(&phone, &phone.write("REFER", "sip:10.0.0.1", &contact));
    }
    assert_eq!(edge.told(Told::Stranger), 20);
    assert_eq!((edge.storm().in_progress, edge.storm().waiting), (0, 0));
}

#[test]
fn who_tries_many_lines_with_one_user_name_is_shut_out() {
    let settings = BanSettings {
        guesses: 4,
        ..BanSettings::default()
    };
    let changes: [fn(&mut Phone, u32); 3] = [
        |phone, number| phone.user = format!("user{number}"),
        |phone, number| phone.line = format!("5{number}"),
        |phone, number| {
            phone.contact_params = format!(";+u.sip!devicename.ccm.cisco.com=\"SEP{number:012X}\"");
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let edge = Edge::around(Desk {
            bans: Arc::new(Bans::new(&settings, Box::new(|_| false))),
            directory: Arc::clone(&Edge::new().desk.directory),
            ..crate::register::desk::bare()
        });
        let mut phone = udp();
        phone.secret = "guess".into();
        let is_banned = || edge.desk.bans.is_banned(phone.source.ip(), edge.now);
        for number in 0..4 {
            assert!(!is_banned(), "{at}: {number}");
            // The same again is no other try.
            let times = if number < 3 { 3 } else { 1 };
            for _ in 0..times {
                let mut tries = phone.clone();
                change(&mut tries, number);
                assert_eq!(tries.registers(&edge).code, 403);
            }
        }
        assert!(is_banned(), "{at}");
    }
}

fn open(folder: &Path) -> Inventory {
    let settings = InventorySettings {
        database: folder.join("inventory.db"),
        ..InventorySettings::default()
    };
    Inventory::open(&settings).unwrap()
}

/// An 8851 that nobody knows.
fn unknown(number: u32) -> Phone {
    let mut phone = udp();
    phone.contact_params = format!(
        ";+u.sip!devicename.ccm.cisco.com=\"SEP{number:012X}\"\
         ;+u.sip!model.ccm.cisco.com=\"684\""
    );
    phone
}

#[test]
fn no_number_is_given_away_for_a_datagram_whose_address_is_not_proved() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = open(folder.path());
    for (key, value) in [
        ("subnets", "10.0.0.0/24"),
        ("auto_registration", "true"),
        ("auto_registration_numbers", "5000-5099"),
    ] {
        let setting = (key.to_owned(), Some(value.to_owned()));
        inventory.store().set_site("berlin", &[setting]).unwrap();
    }
    let directory = Arc::new(Directory::default());
    directory.update(Arc::new(inventory.snapshot().unwrap()));
    let newcomers = Newcomers::start(
        Arc::clone(&directory),
        inventory,
        provisioning::Settings::default(),
    );
    let mut edge = Edge::around(Desk {
        directory,
        newcomers: Arc::new(newcomers.unwrap()),
        ..crate::register::desk::bare()
    });
    for number in 1..20 {
        let forged = unknown(number);
        assert_eq!(edge.answer(&forged, &forged.register()).code, 401);
    }
    let real = unknown(1000).registers(&edge);
    assert_eq!(real.code, 503, "{}", real.text);
    // When its thread has ended, what was queued is written.
    edge.core = Core::new(Settings::default(), Edge::new().desk);
    edge.desk = Edge::new().desk;
    let devices = open(folder.path()).snapshot().unwrap().devices;
    assert_eq!(devices.len(), 1, "{devices:?}");
}
