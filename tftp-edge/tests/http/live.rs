//! Settings that change while the server runs.

use std::io::Read;
use std::time::{Duration, Instant};

use tftp_edge::http::Refusal;

use crate::site::{PATIENCE, Site, content, networks};

#[test]
fn bounds_on_connections_may_change_while_there_are_some() {
    let site = Site::start(&[("a.xml", b"<a/>")]);
    let mut held = site.connect();
    assert_eq!(held.get("/a.xml").status, 200);
    site.reload(|settings| settings.max_connections = 1);
    assert_eq!(site.get("/a.xml").status, 503);
    site.wait_for_refusal(Refusal::Connections, 1);
    site.reload(|settings| {
        settings.max_connections = 100;
        settings.max_connections_per_source = 1;
    });
    assert_eq!(site.get("/a.xml").status, 503);
    site.wait_for_refusal(Refusal::SourceConnections, 1);
    site.reload(|settings| settings.max_connections_per_source = 100);
    assert_eq!(site.get("/a.xml").status, 200);
    assert_eq!(held.get("/a.xml").status, 200, "it was never disturbed");
}

#[test]
fn connections_go_by_the_times_of_the_moment_in_which_they_came() {
    let file = content(8 << 20);
    let site = Site::with(&[("image.sbn", &file)], |choice| {
        choice.settings.request_timeout_s = 600;
        choice.settings.write_timeout_s = 600;
    });
    site.reload(|settings| settings.request_timeout_s = 1);
    site.connect().expect_end();
    site.wait_for_refusal(Refusal::Idle, 1);

    site.reload(|settings| settings.write_timeout_s = 1);
    let mut slow = site.connect_from([127, 0, 0, 1], Some(4096));
    slow.send("GET /image.sbn HTTP/1.1\r\nHost: x\r\n\r\n");
    let deadline = Instant::now() + PATIENCE;
    while site.snapshot().traffic[0].refused(Refusal::SlowReader) == 0 {
        assert!(Instant::now() < deadline, "it is waited for");
        let _ = slow.stream.read(&mut [0]);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn who_is_served_may_change_at_any_time() {
    let site = Site::start(&[("a.xml", b"<a/>")]);
    assert_eq!(site.get("/a.xml").status, 200);
    let allow = networks(&["127.0.0.2/32"]);
    site.access.set(allow);
    site.connect().expect_end();
    site.wait_for_refusal(Refusal::Denied, 1);
    let known = site.connect_from([127, 0, 0, 2], None).get("/a.xml");
    assert_eq!(known.status, 200);
}
