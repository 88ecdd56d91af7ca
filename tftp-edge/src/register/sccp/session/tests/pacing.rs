//! Who has to wait for room, and who has it already.

use super::*;
use crate::inventory::Protocol;
use crate::register::Edit;
use crate::register::storm::{Settings as StormSettings, Storm, Told};

const OTHER: &str = "SEP0011223344BB";
const TYPE_7960: u32 = 7;

/// With room for one registration a second.
fn busy() -> Lab {
    let rejecting = super::super::super::Settings {
        hold_s: 0,
        ..settings()
    };
    let mut lab = Lab::with(contents(), rejecting);
    let settings = StormSettings {
        max_registrations_per_second: 1,
        ..StormSettings::default()
    };
    let desk = std::sync::Arc::get_mut(&mut lab.registrar.desk).unwrap();
    desk.storm = std::sync::Arc::new(Storm::new(&settings));
    lab.now.instant = Instant::now();
    lab
}

fn told(lab: &Lab, told: Told) -> u64 {
    let storm = lab.registrar.desk.storm.snapshot(lab.now.instant);
    storm.tallies[Protocol::Sccp as usize].told(told)
}

#[test]
fn a_token_is_for_the_phone_that_asked_for_it() {
    let lab = busy();
    let mut phone = lab.connect("10.0.0.7:50000");
    let answer = lab.send(&mut phone, &token(PHONE, TYPE_7941));
    assert_eq!(kinds(&answer), [Outgoing::RegisterTokenAck]);
    let answer = lab.send(&mut phone, &register(OTHER, TYPE_7960, 5));
    let text = reject_text(&answer);
    assert!(text.starts_with("Busy, "), "{text}");
    assert_eq!(lab.counts().refused(Refusal::Storm), 1);
}

#[test]
fn a_phone_that_has_begun_anew_is_no_refresh() {
    let mut lab = Lab::new();
    let mut phone = lab.registered("10.0.0.7:50000");
    lab.send(&mut phone, &register(PHONE, TYPE_7941, 17));
    assert_eq!(told(&lab, Told::Refresh), 1);
    // The end of its connection was not seen.
    lab.pass(Duration::from_secs(40));
    lab.registered("10.0.0.7:50001");
    assert_eq!(told(&lab, Told::Refresh), 1);
}

#[test]
fn a_connection_of_sip_is_none_of_ours() {
    let lab = Lab::new();
    let bystander = lab.registered("10.0.0.7:50000");
    let (_, mailbox) = lab.registrar.connections.open();
    let there = lab.in_table().unwrap();
    let table = &lab.registrar.desk.table;
    // A device that was of SIP until now, over a connection with the number of one of ours.
    let device = OTHER.parse().unwrap();
    let mut of_sip = Registration::clone(&there);
    of_sip.device = device;
    of_sip.protocol = Protocol::Sip;
    of_sip.source = "10.0.0.99:5060".parse().unwrap();
    of_sip.connection = Some(ConnectionId(bystander.connection.0 + 1));
    table.edit(&device, |_| ((), Edit::Put(of_sip.clone())));
    let mut phone = lab.connect("10.0.0.8:50000");
    let answer = lab.send(&mut phone, &register(OTHER, TYPE_7960, 5));
    assert_eq!(kinds(&answer)[0], Outgoing::RegisterAck);
    assert_eq!(mailbox.take().count(), 0);
}
