//! One whole file of each kind, as phones get it from a site with most things set.

use std::collections::BTreeMap;

use roxmltree::Document;

use super::super::*;
use crate::inventory::{
    AppDialRule, Contents, DEFAULT_SITE, DialPlan, DialRule, FeaturePolicy, KeyAction, Line,
    LineKey, LineOptions, Objects, PhoneService, Server, Site, SoftKeySet,
};

const SETTINGS: &[(&str, &str)] = &[
    ("server_group", "berlin"),
    ("srst", "10.1.0.1;10.1.0.2/sip=5070"),
    ("tvs", "10.0.0.10;10.0.0.11/port=2446"),
    ("capf", "10.0.0.12"),
    ("capf_auth", "lsc"),
    ("ntp", "10.0.0.2;10.0.0.3"),
    ("time_zone", "W. Europe Standard/Daylight Time"),
    ("date_template", "D.M.Y"),
    ("user_locale", "German_Germany"),
    ("user_locale_code", "de_DE"),
    ("user_locale_version", "14.0.1.2000-1"),
    ("network_locale", "Germany"),
    ("network_locale_version", "14.0.1.2000-1"),
    ("sip_transport", "tcp"),
    ("dial_template", "office"),
    ("soft_keys", "standard"),
    ("feature_policy", "standard"),
    ("services", "Canteen;Weather"),
    ("voicemail", "8500"),
    ("directory_url", "http://10.0.0.4/dir?a=1&b=2"),
    ("services_url", "https://10.0.0.4/services"),
    ("idle_url", "http://10.0.0.4/idle"),
    ("idle_timeout_s", "300"),
    ("phone_password", "1234"),
    ("ssh_user", "admin"),
    ("ssh_password", "s3cret"),
    ("load_server", "10.0.0.20"),
    ("vendor.usb1", "0"),
    ("vendor.brandNew", "yes"),
    ("xml.callWaiting", "1"),
    ("xml.dtmfHoldCode", "*91"),
    ("xml.dst_offset", "1"),
];

fn service(url: &str) -> PhoneService {
    PhoneService {
        url: url.into(),
        kind: 0,
        category: 0,
        vendor: "Example".into(),
        version: "1".into(),
    }
}

fn objects() -> Objects {
    let rule = |pattern: &str, timeout_s| DialRule {
        pattern: pattern.into(),
        timeout_s,
        ..DialRule::default()
    };
    let outside = DialRule {
        tone: "Bellcore-Outside".into(),
        ..rule("0,*", 4)
    };
    let hotline = DialRule {
        line: Some(2),
        rewrite: "112".into(),
        ..rule("", 0)
    };
    let plan = DialPlan {
        rules: vec![rule("1...", 0), outside, hotline, rule("*", 10)],
    };
    let states = [
        ("On Hook", &["Redial", "NewCall", "CFwdAll"][..]),
        ("Connected", &["Hold", "EndCall", "Transfer", "Park"]),
        ("Digits After First", &["<<", "EndCall"]),
        ("Ring In", &["Answer", "iDivert"]),
    ];
    let states = states.map(|(state, keys)| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        (state.to_owned(), keys)
    });
    let features = [("park", true), ("forward_all", true), ("barge", false)];
    let features = features.map(|(name, on)| (name.to_owned(), on)).into();
    let soft_keys = SoftKeySet {
        states: states.into(),
    };
    soft_keys.check().unwrap();
    plan.check().unwrap();
    let servers = ["10.0.0.10", "cm2.example.net/sccp=2001/sip=5070/sips=5071"];
    let servers = servers
        .map(|server| Server::parse(server).unwrap())
        .to_vec();
    Objects {
        server_groups: BTreeMap::from([("berlin".into(), servers)]),
        soft_keys: BTreeMap::from([("standard".into(), soft_keys)]),
        dial_plans: BTreeMap::from([("office".into(), plan.clone()), ("default".into(), plan)]),
        app_dial_rules: BTreeMap::from([
            (
                1,
                AppDialRule {
                    begins_with: "+49".into(),
                    digits: 14,
                    remove: 3,
                    prefix: "00".into(),
                },
            ),
            (
                2,
                AppDialRule {
                    begins_with: "+".into(),
                    digits: 13,
                    remove: 1,
                    prefix: "000".into(),
                },
            ),
        ]),
        feature_policies: BTreeMap::from([("standard".into(), FeaturePolicy { features })]),
        services: BTreeMap::from([
            ("Canteen".into(), service("http://10.0.0.4/canteen?day=<1>")),
            ("Weather".into(), service("http://10.0.0.4/weather")),
        ]),
    }
}

