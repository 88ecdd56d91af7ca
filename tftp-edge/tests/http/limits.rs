//! Nobody can hold the server up, and everyone who is sent away is counted.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tftp_ebpf::stage::Stage;
use tftp_edge::http::{Parts, Refusal, Scheme, Server, Settings};
use tftp_edge::misses::Miss;
use tftp_edge::stats::{StageCounter, Unserved};

use crate::site::{Choice, Site, content, networks};

/// Long enough that what takes a second has happened on a busy machine; without an end it would take
/// for ever.
const SOON: Duration = Duration::from_secs(20);

fn quick(choice: &mut Choice) {
    choice.settings.request_timeout_s = 1;
    choice.settings.write_timeout_s = 1;
}

#[test]
fn a_stranger_is_closed_without_a_word() {
    let site = Site::with(&[("a.xml", b"<a/>")], |choice| {
        choice.access = networks(&["127.0.0.2/32"]);
    });
    let mut stranger = site.connect();
    stranger.expect_end();
    site.wait_for_refusal(Refusal::Denied, 1);
    let known = site.connect_from([127, 0, 0, 2], None).get("/a.xml");
    assert_eq!(known.status, 200);
}

#[test]
fn who_comes_on_top_of_all_connections_gets_a_503_and_room_is_made_again() {
    let site = Site::with(&[("a.xml", b"<a/>")], |choice| {
        choice.settings.max_connections = 2;
    });
    let mut held = [site.connect(), site.connect()];
    for client in &mut held {
        assert_eq!(client.get("/a.xml").status, 200);
    }
    for _ in 0..3 {
        let mut over = site.connect();
        let answer = over.get("/a.xml");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("connection"), Some("close"));
        over.expect_end();
    }
    site.wait_for_refusal(Refusal::Connections, 3);
    let [first, mut second] = held;
    drop(first);
    site.wait_for("connections", 1, |snapshot| snapshot.traffic[0].connections);
    assert_eq!(site.get("/a.xml").status, 200);
    assert_eq!(second.get("/a.xml").status, 200, "it was never disturbed");
}

#[test]
fn one_source_cannot_take_the_connections_of_the_others() {
    let site = Site::with(&[("a.xml", b"<a/>")], |choice| {
        choice.settings.max_connections_per_source = 1;
    });
    let mut held = site.connect();
    assert_eq!(held.get("/a.xml").status, 200);
    assert_eq!(site.get("/a.xml").status, 503);
    site.wait_for_refusal(Refusal::SourceConnections, 1);
    let other = site.connect_from([127, 0, 0, 2], None).get("/a.xml");
    assert_eq!(other.status, 200);
}

#[test]
fn a_request_that_never_ends_is_ended() {
    let site = Site::with(&[("a.xml", b"<a/>")], quick);
    let mut slow = site.connect();
    let began = Instant::now();
    slow.send("GET /a.xml HTTP/1.1\r\nHost: x\r\n");
    let mut trickle = slow.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        while trickle.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    slow.expect_end();
    assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
    site.wait_for_refusal(Refusal::SlowRequest, 1);
    writer.join().unwrap();
    assert_eq!(site.get("/a.xml").status, 200);
}

#[test]
fn a_connection_that_asks_for_nothing_is_ended_from_the_start_and_between_requests() {
    let site = Site::with(&[("a.xml", b"<a/>")], quick);
    let mut silent = site.connect();
    let mut once = site.connect();
    assert_eq!(once.get("/a.xml").status, 200);
    silent.expect_end();
    once.expect_end();
    site.wait_for_refusal(Refusal::Idle, 2);
    site.wait_for("connections", 0, |snapshot| snapshot.traffic[0].connections);
}

#[test]
fn a_client_that_takes_next_to_nothing_is_ended() {
    let file = content(8 << 20);
    let site = Site::with(&[("image.sbn", &file)], quick);
    let mut slow = site.connect_from([127, 0, 0, 1], Some(4096));
    slow.send("GET /image.sbn HTTP/1.1\r\nHost: x\r\n\r\n");
    let began = Instant::now();
    let mut byte = [0];
    while slow.stream.read(&mut byte).is_ok_and(|read| read > 0) && began.elapsed() < SOON * 2 {
        // A byte now and then does not count as progress.
        std::thread::sleep(Duration::from_millis(20));
        if site.snapshot().traffic[0].refused(Refusal::SlowReader) > 0 {
            break;
        }
    }
    assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
    site.wait_for_refusal(Refusal::SlowReader, 1);
    site.wait_for("timed out", 1, |snapshot| {
        snapshot.traffic[0]
            .tally
            .outcome(Stage::Firmware, Unserved::TimedOut)
    });
    assert_eq!(site.stage(Stage::Firmware, StageCounter::Complete), 0);
}

