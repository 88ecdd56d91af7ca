//! The database of the inventory, as its users and other processes see it.

mod history;
mod records;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::super::{
    Device, ImportMode, Inventory, LayerSettings, Line, Protocol, Site, Summary, Unchecked, Watch,
    parse_csv,
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
