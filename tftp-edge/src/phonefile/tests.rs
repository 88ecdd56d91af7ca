use std::collections::BTreeMap;

use proptest::prelude::*;
use roxmltree::{Document, Node};

use super::*;
use crate::inventory::{Contents, Line, Site};

fn snapshot(devices: Vec<Device>, settings: &[(&str, &str)]) -> Snapshot {
    let settings = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let contents = Contents {
        devices,
        sites: BTreeMap::from([("hq".to_owned(), settings)]),
        loads: BTreeMap::from([
            (("7941".into(), Protocol::Sccp), "SCCP41.9-4-2SR3-1S".into()),
            (("8851".into(), Protocol::Sip), "sip88xx.12-5-1SR3".into()),
        ]),
        ..Contents::default()
    };
    Snapshot::new(contents, &Site::default())
}

fn device(model: &str, protocol: Protocol, numbers: &[&str]) -> Device {
    Device {
        site: "hq".into(),
        description: "Reception & lobby".into(),
        lines: numbers
            .iter()
            .map(|number| Line {
                number: (*number).into(),
                label: format!("Desk {number}"),
                secret: "s<3cret".into(),
                ..Line::default()
            })
            .collect(),
        ..Device::new("SEP001122334455".parse().unwrap(), model, protocol)
    }
}

const SETTINGS: &[(&str, &str)] = &[
    ("servers", "10.0.0.10;cm2.example.net/sccp=2001/sip=5070"),
    ("srst", "10.0.0.1"),
    ("ntp", "10.0.0.2;10.0.0.3"),
    ("time_zone", "W. Europe Standard/Daylight Time"),
    ("user_locale", "German_Germany"),
    ("user_locale_code", "de_DE"),
    ("network_locale", "Germany"),
    ("dial_template", "dialplan.xml"),
    ("voicemail", "8500"),
    ("directory_url", "http://10.0.0.4/dir?a=1&b=2"),
];

fn render(device: &Device, snapshot: &Snapshot) -> String {
    let mut renderer = Renderer::default();
    String::from_utf8(renderer.device(device, snapshot).unwrap().to_vec()).unwrap()
}

/// The text of the first element with this name, nothing if it is empty.
fn text<'a>(document: &'a Document<'_>, name: &str) -> &'a str {
    let element: Node = document
        .descendants()
        .find(|node| node.has_tag_name(name))
        .unwrap_or_else(|| panic!("there is no {name}"));
    element.text().unwrap_or_default()
}

#[test]
fn a_sip_phone_gets_its_lines_and_the_settings_of_its_site() {
    let device = device("8851", Protocol::Sip, &["1001", "1002"]);
    let snapshot = snapshot(vec![device.clone()], SETTINGS);
    insta::assert_snapshot!("sip", render(&device, &snapshot));
}

#[test]
fn an_sccp_phone_gets_the_settings_of_its_site_and_no_lines() {
    let device = device("7941", Protocol::Sccp, &["1001"]);
    let snapshot = snapshot(vec![device.clone()], SETTINGS);
    insta::assert_snapshot!("sccp", render(&device, &snapshot));
}

#[test]
fn an_unknown_phone_gets_the_call_managers_of_the_default_site() {
    let contents = Contents {
        sites: BTreeMap::from([(
            "default".to_owned(),
            BTreeMap::from([("servers".to_owned(), "10.0.0.10;10.0.0.11".to_owned())]),
        )]),
        loads: snapshot(Vec::new(), &[]).loads,
        ..Contents::default()
    };
    let snapshot = Snapshot::new(contents, &Site::default());
    let mut renderer = Renderer::default();
    let file =
        String::from_utf8(renderer.xml_default("default", &snapshot).unwrap().to_vec()).unwrap();
    insta::assert_snapshot!("xml_default", file);
}

#[test]
fn a_device_without_a_load_keeps_what_it_runs() {
    let mut device = device("7975", Protocol::Sccp, &["1"]);
    let snapshot = snapshot(vec![device.clone()], &[]);
    assert!(!render(&device, &snapshot).contains("loadInformation"));
    device.load = Some("SCCP75.9-4-2SR3-1S".into());
    assert!(render(&device, &snapshot).contains("<loadInformation>SCCP75.9-4-2SR3-1S<"));
}

