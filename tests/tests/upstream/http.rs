//! Over HTTP.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tftp_edge::alarms::AlarmKind;
use tftp_edge::content::ByteSize;
use tftp_edge::content::upstream::{BudgetSettings, Settings};
use tftp_edge_tests::client::Request;
use tftp_edge_tests::rig::content;

use crate::edge::{DEVICE, Edge, Got, Told, got, settings};
use crate::servers::{Other, ok, status};

#[test]
fn a_name_that_is_not_here_is_fetched() {
    let other = Other::http(|path, stream| ok(stream, path.as_bytes()));
    let edge = Edge::behind(&[other.url()]);
    let path = "/German_Germany/mk%20sip.jar";
    assert_eq!(edge.get("\\German_Germany\\mk sip.jar"), Got::file(path));
    let request = other.requests().remove(0).to_lowercase();
    assert!(
        request.starts_with("get /german_germany/mk%20sip.jar http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\ncdn-loop: tftp-edge\r\n"), "{request}");
    // In any spelling, from memory.
    assert_eq!(edge.get("german_germany/MK SIP.JAR"), Got::file(path));
    assert_eq!((other.asked(), edge.upstream().files), (1, 1));
}

#[test]
fn what_is_here_is_not_asked_for() {
    let other = Other::http(|_, stream| ok(stream, b"theirs"));
    let edge = Edge::behind(&[other.url()]);
    edge.put("own.txt", b"ours");
    assert_eq!(edge.get("own.txt"), Got::file("ours"));
    assert!(matches!(edge.get("SIPDefault.cnf"), Got::File(_)));
    assert!(matches!(
        edge.get(&format!("{DEVICE}.cnf.xml")),
        Got::File(_)
    ));
    assert_eq!(other.asked(), 0);

    edge.put("later.txt", b"ours");
    edge.remove("later.txt");
    edge.until("theirs is served", |edge| {
        edge.get("later.txt") == Got::file("theirs")
    });
    edge.put("later.txt", b"ours again");
    assert_eq!(edge.get("later.txt"), Got::file("ours again"));
}

#[test]
fn two_hundred_clients_at_once_are_one_request_upstream() {
    let other = Other::http(|_, stream| {
        thread::sleep(Duration::from_millis(400));
        ok(stream, &content(20_000))
    });
    let edge = Edge::with(Settings {
        timeout_ms: 5000,
        ..settings(&[other.url()])
    });
    thread::scope(|scope| {
        let clients: Vec<_> = (0..200)
            .map(|_| scope.spawn(|| edge.get("Ringlist.xml")))
            .collect();
        for client in clients {
            assert_eq!(client.join().unwrap(), Got::File(content(20_000)));
        }
    });
    assert_eq!(other.asked(), 1);
}

#[test]
fn nothing_that_is_not_whole_and_plain_is_served() {
    type Write = fn(&mut std::net::TcpStream) -> std::io::Result<()>;
    let cases: [(&str, Write, &str, Got); 14] = [
        (
            "shorter than it says",
            |s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
            "broken",
            Got::Silence,
        ),
        (
            "longer than it says",
            |s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf of it"),
            "broken",
            Got::Silence,
        ),
        (
            "longer than it says, a little later",
            |s| {
                s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf")?;
                thread::sleep(Duration::from_millis(50));
                s.write_all(b" of it")
            },
            "broken",
            Got::Silence,
        ),
        (
            "a chunk is missing",
            |s| s.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
            "broken",
            Got::Silence,
        ),
        (
            "two lengths",
            |s| {
                s.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 9\r\n\r\nhalf of it",
                )
            },
            "broken",
            Got::Silence,
        ),
        (
            "no length",
            |s| s.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf?"),
            "broken",
            Got::Silence,
        ),
        (
            "no HTTP",
            |s| s.write_all(b"220 smtp.example.com ESMTP\r\n"),
            "broken",
            Got::Silence,
        ),
        (
            "endless headers",
            |s| {
                s.write_all(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    s.write_all(b"X-Header: and so on\r\n")?;
                }
            },
            "broken",
            Got::Silence,
        ),
        (
            "a part",
            |s| s.write_all(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\nhalf"),
            "wrong_type",
            Got::Absent,
        ),
        (
            "compressed",
            |s| {
                s.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nz",
                )
            },
            "wrong_type",
            Got::Absent,
        ),
        (
            "an error page",
            |s| {
                s.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<b/>",
                )
            },
            "wrong_type",
            Got::Absent,
        ),
        (
            "elsewhere",
            |s| s.write_all(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"),
            "redirect",
            Got::Absent,
        ),
        (
            "forbidden",
            |s| status(s, "403 Forbidden"),
            "forbidden",
            Got::Absent,
        ),
        (
            "too large",
            |s| s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx"),
            "too_large",
            Got::Absent,
        ),
    ];
    let check = |what, write: Write, outcome, expected| {
        let other = Other::http(move |_, stream| write(stream));
        let edge = Edge::behind(&[other.url()]);
        assert_eq!(edge.get("file.txt"), expected, "{what}");
        assert_eq!(edge.outcomes(outcome), 1, "{what}: {:?}", edge.upstream());
        assert_eq!((edge.upstream().files, other.asked()), (0, 1), "{what}");
    };
    thread::scope(|scope| {
        for (what, write, outcome, expected) in cases {
            scope.spawn(move || check(what, write, outcome, expected));
        }
    });
}

