//! What is answered to which request.

use std::time::Duration;

use tftp_ebpf::stage::Stage;
use tftp_edge::content::ByteSize;
use tftp_edge::http::{Refusal, Settings};
use tftp_edge::stats::{StageCounter, Unserved};

use crate::site::{Site, content, networks};

const CONFIG: &str = "SEP001122334455.cnf.xml";

#[test]
fn a_file_is_served_under_every_spelling_tftp_knows() {
    let site = Site::start(&[("German_Germany/Ring list.xml", b"<x/>")]);
    let mut client = site.connect();
    for path in [
        "/German_Germany/Ring%20list.xml",
        "/GERMAN_GERMANY/RING%20LIST.XML",
        "/German_Germany%5cRing%20list.xml",
        "/C:/German_Germany//Ring%20list.xml",
        "//german_germany/%52ing%20list.xml",
        "http://other:6970/German_Germany/Ring%20list.xml",
        "/German_Germany/Ring%20list.xml?anything",
    ] {
        let answer = client.get(path);
        assert_eq!(
            (answer.status, &*answer.body),
            (200, &b"<x/>"[..]),
            "{path}"
        );
    }
}

#[test]
fn a_file_comes_with_what_a_phone_and_a_proxy_need_to_know() {
    let site = Site::start(&[("a.xml", b"<x/>"), ("b.sbn", b"image")]);
    let answer = site.get("/a.xml");
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert_eq!(answer.header("content-length"), Some("4"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    assert!(answer.header("etag").is_some());
    assert!(answer.header("date").is_some());
    let image = site.get("/b.sbn");
    assert_eq!(
        image.header("content-type"),
        Some("application/octet-stream")
    );
}

#[test]
fn what_must_not_be_served_looks_like_what_is_not_there() {
    let site = Site::start(&[("folder/file", b"x"), ("folder/.hidden", b"secret")]);
    let without_date = |path: &str| {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.body.len()), (404, 0), "{path}");
        let lines = answer.head.lines().filter(|line| !line.starts_with("date"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let absent = without_date("/nothing");
    for path in [
        "/",
        "/folder",
        "/folder/.hidden",
        "/../inventory.db",
        "/%2e%2e/inventory.db",
        "/folder/%00file",
        "/folder/%",
        "/folder/%zzfile",
        "/folder/%c3%28",
        "http://x/%2e%2e/inventory.db",
        "/ConfigFileCacheList.txt",
        &format!("/{}", "x".repeat(1000)),
    ] {
        assert_eq!(without_date(path), absent, "{path}");
    }
    // Each connection was counted as what its name is for.
    assert_eq!(site.stage(Stage::Other, StageCounter::NotFound), 13);
}

#[test]
fn a_head_is_the_answer_to_a_get_without_the_file() {
    let file = content(300_000);
    let site = Site::start(&[("a.bin", &file)]);
    let mut client = site.connect();
    let head = client.ask("HEAD", "/a.bin", &[]);
    let get = client.get("/a.bin");
    let lines = |head: &str| {
        let lines = head.lines().filter(|line| !line.starts_with("date"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&head.head), lines(&get.head));
    assert_eq!(get.body, file);
}

#[test]
fn only_get_and_head_are_answered() {
    let site = Site::start(&[("a.xml", b"<x/>")]);
    for method in ["PUT", "POST", "DELETE", "OPTIONS", "PROPFIND"] {
        let answer = site.connect().ask(method, "/a.xml", &["Content-Length: 0"]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
    site.wait_for_refusal(Refusal::Method, 5);
}

#[test]
fn a_connection_serves_many_requests_in_http_1_0_and_1_1() {
    let site = Site::start(&[("a.xml", b"<a/>"), ("b.xml", b"<b/>")]);
    let mut client = site.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/a.xml").body, b"<a/>");
        assert_eq!(client.get("/missing").status, 404);
        assert_eq!(client.ask("HEAD", "/b.xml", &[]).status, 200);
    }
    // Two at once.
    client.send("GET /a.xml HTTP/1.1\r\nHost: x\r\n\r\nGET /b.xml HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.answer(true).unwrap().body, b"<a/>");
    assert_eq!(client.answer(true).unwrap().body, b"<b/>");

    let mut old = site.connect();
    for _ in 0..2 {
        old.send("GET /a.xml HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let answer = old.answer(true).unwrap();
        assert_eq!(answer.body, b"<a/>");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    old.send("GET /a.xml HTTP/1.0\r\n\r\n");
    assert_eq!(old.answer(true).unwrap().body, b"<a/>");
    old.expect_end();
}

#[test]
fn a_client_that_sends_nothing_more_still_gets_its_answer() {
    let site = Site::start(&[("a.xml", b"<a/>")]);
    let mut client = site.connect();
    client.send("GET /a.xml HTTP/1.1\r\nHost: x\r\n\r\n");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.answer(true).unwrap().body, b"<a/>");
    client.expect_end();
}

#[test]
fn the_tag_of_a_file_changes_with_its_content_and_comes_back_with_it() {
    let site = Site::start(&[("a.xml", b"<one/>")]);
    let tag = || site.get("/a.xml").header("etag").unwrap().to_owned();
    let one = tag();
    site.replace("a.xml", b"<two/>");
    site.wait_for_content("/a.xml", b"<two/>");
    let two = tag();
    assert_ne!(one, two);
    site.replace("a.xml", b"<one/>");
    site.wait_for_content("/a.xml", b"<one/>");
    assert_eq!(tag(), one);

    let if_none_match = |tag: &str| {
        let header = format!("If-None-Match: {tag}");
        site.connect().ask("GET", "/a.xml", &[&header])
    };
    let unchanged = if_none_match(&one);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), Some(&*one));
    assert_eq!(if_none_match(&two).status, 200);
}

#[test]
fn a_transfer_keeps_the_version_it_began_with() {
    let (old, new) = (content(4 << 20), vec![7; 4 << 20]);
    let site = Site::start(&[("image.sbn", &old)]);
    assert_eq!(site.get("/image.sbn").body.len(), old.len(), "it is read");
    let mut slow = site.connect_from([127, 0, 0, 1], Some(4096));
    slow.send("GET /image.sbn HTTP/1.1\r\nHost: x\r\n\r\n");
    // It has begun, and most of it is still with the server.
    std::thread::sleep(Duration::from_millis(100));
    site.replace("image.sbn", &new);
    site.wait_for_content("/image.sbn", &new);
    assert!(slow.answer(true).unwrap().body == old, "two versions mixed");
}

#[test]
fn a_file_that_is_not_in_memory_is_waited_for() {
    let file = content(3 << 20);
    let site = Site::start(&[("big.sbn", &file)]);
    assert!(site.get("/big.sbn").body == file);
}

#[test]
fn a_file_there_is_no_room_for_sends_the_phone_to_tftp() {
    // Small files are always in memory.
    let (small, big) = (content(1 << 20), content(3 << 20));
    let files: [(&str, &[u8]); 3] = [("1.bin", &small), ("2.bin", &small), ("big.sbn", &big)];
    let site = Site::with(&files, |choice| {
        choice.content.memory_limit = ByteSize(4 << 20);
    });
    let answer = site.get("/big.sbn");
    assert_eq!((answer.status, answer.body.len()), (503, 0));
    site.wait_for_refusal(Refusal::NotReady, 1);
    let tally = &site.snapshot().traffic[0].tally;
    assert_eq!(tally.stage(Stage::Firmware, StageCounter::Requests), 1);
    assert_eq!(tally.outcome(Stage::Firmware, Unserved::Shed), 1);
}

#[test]
fn what_may_be_upstream_sends_a_phone_to_tftp_and_tells_another_edge_at_once() {
    let site = Site::with(&[], |choice| {
        // Nobody is there.
        choice.upstream.servers = vec!["http://127.0.0.1:1".parse().unwrap()];
    });
    let path = format!("/{CONFIG}");
    let phone = site.connect_from([127, 0, 0, 2], None).get(&path);
    assert_eq!(phone.status, 503);
    let mark = ["CDN-Loop: other.example, tftp-edge"];
    let mut edge = site.connect_from([127, 0, 0, 2], None);
    assert_eq!(edge.ask("GET", &path, &mark).status, 404);
}

#[test]
fn configurations_are_listed_to_whom_the_settings_name_and_to_nobody_else() {
    let files: [(&str, &[u8]); 3] = [
        (CONFIG, b"<device/>"),
        ("sepAABBCCDDEEFF.cnf.xml", b"<device/>"),
        ("dialplan.xml", b"<x/>"),
    ];
    let site = Site::with(&files, |choice| {
        choice.settings.config_list_allow = networks(&["127.0.0.2/32"]);
    });
    let path = "/ConfigFileCacheList.txt";
    let stranger = site.get(path);
    assert_eq!((stranger.status, stranger.body.len()), (404, 0));
    let named = site.connect_from([127, 0, 0, 2], None).get(path);
    assert_eq!(
        String::from_utf8(named.body).unwrap(),
        "SEP001122334455.cnf.xml\nSEPAABBCCDDEEFF.cnf.xml\n"
    );
    let mut other = Settings::clone(&site.settings.get());
    other.config_list_allow = networks(&["127.0.0.1/32"]);
    site.settings.set(other);
    assert_eq!(site.get(path).status, 200, "as the settings are now");
}

#[test]
fn what_was_sent_is_counted_by_stage() {
    let file = content(100_000);
    let site = Site::start(&[(CONFIG, &file)]);
    let mut client = site.connect();
    client.get(&format!("/{CONFIG}"));
    client.ask("HEAD", &format!("/{CONFIG}"), &[]);
    client.get("/SEP000000000000.cnf.xml");
    site.wait_for("complete", 2, |snapshot| {
        snapshot.traffic[0]
            .tally
            .stage(Stage::Config, StageCounter::Complete)
    });
    let count = |counter| site.stage(Stage::Config, counter);
    assert_eq!(count(StageCounter::Requests), 3);
    assert_eq!(count(StageCounter::NotFound), 1);
    assert_eq!(count(StageCounter::Aborted), 0);
    assert_eq!(count(StageCounter::Bytes), 100_000);
    let us: u64 = site.snapshot().traffic[0].tally.transfer_us[Stage::Config as usize]
        .iter()
        .sum();
    assert_eq!(us, 2, "a time for each that is complete");
    let traffic = &site.snapshot().traffic[0];
    let first: u64 = traffic.tally.first_byte_us[Stage::Config as usize]
        .iter()
        .sum();
    assert_eq!(first, 1, "a HEAD has no first byte");
    assert_eq!(traffic.in_progress, 0);
}
