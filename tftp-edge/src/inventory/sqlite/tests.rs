use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::super::{
    AppDialRule, Device, DialPlan, DialRule, FeaturePolicy, ImportMode, Inventory, KeyAction,
    LayerSettings, Line, LineKey, LineOptions, Model, Models, PhoneService, Protocol, Server, Site,
    SoftKeySet, Summary, Table, Unchecked, Watch, parse_csv,
};
use super::*;

fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&folder.path().join("new/inventory.db")).unwrap()
}

fn devices(rows: &str) -> Vec<Device> {
    let header = "name,model,protocol,lines,secret,site,load,description\n";
    parse_csv(format!("{header}{rows}").as_bytes()).unwrap()
}

fn origin() -> Origin {
    Origin {
        who: "alice".into(),
        how: "test".into(),
    }
}

const TWO: &str = "SEP000000000002,8851,sip,1:A;2:'B;C',s1;s2,hq,sip88xx.1,Über\n\
                   SEP000000000001,7941,sccp,3,,,,\n";

#[test]
fn what_is_imported_reads_back_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut imported = devices(TWO);
    open(&folder)
        .import(&imported, ImportMode::Upsert, false)
        .unwrap();
    imported.sort_by_key(|device| device.name);
    assert_eq!(open(&folder).read().unwrap().devices, imported);
}

#[test]
fn an_import_says_what_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let summary = |added, changed, removed, unchanged| Summary {
        added,
        changed,
        removed,
        unchanged,
    };
    let two = devices(TWO);
    let mut import = |devices: &[Device], mode| store.import(devices, mode, false).unwrap();
    assert_eq!(import(&two, ImportMode::Upsert), summary(2, 0, 0, 0));
    assert_eq!(import(&two, ImportMode::Upsert), summary(0, 0, 0, 2));

    let fewer_lines = devices("sep000000000002,8851,sip,1,,,,\n");
    assert_eq!(
        import(&fewer_lines, ImportMode::Upsert),
        summary(0, 1, 0, 0)
    );
    assert_eq!(
        import(&fewer_lines, ImportMode::Replace),
        summary(0, 0, 1, 1)
    );
    assert_eq!(store.read().unwrap().devices, fewer_lines);
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let summary = store.import(&devices(TWO), ImportMode::Replace, true);
    assert_eq!(summary.unwrap().added, 2);
    assert_eq!(store.read().unwrap(), Contents::default());
}

#[test]
fn removing_takes_the_lines_along_and_names_what_was_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let two = devices(TWO);
    store.import(&two, ImportMode::Upsert, false).unwrap();
    let unknown = "SEP0000000000FF".parse().unwrap();
    let missing = store.remove(&[two[0].name, unknown, two[0].name]).unwrap();
    assert_eq!(missing, [unknown]);
    let lines: u32 = store
        .connection
        .query_row("SELECT count(*) FROM lines", [], |row| row.get(0))
        .unwrap();
    assert_eq!(lines, 1);
}

#[test]
fn only_commits_of_others_count_as_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = open(&folder);
    assert!(daemon.changed().unwrap(), "the first look");
    assert!(!daemon.changed().unwrap());
    let mut other = open(&folder);
    other
        .import(&devices(TWO), ImportMode::Upsert, true)
        .unwrap();
    assert!(!daemon.changed().unwrap(), "a dry run");
    other
        .import(&devices(TWO), ImportMode::Upsert, false)
        .unwrap();
    assert!(daemon.changed().unwrap());
    assert!(!daemon.changed().unwrap());
    other
        .import(&devices(TWO), ImportMode::Upsert, false)
        .unwrap();
    assert!(!daemon.changed().unwrap(), "the same again");
}

#[test]
fn settings_of_the_site_default_hold_for_all_sites_below_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let mut set = |site, key: &str, value: Option<&str>| {
        let setting = (key.to_owned(), value.map(str::to_owned));
        store.set_site(site, &[setting]).unwrap();
    };
    set("default", "ntp", Some("10.0.0.1"));
    set("default", "voicemail", Some("8500"));
    set("hq", "ntp", Some("10.0.0.2"));
    set("hq", "servers", Some("cm1"));
    set("hq", "servers", None);
    let mut defaults = Site::default();
    defaults.set("servers", "cm9").unwrap();
    let snapshot = Inventory::new(Box::new(store), defaults)
        .snapshot()
        .unwrap();
    let phone = |site| &snapshot.site(site).unwrap().phone;
    let (hq, other) = (phone("hq"), phone("other"));
    assert_eq!((&*hq.ntp[0], &*hq.voicemail), ("10.0.0.2", "8500"));
    assert_eq!(&*other.ntp[0], "10.0.0.1");
    assert_eq!(
        (&*hq.servers[0].host, &*other.servers[0].host),
        ("cm9", "cm9")
    );
}