#[test]
fn calls_are_shared_out_among_the_lines_of_a_small_phone() {
    for (model, lines, expected) in [("8831", 1, "4"), ("7811", 1, "4"), ("7931", 24, "2")] {
        let numbers: Vec<_> = (0..lines).map(|number| number.to_string()).collect();
        let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
        let device = device(model, Protocol::Sip, &numbers);
        let file = render(&device, &snapshot(vec![device.clone()], &[]));
        let document = Document::parse(&file).unwrap();
        assert_eq!(text(&document, "maxNumCalls"), expected, "{model}");
    }
}

#[test]
fn the_version_stamp_changes_with_the_content_and_only_with_it() {
    let stamp = |description: &str| {
        let mut device = device("8851", Protocol::Sip, &["1001"]);
        device.description = description.into();
        let file = render(&device, &snapshot(vec![device.clone()], SETTINGS));
        text(&Document::parse(&file).unwrap(), "versionStamp").to_owned()
    };
    assert_eq!(stamp("a"), stamp("a"));
    assert_ne!(stamp("a"), stamp("b"));
}

/// What XML 1.0 can carry; text is read back with line ends as they were, since CR is escaped.
fn allowed(text: &str) -> String {
    text.chars()
        .filter(|&c| {
            matches!(u32::from(c), 0x9 | 0xa | 0xd | 0x20..=0xd7ff | 0xe000..=0xfffd | 0x1_0000..)
        })
        .collect()
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[<>&\"'\\]\\[;#x0-9 \t\r\n\u{0}-\u{8}\u{fffe}é漢😀]{0,24}",
    ]
}

proptest! {
    #[test]
    fn any_text_gives_a_well_formed_file_that_reads_back_the_same(
        number in any_text(),
        label in any_text(),
        secret in any_text(),
        description in any_text(),
        load in any_text(),
        site_name in any_text(),
        zone in any_text(),
        sip in any::<bool>(),
    ) {
        let mut device = device(
            "8945",
            if sip { Protocol::Sip } else { Protocol::Sccp },
            &[],
        );
        device.lines.push(Line {
            number: number.clone(),
            label: label.clone(),
            secret: secret.clone(),
            ..Line::default()
        });
        device.description = description.clone();
        device.load = Some(load.clone());
        device.site = site_name.clone();
        // Set past the checks of the inventory: what it would refuse must not break a file either.
        let mut site = Site::default();
        site.phone.time_zone = zone.clone();
        let snapshot = Snapshot::new(Contents::default(), &site);

        let file = render(&device, &snapshot);
        prop_assert_eq!(&file, &render(&device, &snapshot));
        let document = Document::parse(&file).unwrap();
        prop_assert_eq!(text(&document, "timeZone"), allowed(&zone));
        prop_assert_eq!(text(&document, "loadInformation"), allowed(&load));
        let setting = document
            .descendants()
            .find(|node| node.has_tag_name("dateTimeSetting"))
            .unwrap();
        let name = setting.children().find(|node| node.has_tag_name("name")).unwrap();
        prop_assert_eq!(name.text().unwrap_or_default(), allowed(&site_name));
        if sip {
            prop_assert_eq!(text(&document, "authPassword"), allowed(&secret));
            prop_assert_eq!(text(&document, "contact"), allowed(&number));
            prop_assert_eq!(text(&document, "phoneLabel"), allowed(&description));
            let shown = if label.is_empty() { &number } else { &label };
            prop_assert_eq!(text(&document, "displayName"), allowed(shown));
        }
    }
}

/// `cargo test --release -p tftp-edge -- --ignored --nocapture rendering`
#[test]
#[ignore = "measures; run it on an optimised build"]
fn measure_rendering_on_one_core() {
    let device = device("8851", Protocol::Sip, &["1001"]);
    let snapshot = snapshot(vec![device.clone()], SETTINGS);
    let mut renderer = Renderer::default();
    let began = std::time::Instant::now();
    let bytes: usize = (0..10_000)
        .map(|_| std::hint::black_box(renderer.device(&device, &snapshot).unwrap()).len())
        .sum();
    println!(
        "10,000 files of {} bytes: {:?}",
        bytes / 10_000,
        began.elapsed()
    );
}
