//! Start and end of the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tftp_edge::misses::Misses;
use tftp_edge::tftp::sources::Sources;
use tftp_edge::tftp::{Server, Settings, StartError};

use crate::site::{Files, Phone, Site, rrq};
use crate::wire::site_with;

#[test]
fn the_server_stops_promptly_and_gives_its_port_back() {
    let site = site_with(&[("f", 5000)]);
    let address = site.v4();
    Phone::new().ask(address, &rrq("f", b""));
    let started = Instant::now();
    site.server.shutdown();
    // Not when the transfer that runs is given up, half a minute later.
    assert!(started.elapsed() < Duration::from_secs(10));
    std::net::UdpSocket::bind(address).expect("the port is free again");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_its_owner() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = start_error(address);
    assert!(matches!(error, StartError::Taken { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&format!("(pid {})", std::process::id())),
        "{text}"
    );
    assert!(text.contains(&address.to_string()), "{text}");
}

#[test]
fn a_second_server_does_not_share_the_port() {
    let site = Site::start();
    assert!(matches!(start_error(site.v4()), StartError::Taken { .. }));
}

#[test]
fn a_setting_that_cannot_be_is_named() {
    let settings = Settings {
        windowsize: 0,
        ..Site::settings()
    };
    assert_eq!(
        start(&settings).to_string(),
        "[tftp] windowsize: must be at least 1"
    );
}

fn start_error(address: SocketAddr) -> StartError {
    start(&Settings {
        listen: vec![address],
        ..Settings::default()
    })
}

fn start(settings: &Settings) -> StartError {
    let result = Server::start(
        settings,
        Default::default(),
        Arc::<Files>::default(),
        Default::default(),
        Arc::new(Sources::new(&settings.budget)),
        Arc::new(Misses::new(&settings.budget, None)),
        Default::default(),
    );
    result.err().expect("the server must not start")
}
