//! Edges that name each other.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use tftp_edge::content::upstream::Settings;
use tftp_edge_tests::client::Request;

use crate::edge::{CLIENT, Edge, Got, got, settings};
use crate::servers::{Other, ok};

/// Two addresses nobody listens to, neither over TFTP nor over HTTP.
fn two_addresses() -> [String; 2] {
    ["127.0.0.1:0", "127.0.0.2:0"].map(|any| {
        let free = std::iter::repeat_with(|| UdpSocket::bind(any).unwrap().local_addr().unwrap());
        let mut free = free.filter(|address| TcpListener::bind(address).is_ok());
        free.next().unwrap().to_string()
    })
}

#[test]
fn two_edges_that_name_each_other_end_in_absent() {
    let [one, other] = two_addresses();
    let patient = |server: String| Settings {
        timeout_ms: 60_000,
        ..settings(&[server])
    };
    let first = Edge::at(&one, patient(format!("tftp://{other}")));
    let second = Edge::at(&other, patient(format!("tftp://{one}")));
    let client = "127.0.0.5".parse().unwrap();
    let began = Instant::now();
    for edge in [&first, &second] {
        let fetched = edge.fetch(Request::plain("nowhere"), client);
        assert_eq!(got(&fetched), Got::Absent);
        assert_eq!(edge.outcomes("not_found"), 1);
    }
    // Not when both have waited for each other.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    // What one of them has, clients of the other get.
    second.put("second.txt", b"second's");
    let fetched = first.fetch(Request::plain("second.txt"), client);
    assert_eq!(got(&fetched), Got::file("second's"));
}

#[test]
fn nor_over_http_do_they_ask_for_ever() {
    let [one, other] = two_addresses();
    let first = Edge::at(&one, settings(&[format!("http://{other}")]));
    let second = Edge::at(&other, settings(&[format!("http://{one}")]));
    let client = "127.0.0.5".parse().unwrap();
    for edge in [&first, &second] {
        assert_eq!(edge.get_over_http("nowhere", client), Got::Absent);
        assert_eq!(edge.outcomes("not_found"), 1);
    }
    second.put("second.txt", b"second's");
    let fetched = first.get_over_http("second.txt", client);
    assert_eq!(fetched, Got::file("second's"));
    // A copy is for clients alone: from the address of an upstream server it is not given on.
    let server = other.parse::<SocketAddr>().unwrap().ip();
    assert_eq!(first.get_over_http("second.txt", server), Got::Absent);
}

#[test]
fn what_was_fetched_is_for_our_own_clients() {
    let origin = Other::http(|_, stream| ok(stream, b"theirs"));
    let edge = Edge::behind(&[origin.url()]);
    assert_eq!(edge.get("file.txt"), Got::file("theirs"));
    let marked = |name: &'static str, tail| Request {
        tail,
        ..Request::plain(name)
    };
    let forwarded = edge.fetch(marked("file.txt", b"CDN-Loop\0tftp-edge\0"), CLIENT);
    assert_eq!(got(&forwarded), Got::Absent);
    // From the address of a server that is asked, without a mark.
    let address = origin.address.ip();
    let forwarded = edge.fetch(Request::plain("other.txt"), address);
    assert_eq!(got(&forwarded), Got::Absent);
    assert_eq!(origin.asked(), 1);
    // What is here is for everyone.
    edge.put("own.txt", b"ours");
    let forwarded = edge.fetch(marked("own.txt", b"CDN-Loop\0tftp-edge\0"), address);
    assert_eq!(got(&forwarded), Got::file("ours"));
    let other = edge.fetch(marked("file.txt", b"CDN-Loop\0somebody\0"), CLIENT);
    assert_eq!(got(&other), Got::file("theirs"));
}

#[test]
fn a_deleted_file_does_not_live_on_between_two_edges() {
    let [one, other] = two_addresses();
    let short = |server: &str| Settings {
        lifetime_s: 1,
        ..settings(&[format!("tftp://{server}")])
    };
    let first = Edge::at(&one, short(&other));
    let second = Edge::at(&other, short(&one));
    let client = "127.0.0.5".parse().unwrap();
    second.put("file.txt", b"content");
    let get = |edge: &Edge| got(&edge.fetch(Request::plain("file.txt"), client));
    assert_eq!(get(&first), Got::file("content"));
    second.remove("file.txt");
    let began = Instant::now();
    while (get(&first), get(&second)) != (Got::Absent, Got::Absent) {
        assert!(began.elapsed() < Duration::from_secs(30), "it lives on");
        thread::sleep(Duration::from_millis(50));
    }
}