fn snapshot() -> Snapshot {
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    };
    let loads = [
        ("7942", Protocol::Sccp, "SCCP42.9-4-2SR3-1S"),
        ("7962", Protocol::Sip, "SIP42.9-4-2SR3-1S"),
        ("7960", Protocol::Sip, "P0S3-8-12-00"),
        ("7821", Protocol::Sip, "sip78xx.14-2-1-0201-21"),
        ("8845", Protocol::Sip, "sip8845_65.14-2-1-0201-21"),
        ("8865", Protocol::Sip, "sip8845_65.14-2-1-0201-21"),
        ("9971", Protocol::Sip, "sip9971.9-4-2SR4-1"),
        ("7915-24", Protocol::Sccp, "B015-1-0-4-2"),
        ("ATA187", Protocol::Sip, "ATA187.9-2-3-1"),
        ("ATA186", Protocol::Sccp, "ATA030204SCCP090202A"),
    ];
    let loads =
        loads.map(|(model, protocol, load)| ((model.to_owned(), protocol), load.to_owned()));
    let contents = Contents {
        sites: BTreeMap::from([("default".to_owned(), pairs(SETTINGS))]),
        loads: loads.into(),
        objects: objects(),
        ..Contents::default()
    };
    Snapshot::new(contents, &Site::default())
}

fn line(number: &str, label: &str, secret: &str) -> Line {
    Line {
        number: number.into(),
        label: label.into(),
        secret: secret.into(),
        ..Line::default()
    }
}

/// A phone with two lines, and a key of each kind where it has room.
fn phone(name: &str, model: &str, protocol: Protocol) -> Device {
    let mut second = line("1002", "Fax & post", "");
    second.display_name = "The \"post\" room".into();
    second.options = LineOptions {
        max_calls: Some(2),
        busy_trigger: Some(2),
        auto_answer: true,
        ring_idle: Some(1),
        ring_active: Some(2),
        mwi_lamp: Some(5),
    };
    Device {
        description: "Reception <1>".into(),
        owner: "jsmith".into(),
        lines: vec![line("1001", "Front desk", "s<3cret"), second],
        ..Device::new(name.parse().unwrap(), model, protocol)
    }
}

fn keys() -> BTreeMap<u16, LineKey> {
    let number = |number: &str| number.to_owned();
    let keys = [
        (
            2,
            "Boss",
            KeyAction::Blf {
                number: number("2000"),
            },
        ),
        (
            4,
            "Taxi",
            KeyAction::SpeedDial {
                number: number("0,12345"),
            },
        ),
        (
            5,
            "",
            KeyAction::Service {
                name: "Canteen".into(),
            },
        ),
        (11, "Quiet", KeyAction::Feature { name: "dnd".into() }),
    ];
    keys.map(|(button, label, action)| {
        let label = label.to_owned();
        (button, LineKey { label, action })
    })
    .into()
}

/// What phones get, checked by another parser than the one that wrote it.
fn golden(name: &str, device: &Device) {
    let snapshot = snapshot();
    let mut renderer = Renderer::default();
    let file = renderer.device(device, &snapshot).unwrap().to_vec();
    let file = String::from_utf8(file).unwrap();
    if device.name.kind() != NameKind::Sip {
        let document = Document::parse(&file).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "device");
    }
    insta::assert_snapshot!(name, file);
}