#[test]
fn a_server_that_does_not_hang_up_is_not_waited_for() {
    let other = Other::http(|_, stream| {
        ok(stream, b"whole")?;
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let edge = Edge::behind(&[other.url()]);
    let began = Instant::now();
    assert_eq!(edge.get("file.txt"), Got::file("whole"));
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn an_endless_body_and_a_drip_are_cut_off() {
    let other = Other::http(|path, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            if path == "/drip" {
                stream.write_all(b"1\r\nx\r\n")?;
                thread::sleep(Duration::from_millis(50));
            } else {
                stream.write_all(b"1000\r\n")?;
                stream.write_all(&[b'x'; 0x1000])?;
                stream.write_all(b"\r\n")?;
            }
        }
    });
    let edge = Edge::with(Settings {
        max_file: ByteSize(1 << 20),
        ..settings(&[other.url()])
    });
    assert_eq!(edge.get("endless"), Got::Absent);
    assert_eq!(edge.outcomes("too_large"), 1);
    assert_eq!(edge.get("drip"), Got::Silence);
    edge.until("it is cut off", |edge| edge.outcomes("timeout") == 1);
    assert_eq!(edge.upstream().in_flight, 0);
}

#[test]
fn servers_are_asked_in_turn_and_all_must_deny() {
    let has = Other::http(|path, stream| match path {
        "/here" => ok(stream, b"second"),
        _ => status(stream, "404 Not Found"),
    });
    let first = Other::http(|_, stream| status(stream, "404 Not Found"));
    let edge = Edge::behind(&[first.url(), has.url()]);
    assert_eq!(edge.get("here"), Got::file("second"));
    assert_eq!(edge.get("nowhere"), Got::Absent);
    assert_eq!((first.asked(), has.asked()), (2, 2));
    // And that is remembered.
    assert_eq!(edge.get("nowhere"), Got::Absent);
    assert_eq!((first.asked(), has.asked()), (2, 2));
    assert_eq!(edge.upstream().absent, 1);
}

#[test]
fn a_server_that_is_down_is_skipped_and_those_behind_it_are_asked() {
    let down = {
        let listener = TcpListener::bind("127.0.0.9:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let up = Other::http(|path, stream| match path {
        "/nowhere" => status(stream, "404 Not Found"),
        _ => ok(stream, b"second"),
    });
    let edge = Edge::behind(&[down, up.url()]);
    assert_eq!(edge.get("one"), Got::file("second"));
    assert_eq!(edge.get("two"), Got::file("second"));
    assert_eq!(
        (edge.outcomes("unreachable"), edge.outcomes("skipped")),
        (1, 1)
    );
    assert_eq!(edge.alarms.count(AlarmKind::Upstream), 1);
    // One cannot say, but the other does.
    assert_eq!(edge.get("nowhere"), Got::Absent);
}

#[test]
fn without_an_answer_a_configuration_is_not_denied_and_the_boot_goes_on_without_a_ring_list() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let other = Other::http(move |_, stream| match up.load(Ordering::SeqCst) {
        true => ok(stream, b"theirs"),
        false => status(stream, "503 Service Unavailable"),
    });
    let edge = Edge::behind(&[other.url()]);
    // Told that there is none, the phone would register as an unknown one.
    assert_eq!(edge.get("SEP0011223344FF.cnf.xml"), Got::Silence);
    assert_eq!(edge.get("Ringlist.xml"), Got::Absent);
    assert_eq!(edge.get(&format!("CTL{DEVICE}.tlv")), Got::Absent);
    assert_eq!(edge.alarms.count(AlarmKind::Upstream), 1);
    // It was left alone, but for the tries after a while.
    assert!(other.asked() <= 2, "{}", other.asked());
    assert_eq!(
        edge.told(&format!("CTL{DEVICE}.tlv")),
        None,
        "the kernel knows nothing"
    );

    is_up.store(true, Ordering::SeqCst);
    edge.until("it is asked again", |edge| {
        edge.get("Ringlist.xml") == Got::file("theirs")
    });
    assert_eq!(edge.alarms.count(AlarmKind::Upstream), 0);
}

