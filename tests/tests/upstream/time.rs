//! How long what came from upstream holds, and what the kernel hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tftp_edge::content::upstream::Settings;

use crate::edge::{DEVICE, Edge, Got, Told, settings};
use crate::servers::{Other, ok, status};

/// A server with one version after the other: 0 is "not now", 1 "not found".
fn versions() -> (Other, Arc<AtomicUsize>) {
    let version = Arc::new(AtomicUsize::new(2));
    let now = version.clone();
    let other = Other::http(move |_, stream| match now.load(Ordering::SeqCst) {
        0 => status(stream, "503 Service Unavailable"),
        1 => status(stream, "404 Not Found"),
        version => ok(stream, format!("version {version}").as_bytes()),
    });
    (other, version)
}

fn short(other: &Other) -> Settings {
    Settings {
        lifetime_s: 2,
        negative_lifetime_s: 2,
        ..settings(&[other.url()])
    }
}

const LIFETIME: Duration = Duration::from_millis(2050);

fn version(number: usize) -> Got {
    Got::File(format!("version {number}").into_bytes())
}

#[test]
fn after_its_lifetime_a_file_is_asked_for_anew() {
    let (other, now) = versions();
    let edge = Edge::with(short(&other));
    assert_eq!(edge.get("file.txt"), version(2));
    now.store(3, Ordering::SeqCst);
    assert_eq!(edge.get("file.txt"), version(2));
    assert_eq!(other.asked(), 1);
    thread::sleep(LIFETIME);
    assert_eq!(edge.get("file.txt"), version(3));
    now.store(1, Ordering::SeqCst);
    thread::sleep(LIFETIME);
    assert_eq!(edge.get("file.txt"), Got::Absent);
    assert_eq!((other.asked(), edge.upstream().files), (3, 0));
}

#[test]
fn that_a_name_is_nowhere_holds_for_a_while_and_for_its_spelling() {
    let (other, now) = versions();
    now.store(1, Ordering::SeqCst);
    let edge = Edge::with(Settings {
        negative_lifetime_s: 3,
        ..short(&other)
    });
    for name in ["RINGLIST.xml", "RINGLIST.xml", "/RINGLIST.xml"] {
        assert_eq!(edge.get(name), Got::Absent);
    }
    assert_eq!(other.asked(), 1);
    // Another client, with the right spelling, is not to suffer for it.
    now.store(2, Ordering::SeqCst);
    assert_eq!(edge.get("Ringlist.xml"), version(2));
    assert_eq!(edge.get("RINGLIST.xml"), version(2));

    now.store(1, Ordering::SeqCst);
    assert_eq!(edge.get("other.txt"), Got::Absent);
    now.store(2, Ordering::SeqCst);
    assert_eq!(edge.get("other.txt"), Got::Absent);
    edge.until("it is asked for again", |edge| {
        edge.get("other.txt") == version(2)
    });
}

#[test]
fn an_old_version_is_served_while_upstream_is_down_but_not_for_ever() {
    let (other, now) = versions();
    let edge = Edge::with(Settings {
        stale_s: 4,
        ..short(&other)
    });
    assert_eq!(edge.get("file.txt"), version(2));
    now.store(0, Ordering::SeqCst);
    thread::sleep(LIFETIME);
    for _ in 0..3 {
        assert_eq!(edge.get("file.txt"), version(2));
    }
    assert!(other.asked() <= 3, "{}", other.asked());
    thread::sleep(Duration::from_secs(4));
    assert_eq!(edge.get("file.txt"), Got::Silence);
    assert_eq!(edge.upstream().files, 0);
}

#[test]
fn the_kernel_has_a_file_from_the_second_request_to_the_end_of_its_lifetime() {
    let (other, now) = versions();
    let edge = Edge::with(short(&other));
    let told = |what: Told| move |edge: &Edge| edge.told("file.txt") == Some(what.clone());
    let published = |text: &'static str| told(Told::Published(Bytes::from_static(text.as_bytes())));
    assert_eq!(edge.get("file.txt"), version(2));
    thread::sleep(Duration::from_millis(100));
    assert_eq!(edge.told("file.txt"), None, "asked for once");
    assert_eq!(edge.get("file.txt"), version(2));
    edge.until("it is published", published("version 2"));
    now.store(3, Ordering::SeqCst);
    edge.until("it is withdrawn", told(Told::Forgotten));
    // It was hot before.
    assert_eq!(edge.get("file.txt"), version(3));
    edge.until("the new version is published", published("version 3"));
}

#[test]
fn the_kernel_hears_no_from_us_only_after_upstream_has_said_no() {
    let (other, now) = versions();
    now.store(1, Ordering::SeqCst);
    let edge = Edge::with(short(&other));
    let trust_list = format!("CTL{DEVICE}.tlv");
    assert_eq!(edge.told(&trust_list), None);
    assert_eq!(edge.get(&trust_list), Got::Absent);
    edge.until("it is absent", |edge| {
        edge.told(&trust_list) == Some(Told::Absent)
    });
    edge.until("that ends", |edge| {
        edge.told(&trust_list) == Some(Told::Forgotten)
    });
    // An invented name is worth no place there, nor is a spelling no phone uses.
    for name in ["invented", "ringlist.XML", &trust_list.to_lowercase()] {
        assert_eq!(edge.get(name), Got::Absent);
        assert_ne!(edge.told(name), Some(Told::Absent), "{name}");
    }
}
