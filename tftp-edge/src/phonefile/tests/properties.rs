//! What holds for any inventory, however it was written.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use roxmltree::Document;

use super::super::*;
use super::{device, render, text};
use crate::inventory::{
    AppDialRule, CALL_STATES, Contents, DialPlan, DialRule, FEATURES, FeaturePolicy, KeyAction,
    Line, LineKey, LineOptions, Objects, POLICY_FEATURES, PhoneService, SOFT_KEYS, Server, Site,
    SoftKeySet,
};

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

fn any_option() -> impl Strategy<Value = LineOptions> {
    let some = proptest::option::of(0_u8..9);
    (some.clone(), some.clone(), some, any::<bool>()).prop_map(|(a, b, c, auto_answer)| {
        LineOptions {
            max_calls: a.map(u32::from),
            ring_idle: b,
            mwi_lamp: c,
            auto_answer,
            ..LineOptions::default()
        }
    })
}

fn any_line() -> impl Strategy<Value = Line> {
    (any_text(), any_text(), any_text(), any_option()).prop_map(
        |(number, display_name, secret, options)| Line {
            number,
            display_name,
            secret,
            options,
            ..Line::default()
        },
    )
}

fn any_key() -> impl Strategy<Value = LineKey> {
    let action = prop_oneof![
        any_text().prop_map(|number| KeyAction::SpeedDial { number }),
        any_text().prop_map(|number| KeyAction::Blf { number }),
        Just(KeyAction::Service {
            name: "menu".into()
        }),
        (0..FEATURES.len()).prop_map(|index| KeyAction::Feature {
            name: FEATURES[index].0.into()
        }),
    ];
    (any_text(), action).prop_map(|(label, action)| LineKey { label, action })
}

fn any_device() -> impl Strategy<Value = Device> {
    let of_model = prop_oneof![
        Just(("SEP001122334455", "8865", Protocol::Sip)),
        Just(("SEP001122334455", "7942", Protocol::Sccp)),
        Just(("SIP001122334455", "7960", Protocol::Sip)),
        Just(("ATA001122334455", "ATA187", Protocol::Sip)),
        Just(("CSFJSMITH", "CSF", Protocol::Sip)),
    ];
    let modules = vec(prop_oneof![Just("BEKEM"), Just("7915-24")], 0..3);
    let keys = btree_map(1_u16..40, any_key(), 0..6);
    (of_model, modules, vec(any_line(), 0..4), keys, any_text()).prop_map(
        |((name, model, protocol), modules, lines, keys, owner)| Device {
            owner,
            lines,
            keys,
            modules: modules.into_iter().map(str::to_owned).collect(),
            ..Device::new(name.parse().unwrap(), model, protocol)
        },
    )
}

fn any_objects() -> impl Strategy<Value = Objects> {
    let rule = (any_text(), 0_u32..99, any_text(), any_text()).prop_map(
        |(pattern, timeout_s, rewrite, tone)| DialRule {
            pattern,
            timeout_s,
            rewrite,
            tone,
            line: None,
        },
    );
    let app_rule = (any_text(), any_text()).prop_map(|(begins_with, prefix)| AppDialRule {
        begins_with,
        prefix,
        ..AppDialRule::default()
    });
    let keys = vec(
        (0..SOFT_KEYS.len()).prop_map(|at| SOFT_KEYS[at].name.to_owned()),
        0..5,
    );
    let states = (0..CALL_STATES.len()).prop_map(|at| CALL_STATES[at].name.to_owned());
    let features = (0..POLICY_FEATURES.len()).prop_map(|at| POLICY_FEATURES[at].name.to_owned());
    (
        vec(rule, 0..9),
        vec(app_rule, 0..4),
        btree_map(states, keys, 0..5),
        btree_map(features, any::<bool>(), 0..5),
        any_text(),
    )
        .prop_map(|(rules, app_dial_rules, states, features, url)| {
            let service = PhoneService {
                url,
                kind: 0,
                category: 0,
                vendor: String::new(),
                version: String::new(),
            };
            Objects {
                dial_plans: BTreeMap::from([("default".into(), DialPlan { rules })]),
                soft_keys: BTreeMap::from([("keys".into(), SoftKeySet { states })]),
                feature_policies: BTreeMap::from([("fp".into(), FeaturePolicy { features })]),
                services: BTreeMap::from([("menu".into(), service)]),
                app_dial_rules: (1..).zip(app_dial_rules).collect(),
                ..Objects::default()
            }
        })
}

