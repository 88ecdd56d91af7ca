//! What the inventory says, over HTTP: who gets a default, and who gets a configuration.

use std::net::TcpListener;

use tftp_ebpf::stage::Stage;
use tftp_edge::content::Catalog as _;
use tftp_edge::inventory::{Store as _, Table};
use tftp_edge::stats::StageCounter;

use crate::site::{Choice, Client, Site, networks};

/// Of the inventory, and of nobody; written alike, so that only an answer can tell them apart.
const KNOWN: &str = "SEP001B54AA0001";
const UNKNOWN: &str = "SEP001B54AA0002";

fn add_known(choice: &Choice) {
    let columns = [("model", "7961"), ("protocol", "sip"), ("lines", "1001")];
    choice.set(Table::Devices, KNOWN, &columns);
}

/// All that a client sees of an answer, but for its date.
fn seen(mut client: Client, method: &str, path: &str) -> String {
    let answer = client.ask(method, path, &[]);
    let lines = answer.head.lines();
    let lines: Vec<_> = lines.filter(|line| !line.starts_with("date")).collect();
    lines.join("\n") + &String::from_utf8(answer.body).unwrap()
}

/// Each request to the known device looks as the same one to the unknown device does.
fn look_alike(site: &Site) {
    for (method, file) in [
        ("GET", "/{}.cnf.xml"),
        ("HEAD", "/{}.cnf.xml"),
        ("GET", "/{}.cnf.xml.sgn"),
        ("GET", "/Communicator/{}.cnf.xml"),
        ("GET", "/CTL{}.tlv"),
    ] {
        // A server upstream asks from the first address of the loopback.
        let client = || site.connect_from([127, 0, 0, 2], None);
        let [known, unknown] = [KNOWN, UNKNOWN].map(|device| file.replace("{}", device));
        let closed = seen(client(), method, &known);
        assert_eq!(closed, seen(client(), method, &unknown), "{method} {known}");
        assert!(!closed.contains("200 OK"), "{method} {known}: {closed}");
    }
}

#[test]
fn a_closed_window_cannot_be_told_from_an_unknown_device() {
    let signed = format!("{KNOWN}.cnf.xml.sgn");
    let site = Site::with(&[(&signed, b"signed")], |choice| {
        choice.has_windows = true;
        choice.settings.config_list_allow = networks(&["127.0.0.0/8"]);
        add_known(choice);
    });
    look_alike(&site);
    assert_eq!(site.stage(Stage::Config, StageCounter::NotFound), 8);
    let list = site.get("/ConfigFileCacheList.txt");
    assert_eq!((list.status, list.body.len()), (200, 0), "nobody has one");
    assert_eq!(site.library.names(Stage::Config).len(), 0);
}

#[test]
fn nor_while_those_are_down_who_may_have_more() {
    let site = Site::with(&[], |choice| {
        choice.has_windows = true;
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", nobody.local_addr().unwrap());
        choice.upstream.servers = vec![server.parse().unwrap()];
        add_known(choice);
    });
    look_alike(&site);
}

#[test]
fn a_window_that_is_open_lets_the_phone_in_under_each_of_its_names() {
    let site = Site::with(&[], |choice| {
        choice.has_windows = true;
        add_known(choice);
        let known = [KNOWN.parse().unwrap()];
        choice
            .store()
            .set_windows(&known, Some(u32::MAX.into()))
            .unwrap();
    });
    let plain = site.get(&format!("/{KNOWN}.cnf.xml"));
    assert_eq!(plain.status, 200);
    let softphone = site.get(&format!("/Communicator/{KNOWN}.cnf.xml"));
    assert_eq!(softphone.body, plain.body);
}

#[test]
fn each_site_has_its_own_default_or_none() {
    let site = Site::with(&[], |choice| {
        let columns = [
            ("subnets", "127.0.0.2/32"),
            ("servers", "10.1.0.1"),
            ("auto_registration", "true"),
        ];
        choice.set(Table::Sites, "berlin", &columns);
    });
    let path = "/XMLDefault.cnf.xml";
    let berlin = site.connect_from([127, 0, 0, 2], None).get(path);
    assert_eq!(berlin.status, 200);
    let text = String::from_utf8(berlin.body).unwrap();
    assert!(text.contains(">10.1.0.1<"), "{text}");
    assert_eq!(site.get(path).status, 404);
}