#[test]
fn the_load_of_a_device_goes_before_that_of_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    store
        .import(&devices(TWO), ImportMode::Upsert, false)
        .unwrap();
    store
        .set_load("8851", Protocol::Sip, Some("sip88xx.9"))
        .unwrap();
    store
        .set_load("7941", Protocol::Sccp, Some("SCCP41.9"))
        .unwrap();
    store
        .set_load("7941", Protocol::Sip, Some("SIP41.9"))
        .unwrap();
    let snapshot = Inventory::new(Box::new(store), Site::default())
        .snapshot()
        .unwrap();
    let loads: Vec<_> = snapshot
        .devices
        .values()
        .map(|device| snapshot.load(device))
        .collect();
    assert_eq!(loads, [Some("SCCP41.9"), Some("sip88xx.1")]);
}

#[test]
fn a_watch_sees_what_another_connection_commits() {
    let folder = tempfile::tempdir().unwrap();
    let mut inventory = Inventory::new(Box::new(open(&folder)), Site::default());
    assert!(inventory.snapshot_if_changed().unwrap().is_some());
    let (seen, next) = std::sync::mpsc::channel();
    let watch = Watch::start(inventory, Duration::from_millis(5), move |snapshot| {
        seen.send(snapshot.devices.len()).unwrap();
    });
    open(&folder)
        .import(&devices(TWO), ImportMode::Upsert, false)
        .unwrap();
    assert_eq!(next.recv_timeout(Duration::from_secs(10)), Ok(2));
    drop(watch);
    assert!(next.recv().is_err(), "told once, and ended");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder)
        .connection
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let path = folder.path().join("new/inventory.db");
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("schema version 99"), "{error}");
}

#[test]
fn the_database_is_closed_to_other_users() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder);
    let path = folder.path().join("new/inventory.db");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o007, 0);
}

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

#[test]
fn a_window_is_opened_moved_and_closed_and_goes_with_its_device() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let two = devices(TWO);
    store.import(&two, ImportMode::Upsert, false).unwrap();
    let mut watching = open(&folder);
    watching.changed().unwrap();
    store.set_windows(&[two[0].name], Some(1_000)).unwrap();
    assert!(watching.changed().unwrap(), "the daemon is told");
    store.set_windows(&[two[0].name], Some(2_000)).unwrap();
    store.set_windows(&[two[1].name], Some(u64::MAX)).unwrap();
    let windows = store.read().unwrap().windows;
    assert_eq!(
        windows,
        [(two[0].name, 2_000), (two[1].name, u64::MAX)].into()
    );
    store.set_windows(&[two[1].name], None).unwrap();
    store.remove(&[two[0].name]).unwrap();
    assert_eq!(store.read().unwrap().windows, [].into());
}

#[test]
fn a_database_of_schema_1_is_migrated_with_nothing_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(schema::MIGRATIONS[0]).unwrap();
    old.execute_batch(
        "INSERT INTO devices VALUES ('SEP000000000001', '7941', 'sccp', 'hq', 'SCCP41.9', 'Desk');
         INSERT INTO lines VALUES ('SEP000000000001', 0, '1001', 'Alice', 'alice', 'hush');
         INSERT INTO lines VALUES ('SEP000000000001', 1, '1002', '', '', '');
         INSERT INTO sites VALUES ('hq'), ('empty');
         INSERT INTO site_settings VALUES ('hq', 'ntp', '10.0.0.1');
         INSERT INTO model_loads VALUES ('7941', 'sip', 'SIP41.9');
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);

    let contents = SqliteStore::open(&path).unwrap().read().unwrap();
    let mut device = Device::new("SEP000000000001".parse().unwrap(), "7941", Protocol::Sccp);
    device.site = "hq".into();
    device.load = Some("SCCP41.9".into());
    device.description = "Desk".into();
    device.lines = vec![
        Line {
            number: "1001".into(),
            label: "Alice".into(),
            auth_name: "alice".into(),
            secret: "hush".into(),
            ..Line::default()
        },
        Line {
            number: "1002".into(),
            ..Line::default()
        },
    ];
    let expected = Contents {
        devices: vec![device],
        sites: [
            ("empty".into(), LayerSettings::new()),
            ("hq".into(), [("ntp".into(), "10.0.0.1".into())].into()),
        ]
        .into(),
        loads: [(("7941".into(), Protocol::Sip), "SIP41.9".into())].into(),
        ..Contents::default()
    };
    assert_eq!(contents, expected);
}

