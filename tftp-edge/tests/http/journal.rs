//! What the journal is told.

use std::time::{Duration, Instant};

use tftp_edge::http::Refusal;
use tftp_edge::inventory::DeviceName;
use tftp_edge::journal::{File, Outcome, What};
use tftp_edge::stats::Path;

use crate::site::{PATIENCE, Site, content};

const CONFIG: &str = "/SEP001122334455.cnf.xml";

/// The files of the phone, once there are so many that have ended.
fn files(site: &Site, ended: usize) -> Vec<File> {
    let device: DeviceName = "SEP001122334455".parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let phone = site.journal.phone(&device);
        let boots = phone.into_iter().flat_map(|phone| phone.boots);
        let files: Vec<_> = boots
            .flat_map(|boot| boot.entries)
            .filter_map(|entry| match entry.what {
                What::File(file) => Some(file),
                What::Fact(_) => None,
            })
            .collect();
        let is_over = |file: &&File| file.outcome != Outcome::Pending;
        if files.iter().filter(is_over).count() == ended {
            return files;
        }
        assert!(Instant::now() < deadline, "{files:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_phone_that_fetches_over_http_has_each_request_with_its_end() {
    let config = content(6_000);
    let site = Site::start(&[("SEP001122334455.cnf.xml", &config), ("a.loads", b"x")]);
    let mut client = site.connect();
    let etag = client.get(CONFIG).header("etag").unwrap().to_owned();
    client.ask("GET", "/A.loads", &[]);
    client.ask("HEAD", CONFIG, &[]);
    client.ask("GET", "/a.loads", &[&format!("If-Match: {etag}")]);
    client.get("/AppDialRules.xml");
    client.ask("GET", CONFIG, &[&format!("If-None-Match: {etag}")]);
    let files = files(&site, 6);
    let told = files.iter().map(|file| (&*file.name, file.outcome));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("sep001122334455.cnf.xml", Outcome::Complete),
            ("a.loads", Outcome::Complete),
            ("sep001122334455.cnf.xml", Outcome::Probe),
            ("a.loads", Outcome::Refused),
            ("appdialrules.xml", Outcome::Absent),
            ("sep001122334455.cnf.xml", Outcome::Complete),
        ]
    );
    assert_eq!(files[0].len_bytes, 6_000);
    assert!(files[0].generation.is_some() && files[0].generation == files[2].generation);
    assert!(files.iter().all(|file| file.path() == Path::Http));
}

#[test]
fn a_phone_that_goes_away_in_the_middle_has_not_got_its_file() {
    let image = content(4 << 20);
    let site = Site::start(&[("SEP001122334455.cnf.xml", b"<x/>"), ("a.sbn", &image)]);
    site.get(CONFIG);
    let mut client = site.connect_from([127, 0, 0, 1], Some(4 << 10));
    client.send("GET /a.sbn HTTP/1.1\r\nHost: x\r\n\r\n");
    let deadline = Instant::now() + PATIENCE;
    while files(&site, 1).len() < 2 {
        assert!(Instant::now() < deadline, "it is not asked for");
    }
    drop(client);
    assert_eq!(files(&site, 2)[1].outcome, Outcome::Aborted);
}

#[test]
fn one_that_takes_too_little_is_given_up() {
    let image = content(4 << 20);
    let files_of_site: [(&str, &[u8]); 2] =
        [("SEP001122334455.cnf.xml", b"<x/>"), ("a.sbn", &image)];
    let site = Site::with(&files_of_site, |choice| {
        choice.settings.write_timeout_s = 1;
    });
    site.get(CONFIG);
    let mut client = site.connect_from([127, 0, 0, 1], Some(4 << 10));
    client.send("GET /a.sbn HTTP/1.1\r\nHost: x\r\n\r\n");
    site.wait_for_refusal(Refusal::SlowReader, 1);
    assert_eq!(files(&site, 2)[1].outcome, Outcome::TimedOut);
}