#[test]
fn a_slow_line_gets_its_firmware_however_long_it_takes() {
    let file = content(4 << 20);
    let site = Site::with(&[("image.sbn", &file)], quick);
    let mut slow = site.connect_from([127, 0, 0, 1], Some(64 << 10));
    slow.send("GET /image.sbn HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let began = Instant::now();
    let (mut got, mut buffer) = (Vec::new(), [0; 32 << 10]);
    loop {
        let len = slow.stream.read(&mut buffer).unwrap();
        if len == 0 {
            break;
        }
        got.extend_from_slice(&buffer[..len]);
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(began.elapsed() > Duration::from_secs(2), "it was not slow");
    assert!(got.ends_with(&file), "{} bytes came", got.len());
    site.wait_for("complete", 1, |snapshot| {
        snapshot.traffic[0]
            .tally
            .stage(Stage::Firmware, StageCounter::Complete)
    });
}

#[test]
fn what_is_no_http_and_what_is_too_long_is_refused() {
    let site = Site::start(&[("a.xml", b"<a/>")]);
    for (request, status, refusal) in [
        ("nonsense\r\n\r\n".to_owned(), 400, Refusal::Malformed),
        // As HTTP/0.9 had it.
        ("GET /a.xml\r\n".to_owned(), 400, Refusal::Malformed),
        (
            "GET /a b c HTTP/1.1\r\n\r\n".to_owned(),
            400,
            Refusal::Malformed,
        ),
        (
            format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000)),
            414,
            Refusal::TooLarge,
        ),
        (
            format!(
                "GET /a.xml HTTP/1.1\r\n{}\r\n",
                "X-Header: value\r\n".repeat(100)
            ),
            431,
            Refusal::TooLarge,
        ),
    ] {
        let before = site.snapshot().traffic[0].refused(refusal);
        let mut client = site.connect();
        let _ = client.stream.write_all(request.as_bytes());
        let answer = client.answer(true);
        let got = answer.map(|answer| answer.status);
        let shown: String = request.chars().take(40).collect();
        // It is told when the client still reads.
        assert!(
            got.is_none_or(|got| got == status || got == 431),
            "{shown}: {got:?}"
        );
        site.wait_for_refusal(refusal, before + 1);
    }
    assert_eq!(site.get("/a.xml").status, 200);
}

#[test]
fn a_request_with_a_body_nobody_wants_costs_nothing() {
    let site = Site::start(&[("a.xml", b"<a/>")]);
    let mut client = site.connect();
    client.send("GET /a.xml HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(client.answer(true).unwrap().status, 200);
    client.expect_end();
}

#[test]
fn misses_over_http_and_tftp_are_one_budget_and_over_it_nothing_is_said() {
    let site = Site::with(&[("a.xml", b"<a/>")], |choice| {
        choice.budget.miss_burst = 3;
        choice.budget.miss_per_second = 1;
    });
    let mut client = site.connect();
    assert_eq!(client.get("/one.xml").status, 404);
    assert_eq!(client.get("/two.xml").status, 404);
    // The third is TFTP's.
    let source = client.source();
    let over_tftp = || site.misses.take(source, &Miss::Name, Instant::now());
    assert!(over_tftp().is_ok());
    client.send("GET /three.xml HTTP/1.1\r\nHost: x\r\n\r\n");
    client.expect_end();
    site.wait_for_refusal(Refusal::MissBudget, 1);
    assert!(over_tftp().is_err(), "nor over TFTP");
    // What is there is served all the same.
    assert_eq!(site.get("/a.xml").status, 200);
}

#[test]
fn a_source_that_was_served_has_proved_its_address_to_tftp() {
    let site = Site::start(&[("a.xml", b"<a/>")]);
    let mut client = site.connect();
    let source = client.source();
    assert!(!site.sources.is_known(source, Instant::now()));
    assert_eq!(client.get("/a.xml").status, 200);
    site.wait_for("complete", 1, |snapshot| {
        snapshot.traffic[0]
            .tally
            .stage(Stage::Other, StageCounter::Complete)
    });
    assert!(site.sources.is_known(source, Instant::now()));
}

#[test]
fn a_port_in_use_is_told_with_its_holder_and_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::start(&[]);
    let settings = Settings {
        listen: vec![address],
        ..Settings::default()
    };
    let parts = Parts {
        access: tftp_edge::live::Live::default(),
        catalog: site.library.clone(),
        sources: site.sources.clone(),
        misses: site.misses.clone(),
        alarms: site.alarms.clone(),
        journal: std::sync::Arc::default(),
        dscp: 24,
    };
    let Err(error) = Server::start(&settings, parts) else {
        panic!("it listens on a port that is taken");
    };
    let told = error.to_string();
    let pid = std::process::id();
    assert!(
        told.starts_with(&format!("TCP {address} is taken by ")),
        "{told}"
    );
    assert!(told.contains(&format!("(pid {pid})")), "{told}");
    assert!(
        told.ends_with("choose another address in http.listen, or set http.enabled = false"),
        "{told}"
    );
}

#[test]
fn an_address_that_does_not_exist_yet_is_no_error() {
    let site = Site::with(&[("a.xml", b"<a/>")], |choice| {
        // TEST-NET-3 (RFC 5737): on no interface.
        let later = "203.0.113.9:0".parse().unwrap();
        choice.settings.listen.push(later);
    });
    assert_eq!(site.server.local_addrs(Scheme::Http).len(), 2);
    assert_eq!(site.get("/a.xml").status, 200);
}
