//! Names that are known to be absent: trust lists, optional files, and devices that were removed.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;

use tftp_ebpf::name::PATTERNS;
use tftp_ebpf::stage::Stage;

use super::site::{Site, devices};
use crate::content::{Lookup, State};
use crate::inventory::Unchecked;

#[test]
fn devices_have_a_configuration_and_no_trust_lists() {
    let mut site = Site::new();
    site.import(&devices("SEP00AABBCCDDEE,7941,sccp,1001,hq,Desk\n"));
    site.start();
    let config = site.found("SEP00AABBCCDDEE.cnf.xml");
    assert_eq!(config.stage, Stage::Config);
    assert!(config.bytes.starts_with(b"<?xml"));

    let told: BTreeMap<_, _> = site
        .heard
        .take()
        .into_iter()
        .map(|change| (change.name.to_string(), change.state))
        .collect();
    for name in PATTERNS {
        assert!(matches!(told[name], State::Absent), "{name}");
    }
    for name in ["CTLSEP00AABBCCDDEE.tlv", "ITLSEP00AABBCCDDEE.tlv"] {
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
    for name in [
        "itlfile.tlv",
        "ctlfile.tlv",
        "appdialrules.xml",
        "defaultheadsetconfig.json",
        "xmldefault.cnf.xml",
    ] {
        assert!(matches!(told[name], State::Absent), "{name}");
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
    assert_eq!(told.len(), 16, "{told:?}");
}

#[test]
fn of_a_deleted_device_nothing_stays() {
    let mut site = Site::new();
    let both =
        devices("SEP000000000001,7941,sccp,1001,hq,Desk\nSEP000000000002,7941,sccp,1002,hq,Desk\n");
    site.import(&both);
    site.start();
    site.heard.clear();
    site.store().remove(&[both[0].name]).unwrap();
    site.until("it is gone", |site| {
        matches!(site.lookup("SEP000000000001.cnf.xml"), Lookup::Absent)
    });
    site.until("all was told", |site| {
        site.heard.settled.load(Ordering::SeqCst) >= 2
    });
    let told: BTreeMap<_, _> = site
        .heard
        .take()
        .into_iter()
        .map(|change| (change.name.to_string(), change.state))
        .collect();
    // Its name goes where those are that never were: nobody can tell the two apart.
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(matches!(told["sep000000000001.cnf.xml"], State::Forgotten));
}

#[test]
fn a_trust_list_of_one_device_on_disk_goes_before_the_pattern() {
    let mut site = Site::new();
    site.import(&devices("SEP00AABBCCDDEE,7941,sccp,1001,hq,Desk\n"));
    site.write("CTLSEP00AABBCCDDEE.tlv", "list");
    site.start();
    assert_eq!(site.found("CTLSEP00AABBCCDDEE.tlv").bytes, "list");
    assert!(matches!(
        site.lookup("CTLSEP00AABBCCDDEF.tlv"),
        Lookup::Absent
    ));
}

#[test]
fn a_trust_list_that_must_not_be_served_is_not_left_to_the_pattern() {
    let mut site = Site::new();
    fs::create_dir(site.root().join("CTLSEP00AABBCCDDEE.tlv")).unwrap();
    site.start();
    let told = |site: &Site| {
        let mut changes = site.heard.take().into_iter();
        changes.find(|change| &*change.name == "ctlsep00aabbccddee.tlv")
    };
    let refused = told(&site).expect("the kernel is told to leave it");
    assert!(matches!(refused.state, State::OnDisk), "{refused:?}");
    assert!(matches!(
        site.lookup("CTLSEP00AABBCCDDEE.tlv"),
        Lookup::Refused
    ));
    fs::remove_dir(site.root().join("CTLSEP00AABBCCDDEE.tlv")).unwrap();
    site.until("the pattern answers again", |site| {
        told(site).is_some_and(|change| matches!(change.state, State::Forgotten))
    });
}
