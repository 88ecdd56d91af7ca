//! Under which names a file is found, and which of two that have one.

use std::fs;

use tftp_ebpf::stage::Stage;

use super::site::{Site, devices};
use crate::content::{Change, Lookup, State};

#[test]
fn a_file_is_found_under_every_spelling_of_its_name() {
    let mut site = Site::new();
    site.write("RingList.xml", "rings");
    site.write("German_Germany/mk-sip.jar", "jar");
    site.start();
    for name in ["RINGLIST.XML", "/ringlist.xml", "C:\\RingList.xml"] {
        assert_eq!(site.found(name).bytes, "rings", "{name}");
    }
    let jar = site.found("german_germany\\MK-SIP.jar");
    assert_eq!(
        (&*jar.name, jar.stage),
        ("german_germany/mk-sip.jar", Stage::Locale)
    );
}

#[test]
fn names_without_a_normalised_form_are_refused_or_absent() {
    let mut site = Site::new();
    site.write(".hidden", "x");
    site.start();
    for name in ["../inventory.db", "a/../../b", ".hidden", "..\\x"] {
        assert!(matches!(site.lookup(name), Lookup::Refused), "{name}");
    }
    let long = "x".repeat(600);
    for name in ["", "/", "caf\u{e9}", "no such file", &long] {
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
}

#[test]
fn of_names_that_differ_in_case_each_answers_to_its_spelling() {
    let mut site = Site::new();
    site.write("RINGLIST.XML", "first");
    site.write("Ringlist.xml", "second");
    site.start();
    assert_eq!(site.found("RINGLIST.XML").bytes, "first");
    assert_eq!(site.found("/Ringlist.xml").bytes, "second");
    assert_eq!(site.found("ringlist.xml").bytes, "first");
    assert_eq!(site.library.as_ref().unwrap().counts().clashes, 1);
    // The kernel knows no spellings, so it is not given the name.
    let told = site.heard.take();
    let told: Vec<_> = told.iter().filter(|c| &*c.name == "ringlist.xml").collect();
    assert!(
        matches!(
            told[..],
            [Change {
                state: State::OnDisk,
                ..
            }]
        ),
        "{told:?}"
    );

    fs::remove_file(site.root().join("RINGLIST.XML")).unwrap();
    site.until_found("RINGLIST.XML", b"second");
    site.until("the name is given to the kernel", |site| {
        site.heard.take().iter().any(
            |change| matches!(&change.state, State::Published(version) if version.bytes == "second"),
        )
    });
}

#[test]
fn a_file_on_disk_goes_before_a_generated_one() {
    let mut site = Site::new();
    site.import(&devices("SEP00AABBCCDDEE,7941,sccp,1001,hq,Desk\n"));
    site.write("SEP00AABBCCDDEE.cnf.xml", "<mine/>");
    site.write("ITLFile.tlv", "list");
    site.start();
    assert_eq!(site.found("SEP00AABBCCDDEE.cnf.xml").bytes, "<mine/>");
    assert_eq!(site.found("itlfile.tlv").bytes, "list");

    fs::remove_file(site.root().join("SEP00AABBCCDDEE.cnf.xml")).unwrap();
    fs::remove_file(site.root().join("ITLFile.tlv")).unwrap();
    site.until("the generated one is back", |site| {
        site.found("SEP00AABBCCDDEE.cnf.xml")
            .bytes
            .starts_with(b"<?xml")
    });
    site.until("the list is absent again", |site| {
        matches!(site.lookup("itlfile.tlv"), Lookup::Absent)
    });
}

#[test]
fn the_ip_communicator_gets_what_others_get() {
    let mut site = Site::new();
    site.import(&devices("SEP00AABBCCDDEE,7941,sccp,1001,hq,Desk\n"));
    site.write("German_Germany/ipc-sccp.jar", "locale");
    site.write("Communicator/only-there.xml", "its own");
    site.write("Ringlist.xml", "one");
    site.write("RINGLIST.XML", "another");
    site.start();
    let same = |decorated: &str, plain: &str| {
        let bytes = site.found(decorated).bytes.clone();
        assert_eq!(bytes, site.found(plain).bytes, "{decorated}");
    };
    same(
        "Communicator\\SEP00AABBCCDDEE.cnf.xml",
        "SEP00AABBCCDDEE.cnf.xml",
    );
    same(
        "Communicator/German_Germany/ipc-sccp.jar",
        "german_germany/ipc-sccp.jar",
    );
    same("only-there.xml", "Communicator/only-there.xml");
    // Where the spelling decides, it does so behind the folder as well.
    same("\\Communicator\\Ringlist.xml", "Ringlist.xml");
    same("C:/Communicator/RINGLIST.XML", "RINGLIST.XML");
    assert_ne!(
        site.found("Ringlist.xml").bytes,
        site.found("RINGLIST.XML").bytes
    );
}