#[test]
fn a_server_that_keeps_silent_does_not_hold_up_the_others() {
    let silent = Other::http(|_, _| {
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let up = Other::http(|_, stream| ok(stream, b"second"));
    let edge = Edge::behind(&[silent.url(), up.url()]);
    let began = Instant::now();
    assert_eq!(edge.get("one"), Got::file("second"));
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(edge.outcomes("timeout"), 1);
}

#[test]
fn invented_names_are_asked_for_so_often_and_no_more() {
    let other = Other::http(|path, stream| match path {
        "/real" => ok(stream, b"real"),
        _ => status(stream, "404 Not Found"),
    });
    let edge = Edge::with(Settings {
        budget: BudgetSettings {
            burst: 100,
            per_second: 0,
            source_burst: 5,
            source_per_second: 0,
        },
        ..settings(&[other.url()])
    });
    thread::scope(|scope| {
        for number in 0..40 {
            let edge = &edge;
            scope.spawn(move || edge.get(&format!("invented{number}")));
        }
    });
    assert_eq!(other.asked(), 5);
    assert!(
        edge.upstream().over_source_budget >= 35,
        "{:?}",
        edge.upstream()
    );
    // Of what phones can do without, that is a no.
    assert_eq!(edge.get("Ringlist.xml"), Got::Absent);
    assert_eq!(other.asked(), 5);
    // Another source has a budget of its own, which what is found does not use up.
    let client = "127.0.0.2".parse().unwrap();
    for spelling in ["real", "invented1", "invented2"] {
        let fetched = edge.fetch(Request::plain(spelling), client);
        let expected = match spelling {
            "real" => Got::file("real"),
            _ => Got::Absent,
        };
        assert_eq!(got(&fetched), expected, "{spelling}");
    }
}

#[test]
fn so_many_fetches_run_at_one_time_and_the_others_wait_their_turn() {
    let other = Other::http(|path, stream| {
        thread::sleep(Duration::from_millis(60));
        ok(stream, path.as_bytes())
    });
    let edge = Edge::with(Settings {
        max_fetches: 3,
        timeout_ms: 5000,
        ..settings(&[other.url()])
    });
    thread::scope(|scope| {
        let get = |number| edge.get(&format!("file{number}"));
        let clients: Vec<_> = (0..20)
            .map(|number| scope.spawn(move || get(number)))
            .collect();
        for (number, client) in clients.into_iter().enumerate() {
            assert_eq!(client.join().unwrap(), Got::file(format!("/file{number}")));
        }
    });
    assert_eq!((other.asked(), other.most_at_once()), (20, 3));
}

#[test]
fn only_names_that_match_are_asked_for() {
    let other = Other::http(|_, stream| ok(stream, b"theirs"));
    let edge = Edge::with(Settings {
        names: vec!["*.XML".into(), "*.tlv".into()],
        except: vec!["itl*".into()],
        ..settings(&[other.url()])
    });
    assert_eq!(edge.get("Ringlist.xml"), Got::file("theirs"));
    assert_eq!(edge.get("firmware.bin"), Got::Absent);
    assert_eq!(edge.get("ITLFile.tlv"), Got::Absent);
    // The kernel may say so.
    assert_eq!(edge.told("itlfile.tlv"), Some(Told::Absent));
    assert_eq!(edge.told("ctlfile.tlv"), None);
    assert_eq!(other.asked(), 1);
}

#[test]
fn the_longest_unused_makes_room() {
    let other = Other::http(|_, stream| ok(stream, &content(400)));
    let edge = Edge::with(Settings {
        max_file: ByteSize(1000),
        memory_limit: ByteSize(1000),
        ..settings(&[other.url()])
    });
    for (name, asked) in [("a", 1), ("b", 2), ("a", 2), ("c", 3), ("a", 3), ("b", 4)] {
        thread::sleep(Duration::from_millis(5));
        assert_eq!(edge.get(name), Got::File(content(400)));
        assert_eq!(other.asked(), asked, "{name}");
        assert!(edge.upstream().bytes <= 1000);
    }
}