fn golden_shared(name: &str, file: &SharedFile) {
    let snapshot = snapshot();
    assert!(SharedFile::all(&snapshot).contains(file), "{file}");
    let mut renderer = Renderer::default();
    let content = renderer.shared(file, &snapshot).unwrap().to_vec();
    let content = String::from_utf8(content).unwrap();
    if file.to_string().ends_with(".xml") {
        Document::parse(&content).unwrap();
    }
    insta::assert_snapshot!(name, content);
}

#[test]
fn a_7942_with_sccp_and_an_add_on_module() {
    let mut device = phone("SEP001122334455", "7942", Protocol::Sccp);
    device.modules = vec!["7915-24".into()];
    golden("7942_sccp", &device);
}

#[test]
fn a_7962_with_sip_and_a_vpn() {
    let mut device = phone("SEP001122334455", "7962", Protocol::Sip);
    let vpn = [
        (
            "vpn_urls",
            "https://vpn1.example.com/svc;https://vpn2.example.com/svc",
        ),
        ("vpn_cert_hashes", "s4U4A2DqXtupmzGuEGm2NCjxW/Y="),
    ];
    device.settings = vpn
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    golden("7962_sip", &device);
}

#[test]
fn a_7821() {
    golden("7821", &phone("SEP001122334455", "7821", Protocol::Sip));
}

#[test]
fn an_8845_over_tls() {
    let mut device = phone("SEP001122334455", "8845", Protocol::Sip);
    device.settings = BTreeMap::from([("sip_transport".to_owned(), "tls".to_owned())]);
    golden("8845_tls", &device);
}

#[test]
fn an_8865_with_modules_and_a_key_of_each_kind() {
    let mut device = phone("SEP001122334455", "8865", Protocol::Sip);
    device.modules = vec!["8800-Video".into(), "8800-Video".into()];
    device.keys = keys();
    golden("8865_kem", &device);
}

#[test]
fn a_9971_with_a_module() {
    let mut device = phone("SEP001122334455", "9971", Protocol::Sip);
    device.modules = vec!["CKEM".into()];
    golden("9971", &device);
}

#[test]
fn a_7940_with_sip() {
    let mut device = phone("SIP001122334455", "7940", Protocol::Sip);
    device.keys = keys();
    device.load = Some("P0S3-8-12-00".into());
    golden("7940_sip", &device);
}

#[test]
fn an_adapter_with_sip() {
    golden("ata187", &phone("ATA001122334455", "ATA187", Protocol::Sip));
}

#[test]
fn an_adapter_with_sccp() {
    golden(
        "ata186",
        &phone("ATA001122334455", "ATA186", Protocol::Sccp),
    );
}

#[test]
fn an_ip_communicator() {
    golden("cipc", &phone("SEP001122334455", "CIPC", Protocol::Sccp));
}

#[test]
fn a_jabber() {
    golden("csf", &phone("CSFJSMITH", "CSF", Protocol::Sip));
}

#[test]
fn the_default_of_unknown_phones() {
    let snapshot = snapshot();
    let mut renderer = Renderer::default();
    let content = renderer.xml_default(DEFAULT_SITE, &snapshot).unwrap();
    let content = String::from_utf8(content.to_vec()).unwrap();
    Document::parse(&content).unwrap();
    insta::assert_snapshot!("xml_default", content);
}

#[test]
fn the_shared_files() {
    let named = |name: &str| name.to_owned();
    for (name, file) in [
        ("ata_default", SharedFile::AtaDefault),
        ("sip_default", SharedFile::SipDefault),
        ("os79xx", SharedFile::LegacyImage),
        ("app_dial_rules", SharedFile::AppDialRules),
        ("default_dial_plan", SharedFile::DefaultDialPlan),
        ("dial_plan", SharedFile::DialPlan(named("office"))),
        ("soft_keys", SharedFile::SoftKeys(named("standard"))),
        (
            "feature_policy",
            SharedFile::FeaturePolicy(named("standard")),
        ),
    ] {
        golden_shared(name, &file);
    }
}
