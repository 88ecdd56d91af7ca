//! Devices whose provisioning window is closed here, while another server has their files.

use tftp_ebpf::stage::Stage;
use tftp_edge::content::Catalog as _;

use crate::edge::{CLIENT, DEVICE, Edge, Got, Told, settings};
use crate::servers::{Other, ok, status};

/// Nobody knows it, here or there.
const UNKNOWN: &str = "SEP001B54AA0002";

/// Has everything of [`DEVICE`].
fn with_its_files() -> Other {
    Other::http(|path, stream| match path.contains(DEVICE) {
        true => ok(stream, b"theirs"),
        false => status(stream, "404 Not Found"),
    })
}

fn files(device: &str) -> [String; 3] {
    let config = format!("{device}.cnf.xml");
    [format!("{config}.sgn"), format!("CTL{device}.tlv"), config]
}

#[test]
fn what_another_server_has_of_a_closed_device_is_given_to_nobody() {
    let other = with_its_files();
    let edge = Edge::closed(settings(&[other.url()]));
    for (closed, unknown) in files(DEVICE).iter().zip(files(UNKNOWN)) {
        let asked = other.asked();
        assert_eq!(edge.get(closed), Got::Absent, "{closed}");
        // Asked for like any other, so that the time it takes tells nothing.
        assert_eq!(other.asked(), asked + 1, "{closed}");
        assert_eq!(edge.get(&unknown), Got::Absent, "{unknown}");
        assert_eq!(edge.get_over_http(closed, CLIENT), Got::Absent, "{closed}");
        assert_eq!(edge.get_over_http(&unknown, CLIENT), Got::Absent);
        assert_eq!(other.asked(), asked + 2, "{unknown}");
    }
    assert_eq!((edge.upstream().files, edge.upstream().absent), (0, 6));
}

#[test]
fn a_window_that_opens_or_closes_makes_what_was_fetched_void() {
    let other = with_its_files();
    let edge = Edge::closed(settings(&[other.url()]));
    let [signed, _, config] = files(DEVICE);
    assert_eq!(edge.get(&signed), Got::Absent);

    edge.open_until(Some(u32::MAX.into()));
    edge.until("ours is served", |edge| {
        matches!(edge.get_over_http(&config, CLIENT), Got::File(_))
    });
    assert_eq!(edge.get(&signed), Got::file("theirs"));
    assert_eq!(edge.get(&signed), Got::file("theirs"));
    edge.until("it is hot", |edge| {
        matches!(edge.told(&signed), Some(Told::Published(_)))
    });

    edge.open_until(None);
    edge.until("the kernel has it no more", |edge| {
        edge.told(&signed) == Some(Told::Forgotten)
    });
    for file in [&signed, &config] {
        assert_eq!(edge.get(file), Got::Absent, "{file}");
        assert_eq!(edge.get_over_http(file, CLIENT), Got::Absent, "{file}");
    }
}

#[test]
fn names_that_nobody_has_are_not_listed() {
    let other = with_its_files();
    let edge = Edge::closed(settings(&[other.url()]));
    for name in files(DEVICE).iter().chain(&files(UNKNOWN)) {
        edge.get(name);
    }
    assert_eq!(edge.library.names(Stage::Config), []);
    edge.open_until(Some(u32::MAX.into()));
    edge.until("it is listed", |edge| {
        let listed = edge.library.names(Stage::Config);
        listed
            .iter()
            .any(|name| **name == *format!("{DEVICE}.cnf.xml").to_lowercase())
    });
}
