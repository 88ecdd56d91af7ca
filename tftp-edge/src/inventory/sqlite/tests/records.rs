//! Records of every kind: written, read back, and edited some at a time.

use super::*;
use crate::inventory::{
    AppDialRule, DialPlan, DialRule, FeaturePolicy, ImportMode, KeyAction, LayerSettings, Line,
    LineKey, LineOptions, Model, Models, PhoneService, Protocol, Server, SoftKeySet, Table,
};

/// One record of each kind, with every field set.
fn one_of_each() -> Vec<Record> {
    let settings = LayerSettings::from([("ntp".into(), "10.0.0.1".into())]);
    let model = Model {
        lines: 3,
        ..Models::default().find("8851").unwrap().clone()
    };
    let mut device = devices("SEP000000000001,8851,sip,1:A;2,s1;s2,hq,sip88xx.1,Über\n").remove(0);
    device.profile = Some("agents".into());
    device.owner = "alice".into();
    device.lines[1] = Line {
        display_name: "Two".into(),
        options: LineOptions {
            max_calls: Some(4),
            busy_trigger: Some(2),
            auto_answer: true,
            ring_idle: Some(1),
            ring_active: Some(2),
            mwi_lamp: Some(3),
        },
        ..device.lines[1].clone()
    };
    let target = || "2001".to_owned();
    for (button, action) in (3..).zip([
        KeyAction::SpeedDial { number: target() },
        KeyAction::Blf { number: target() },
        KeyAction::Service {
            name: "News".into(),
        },
        KeyAction::Feature { name: "dnd".into() },
    ]) {
        let label = format!("Key {button}");
        device.keys.insert(button, LineKey { label, action });
    }
    device.modules = vec!["7916-24".into(), "7914".into()];
    device.settings.insert("voicemail".into(), "8500".into());
    let states = [("On Hook".into(), vec!["NewCall".into()])].into();
    let rules = vec![DialRule {
        pattern: "9,....".into(),
        timeout_s: 5,
        line: Some(1),
        rewrite: "%1".into(),
        tone: "Outside".into(),
    }];
    let service = PhoneService {
        url: "http://10.0.0.1/news".into(),
        kind: 1,
        category: 1,
        vendor: "ACME".into(),
        version: "2".into(),
    };
    let rule = AppDialRule {
        begins_with: "9".into(),
        digits: 11,
        remove: 1,
        prefix: "0".into(),
    };
    let features = [("dnd".into(), true), ("pickup".into(), false)].into();
    vec![
        Record::Model(model.into()),
        Record::Load {
            model: "8851".into(),
            protocol: Protocol::Sip,
            load: "sip88xx.9".into(),
        },
        Record::ServerGroup("main".into(), vec![Server::parse("cm1/sip=5070").unwrap()]),
        Record::SoftKeys("agents".into(), SoftKeySet { states }),
        Record::DialPlan("default".into(), DialPlan { rules }),
        Record::AppDialRule(10, rule),
        Record::FeaturePolicy("quiet".into(), FeaturePolicy { features }),
        Record::Service("News".into(), service),
        Record::Profile("agents".into(), settings.clone()),
        Record::Site("hq".into(), settings),
        Record::Device(device.into()),
    ]
}

fn add(store: &mut SqliteStore, records: &[Record]) {
    let changes = || records.iter().cloned().map(Change::Added).collect();
    store
        .edit(Scope::Everything, &origin(), &mut |_| changes())
        .unwrap();
}

fn stored(contents: &Contents) -> Vec<Record> {
    let shared = Table::ALL
        .into_iter()
        .flat_map(|table| contents.shared(table));
    let devices = contents.devices.iter().cloned();
    let devices = devices.map(|device| Record::Device(device.into()));
    shared.chain(devices).collect()
}

#[test]
fn a_record_of_every_kind_reads_back_as_it_was_and_goes_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let records = one_of_each();
    add(&mut store, &records);
    assert_eq!(stored(&open(&folder).read().unwrap()), records);

    store
        .edit(Scope::Everything, &origin(), &mut |contents| {
            stored(&contents).into_iter().map(Change::Removed).collect()
        })
        .unwrap();
    assert_eq!(store.read().unwrap(), Contents::default());
    for table in [
        "lines",
        "line_keys",
        "modules",
        "device_settings",
        "site_settings",
        "objects",
    ] {
        let count = format!("SELECT count(*) FROM {table}");
        let left: u32 = store
            .connection
            .query_row(&count, [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[test]
fn a_device_that_is_written_again_keeps_nothing_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    add(&mut store, &one_of_each());
    let bare = devices("SEP000000000001,8851,sip,7,,,,\n");
    let import = store.import(&bare, ImportMode::Upsert, false).unwrap();
    assert_eq!(import.changed, 1);
    assert_eq!(store.read().unwrap().devices, bare);
}

#[test]
fn an_edit_of_some_devices_sees_those_and_all_that_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    add(&mut store, &one_of_each());
    let two = devices(TWO);
    store.import(&two[..1], ImportMode::Upsert, false).unwrap();
    let mut seen = Contents::default();
    let names = ["SEP000000000001", "SEP0000000000FF"].map(|name| name.parse().unwrap());
    store
        .edit(Scope::Devices(&names), &origin(), &mut |contents| {
            seen = contents;
            Vec::new()
        })
        .unwrap();
    assert_eq!(stored(&seen), one_of_each());
}