fn history(store: &mut SqliteStore) -> Vec<Entry> {
    store.history(&HistoryQuery::default()).unwrap()
}

#[test]
fn every_change_is_remembered_with_who_did_it_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let site = |settings: &[(&str, &str)]| {
        let settings = settings.iter();
        let settings = settings.map(|(key, value)| ((*key).into(), (*value).into()));
        Record::Site("hq".into(), settings.collect())
    };
    let (one, two) = (
        site(&[("ntp", "10.0.0.1"), ("ssh_password", "hush")]),
        site(&[("ntp", "10.0.0.2"), ("ssh_password", "hush, hush")]),
    );
    for change in [
        Change::Added(one.clone()),
        Change::Changed {
            before: one,
            after: two.clone(),
        },
        Change::Removed(two),
    ] {
        store
            .edit(Scope::Everything, &origin(), &mut |_| vec![change.clone()])
            .unwrap();
    }
    let entries = history(&mut store);
    let fields: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.done.as_str(),
                serde_json::to_value(&entry.fields).unwrap(),
            )
        })
        .collect();
    let secret = || serde_json::json!({ "column": "ssh_password", "secret": true });
    assert_eq!(
        fields,
        [
            (
                "added",
                serde_json::json!([{ "column": "ntp", "after": "10.0.0.1" }, secret()])
            ),
            (
                "changed",
                serde_json::json!([
                    { "column": "ntp", "before": "10.0.0.1", "after": "10.0.0.2" },
                    secret()
                ])
            ),
            (
                "removed",
                serde_json::json!([{ "column": "ntp", "before": "10.0.0.2" }, secret()])
            ),
        ]
    );
    for entry in &entries {
        assert_eq!((&*entry.who, &*entry.how), ("alice", "test"));
        assert_eq!((entry.table, &*entry.key), (Table::Sites, "hq"));
        assert!(entry.at > 1_700_000_000, "{}", entry.at);
    }
}

#[test]
fn the_history_is_bounded_by_number_and_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder).keeping(HistorySettings {
        entries: 3,
        days: 10,
    });
    let two = devices(TWO);
    for _ in 0..4 {
        store.import(&two, ImportMode::Upsert, false).unwrap();
        store.import(&[], ImportMode::Replace, false).unwrap();
    }
    let done: Vec<_> = history(&mut store)
        .into_iter()
        .map(|entry| entry.done)
        .collect();
    assert_eq!(done, ["added", "removed", "removed"], "the latest three");

    let age = "UPDATE history SET at = at - 11 * 86400 WHERE id < (SELECT max(id) FROM history)";
    store.connection.execute(age, []).unwrap();
    store.import(&two[..1], ImportMode::Upsert, false).unwrap();
    let done: Vec<_> = history(&mut store)
        .into_iter()
        .map(|entry| entry.done)
        .collect();
    assert_eq!(done, ["removed", "added"], "older ones are forgotten");
}

#[test]
fn the_history_is_asked_by_record_by_time_and_for_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let two = devices(TWO);
    store.import(&two, ImportMode::Upsert, false).unwrap();
    store
        .set_load("7941", Protocol::Sccp, Some("SCCP41.9"))
        .unwrap();
    let mut keys = |query: HistoryQuery| -> Vec<String> {
        let entries = store.history(&query).unwrap();
        entries.into_iter().map(|entry| entry.key).collect()
    };
    let all = || HistoryQuery::default();
    let first = two[0].name.to_string();
    assert_eq!(
        keys(HistoryQuery {
            table: Some(Table::Devices),
            key: Some(first.clone()),
            ..all()
        }),
        [first]
    );
    assert_eq!(
        keys(HistoryQuery {
            last: Some(1),
            ..all()
        }),
        ["7941/sccp"]
    );
    assert_eq!(
        keys(HistoryQuery {
            since: Some(u64::MAX >> 1),
            ..all()
        }),
        [""; 0]
    );
    assert_eq!(
        keys(HistoryQuery {
            since: Some(1),
            ..all()
        })
        .len(),
        3
    );
}
