//! Unknown phones, and devices whose window is closed.

use std::net::IpAddr;

use super::site::{Site, devices, set_site};
use crate::content::{Catalog, Library, Lookup, Query, State};
use crate::inventory::{DeviceName, Store};
use crate::provisioning::{Knockers, Knocking, Settings as Windows, since_epoch};

const DEFAULT: &str = "XMLDefault.cnf.xml";

fn from(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn windows(window_minutes: u32) -> Windows {
    Windows { window_minutes }
}

impl Site {
    fn library(&self) -> &Library {
        self.library.as_ref().unwrap()
    }

    fn lookup_from(&self, name: &str, client: &str) -> Lookup {
        let query = Query::new(name.as_bytes(), from(client));
        self.library().lookup(query)
    }

    /// What a client is given, as text.
    fn text(&self, name: &str, client: &str) -> Option<String> {
        match self.lookup_from(name, client) {
            Lookup::Found(version) => Some(String::from_utf8(version.bytes.to_vec()).unwrap()),
            Lookup::Absent => None,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The last that listeners were told of a name.
    fn told(&self, name: &str) -> Option<State> {
        let changes = self.heard.take();
        let last = changes.into_iter().rfind(|change| &*change.name == name);
        last.map(|change| change.state)
    }

    fn knocking(&self, which: Knockers) -> Vec<Knocking> {
        self.library().knocking(which)
    }
}

#[test]
fn unknown_phones_get_the_default_of_their_site_only_where_they_are_wanted() {
    let mut site = Site::new();
    set_site(&site, "berlin", "subnets", "10.1.0.0/16");
    set_site(&site, "berlin", "servers", "10.1.0.1");
    set_site(&site, "berlin", "auto_registration", "true");
    site.start();
    assert!(
        site.text(DEFAULT, "10.1.2.3")
            .unwrap()
            .contains(">10.1.0.1<")
    );
    assert_eq!(site.text(DEFAULT, "10.2.2.3"), None);
    // The kernel does not know who asks from where.
    assert!(matches!(
        site.told("xmldefault.cnf.xml"),
        Some(State::OnDisk)
    ));

    // A change of one site leaves the others' version what it was.
    let before = site.lookup_from(DEFAULT, "10.1.2.3");
    set_site(&site, "default", "auto_registration", "true");
    set_site(&site, "default", "servers", "10.0.0.1");
    site.until("all sites have one", |site| {
        site.text(DEFAULT, "10.2.2.3")
            .is_some_and(|text| text.contains(">10.0.0.1<"))
    });
    let (Lookup::Found(before), Lookup::Found(after)) =
        (before, site.lookup_from(DEFAULT, "10.1.2.3"))
    else {
        panic!("berlin has one");
    };
    assert_eq!(before.generation, after.generation);

    set_site(&site, "berlin", "servers", "10.0.0.1");
    site.until("they agree, and the kernel may have it", |site| {
        matches!(site.told("xmldefault.cnf.xml"), Some(State::Published(_)))
    });
    set_site(&site, "default", "auto_registration", "false");
    set_site(&site, "berlin", "auto_registration", "false");
    site.until("nobody is wanted", |site| {
        matches!(site.told("xmldefault.cnf.xml"), Some(State::Absent))
    });
    assert_eq!(site.text(DEFAULT, "10.1.2.3"), None);
}

#[test]
fn a_default_that_the_operator_wrote_goes_to_everybody() {
    let mut site = Site::new();
    set_site(&site, "berlin", "subnets", "10.1.0.0/16");
    set_site(&site, "berlin", "auto_registration", "true");
    site.write(DEFAULT, "mine");
    site.start();
    for client in ["10.1.2.3", "10.2.2.3"] {
        assert_eq!(site.text(DEFAULT, client).as_deref(), Some("mine"));
    }
}

#[test]
fn a_device_that_nobody_knows_is_listed_with_its_site_until_it_is_known() {
    let mut site = Site::new();
    set_site(&site, "berlin", "subnets", "10.1.0.0/16");
    let known = "SEP000000000001,7941,sccp,1001,berlin,Desk\n";
    site.import(&devices(known));
    site.start();
    for name in ["SEP000000000002.cnf.xml.sgn", "SEP000000000002.cnf.xml"] {
        assert!(matches!(site.lookup_from(name, "10.1.0.2"), Lookup::Absent));
    }
    // Neither is a device that nobody knows.
    for name in [
        "CTLSEP000000000001.tlv",
        "SEP000000000001.cnf.xml.sgn",
        "nothing.xml",
    ] {
        assert!(matches!(site.lookup_from(name, "10.1.0.1"), Lookup::Absent));
    }
    let asked_by_another_edge = Query {
        forwarded: true,
        ..Query::new(b"SEP000000000003.cnf.xml", from("10.1.0.3"))
    };
    site.library().lookup(asked_by_another_edge);

    let [knock] = &site.knocking(Knockers::Unknown)[..] else {
        panic!("{:?}", site.knocking(Knockers::Unknown));
    };
    assert_eq!(knock.name.to_string(), "SEP000000000002");
    assert_eq!((knock.site.as_str(), knock.times), ("berlin", 2));
    assert_eq!(knock.file, "sep000000000002.cnf.xml");
    assert!(
        site.knocking(Knockers::Closed).is_empty(),
        "there are no windows"
    );

    site.import(&devices("SEP000000000002,7941,sccp,1002,berlin,Desk\n"));
    site.until("it is known", |site| {
        site.knocking(Knockers::Unknown).is_empty()
    });
}

#[test]
fn the_image_asked_for_after_a_reset_tells_the_model() {
    let mut site = Site::new();
    site.start();
    for name in ["SEP000000000002.cnf.xml", "term61.default.loads"] {
        assert!(matches!(site.lookup_from(name, "10.1.0.2"), Lookup::Absent));
    }
    let [knock] = &site.knocking(Knockers::Unknown)[..] else {
        panic!("one device knocked");
    };
    assert_eq!(knock.model.as_deref(), Some("7961"));
}

const PHONE: &str = "SEP000000000001";
const CONFIG: &str = "sep000000000001.cnf.xml";

/// A site with windows, and one phone.
fn windowed() -> Site {
    let site = Site::new();
    site.windows.set(windows(1));
    site.import(&devices("SEP000000000001,7941,sccp,1001,hq,Desk\n"));
    site
}

/// Opens the window for so many seconds, or closes it.
fn open_for(site: &Site, seconds: Option<u64>) {
    let until = seconds.map(|seconds| since_epoch().as_secs() + seconds);
    let phone = PHONE.parse().unwrap();
    site.store().set_windows(&[phone], until).unwrap();
}

#[test]
fn a_device_with_a_closed_window_is_told_to_nobody() {
    let mut site = windowed();
    // Not even what the operator wrote for it.
    site.write("SEP000000000001.cnf.xml.sgn", "signed");
    site.write("Ringlist.xml", "rings");
    site.start();
    let own: Vec<_> = PHONE.parse::<DeviceName>().unwrap().own_files().collect();
    for name in &own {
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
    assert!(
        site.heard
            .names()
            .is_disjoint(&own.iter().cloned().collect())
    );
    assert_eq!(site.found("ringlist.xml").bytes, "rings");
    assert_eq!(site.library().counts().windows_open, Some(0));

    assert!(site.knocking(Knockers::Unknown).is_empty());
    let [knock] = &site.knocking(Knockers::Closed)[..] else {
        panic!("it asked for its files");
    };
    // Everybody's trust lists are absent.
    assert_eq!((knock.name.as_str(), knock.times), (PHONE, 3));
}

#[test]
fn a_window_lets_the_files_of_its_device_in_and_takes_them_out_at_its_end() {
    let mut site = windowed();
    site.write("SEP000000000001.cnf.xml.sgn", "signed");
    site.start();
    site.heard.clear();
    open_for(&site, Some(5));
    site.until_found("SEP000000000001.cnf.xml.sgn", b"signed");
    let held = site.found(CONFIG);
    // Requests are answered a little before listeners are told, and these before it is counted.
    site.until("listeners have it", |site| {
        matches!(site.told(CONFIG), Some(State::Published(_)))
    });
    site.until("it was counted", |site| {
        site.library().counts().windows_open == Some(1)
    });
    assert!(site.knocking(Knockers::Closed).is_empty());

    // Nobody commits anything: the time alone ends it.
    site.until("its time is over", |site| {
        matches!(site.told(CONFIG), Some(State::Forgotten))
    });
    for name in [
        CONFIG,
        "ctlsep000000000001.tlv",
        "sep000000000001.cnf.xml.sgn",
    ] {
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
    assert!(
        held.bytes.starts_with(b"<?xml"),
        "who has it keeps it whole"
    );
    site.until("it was counted", |site| {
        site.library().counts().windows_open == Some(0)
    });
}

#[test]
fn a_window_that_is_closed_by_command_is_closed_at_once() {
    let mut site = windowed();
    open_for(&site, Some(3600));
    site.start();
    site.found(CONFIG);
    site.heard.clear();
    open_for(&site, None);
    site.until("it is closed", |site| {
        matches!(site.told(CONFIG), Some(State::Forgotten))
    });
    // And a change of its configuration does not let it in.
    set_site(&site, "default", "web_access", "true");
    site.until("it was rendered anew", |site| {
        site.library().counts().last_regeneration.files == 1
    });
    assert!(matches!(site.lookup(CONFIG), Lookup::Absent));
    assert!(site.heard.take().is_empty());
}

#[test]
fn without_windows_a_device_needs_none() {
    let mut site = windowed();
    site.windows.set(windows(0));
    site.start();
    assert!(site.found(CONFIG).bytes.starts_with(b"<?xml"));
    assert_eq!(site.library().counts().windows_open, None);
}

#[test]
fn windows_can_be_switched_on_and_off_while_the_daemon_runs() {
    let mut site = windowed();
    site.windows.set(windows(0));
    site.start();
    assert!(matches!(site.lookup(CONFIG), Lookup::Found(_)));
    site.heard.clear();

    site.windows.set(windows(1));
    site.library().follow_settings();
    site.until("it is shut", |site| {
        matches!(site.lookup(CONFIG), Lookup::Absent)
    });
    assert!(site.told(CONFIG).is_some());
    assert_eq!(site.library().counts().windows_open, Some(0));

    site.windows.set(windows(0));
    site.library().follow_settings();
    site.until("it is open", |site| {
        matches!(site.lookup(CONFIG), Lookup::Found(_))
    });
    assert!(matches!(site.told(CONFIG), Some(State::Published(_))));
}