/// Every line is a name and a quoted value.
fn is_parameters(file: &str) -> bool {
    file.lines().all(|line| {
        let Some((name, value)) = line.split_once(": \"") else {
            return false;
        };
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let quoted = value.strip_suffix('"');
        name.bytes().all(known) && quoted.is_some_and(|value| !value.contains('"'))
    })
}

proptest! {
    #[test]
    fn any_inventory_gives_files_that_phones_can_read(
        device in any_device(),
        objects in any_objects(),
        settings in vec(any_text(), 4),
    ) {
        // Set past the checks of the inventory.
        let mut site = Site::default();
        site.phone.soft_keys = "keys".into();
        site.phone.dial_template = "default".into();
        site.phone.voicemail = settings[0].clone();
        site.phone.directory_url = settings[1].clone();
        site.phone.vendor.insert("webAccess".into(), settings[2].clone());
        site.phone.elements.insert("timerT1".into(), settings[3].clone());
        site.phone.servers = vec![Server::parse("cm1").unwrap()];
        let contents = Contents { devices: vec![device.clone()], objects, ..Contents::default() };
        let snapshot = Snapshot::new(contents, &site);

        let file = render(&device, &snapshot);
        prop_assert_eq!(&file, &render(&device, &snapshot));
        if device.name.kind() == NameKind::Sip {
            prop_assert!(is_parameters(&file), "{}", file);
        } else {
            let document = Document::parse(&file).unwrap();
            prop_assert_eq!(text(&document, "webAccess"), allowed(&settings[2]));
            let buttons: Vec<_> = document
                .descendants()
                .filter(|node| node.has_tag_name("line"))
                .map(|node| node.attribute("button").unwrap().parse::<u16>().unwrap())
                .collect();
            // Each button once, in their order.
            prop_assert!(buttons.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", buttons);
        }

        let mut renderer = Renderer::default();
        for shared in SharedFile::all(&snapshot) {
            let Ok(file) = renderer.shared(&shared, &snapshot) else {
                // A plan of any text may be too large.
                prop_assert!(matches!(shared, SharedFile::DialPlan(_) | SharedFile::DefaultDialPlan));
                continue;
            };
            let file = std::str::from_utf8(file).unwrap();
            match shared {
                SharedFile::SipDefault => prop_assert!(is_parameters(file), "{}", file),
                SharedFile::LegacyImage => {}
                _ => prop_assert!(Document::parse(file).is_ok(), "{}", file),
            }
        }
    }

    #[test]
    fn any_rule_reads_back_from_its_attributes(pattern in any_text(), rewrite in any_text()) {
        let rule = DialRule { pattern: pattern.clone(), rewrite: rewrite.clone(), ..DialRule::default() };
        let mut buffer = Vec::new();
        dial_rules::dial_plan(&mut buffer, &DialPlan { rules: vec![rule] });
        let file = String::from_utf8(buffer).unwrap();
        let document = Document::parse(&file).unwrap();
        let rule = document.descendants().find(|node| node.has_tag_name("TEMPLATE")).unwrap();
        // White space in an attribute is read as spaces (XML 1.0, section 3.3.3).
        let read = |text: &str| allowed(text).replace(['\t', '\n', '\r'], " ");
        let spaces = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        prop_assert_eq!(rule.attribute("match").map(spaces), Some(read(&pattern)));
        prop_assert_eq!(rule.attribute("rewrite").map(spaces).unwrap_or_default(), read(&rewrite));
    }

    #[test]
    fn the_stamp_changes_exactly_when_the_content_does(
        one in (any_text(), 0_u32..3, any::<bool>()),
        other in (any_text(), 0_u32..3, any::<bool>()),
        label in "[ab]{0,1}",
        other_label in "[ab]{0,1}",
    ) {
        let file = |(text, calls, auto_answer): &(String, u32, bool), label: &str| {
            let mut device = device("8851", Protocol::Sip, &["1001"]);
            device.owner = label.into();
            device.lines[0].options.max_calls = Some(*calls);
            device.lines[0].options.auto_answer = *auto_answer;
            let mut site = Site::default();
            site.phone.voicemail = text.clone();
            let file = render(&device, &Snapshot::new(Contents::default(), &site));
            let stamp = text_of_stamp(&file);
            (file.replace(&stamp, ""), stamp)
        };
        let (content, stamp) = file(&one, &label);
        let (other_content, other_stamp) = file(&other, &other_label);
        prop_assert_eq!(content == other_content, stamp == other_stamp);
    }
}

fn text_of_stamp(file: &str) -> String {
    let document = Document::parse(file).unwrap();
    text(&document, "versionStamp").to_owned()
}
