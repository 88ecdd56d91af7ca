//! The database full, locked, damaged, gone and put back, as the daemon and the command line meet it.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::sqlite::last_good;
use super::*;
use crate::alarms::AlarmKind;
use crate::storage::Fault as StorageFault;
use crate::storage::testing::SmallDisk;

const DEVICES: usize = 300;

/// A daemon's inventory, with time stepped by hand.
struct Daemon {
    inventory: Inventory,
    alarms: Arc<Alarms>,
    began: Instant,
}

impl Daemon {
    fn start(settings: &Settings) -> Self {
        let alarms = Arc::<Alarms>::default();
        Self {
            inventory: Inventory::serve(settings, Arc::clone(&alarms)),
            alarms,
            began: Instant::now(),
        }
    }

    /// A look so many seconds after the start.
    fn look(&mut self, second: u64) -> Result<Option<Snapshot>, StoreError> {
        let mut guard = self.inventory.guard.take().unwrap();
        let now = self.began + Duration::from_secs(second);
        let seen = self.inventory.look_guarded(&mut guard, now);
        self.inventory.guard = Some(guard);
        seen
    }

    /// What is served.
    fn devices(&self) -> usize {
        self.inventory
            .last
            .as_ref()
            .map_or(0, |it| it.devices.len())
    }

    fn problems(&self) -> Vec<String> {
        let alarms = self.alarms.list().into_iter();
        let alarms = alarms.filter(|it| it.kind == AlarmKind::Inventory);
        alarms.map(|it| it.problem).collect()
    }

    fn problem(&self) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.concat()
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        database: folder.join("inventory.db"),
        ..Settings::default()
    }
}

fn csv(devices: std::ops::Range<usize>) -> Vec<Device> {
    let mut rows = String::from("name,model,protocol,lines,description\n");
    for at in devices {
        rows += &format!("SEP{at:012X},8851,sip,line{at:05},{}\n", "x".repeat(50));
    }
    parse_csv(rows.as_bytes()).unwrap()
}

fn import(settings: &Settings, devices: std::ops::Range<usize>) -> Result<(), StoreError> {
    let mut store = SqliteStore::open(&settings.database)?;
    store.import(&csv(devices), ImportMode::Upsert, false)?;
    Ok(())
}

/// An inventory with a last good copy, and nobody who has it open.
fn kept(folder: &Path) -> Settings {
    let settings = settings(folder);
    import(&settings, 0..DEVICES).unwrap();
    let mut daemon = Daemon::start(&settings);
    assert!(daemon.look(0).unwrap().is_some());
    daemon.look(11).unwrap();
    assert!(last_good(&settings.database).exists());
    assert_eq!(daemon.problems(), [""; 0]);
    settings
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Damages the page that holds a text.
fn damage_page_with(path: &Path, text: &str) {
    const PAGE: usize = 4096;
    let bytes = fs::read(path).unwrap();
    let mut windows = bytes.windows(text.len());
    let at = windows.position(|it| it == text.as_bytes()).unwrap();
    overwrite(path, (at / PAGE * PAGE) as u64, &[0xFF; PAGE]);
}

type Damage = fn(&Path);

/// Each of the ways in which a file is found after a power cut, or a slip of the hand.
const DAMAGES: [(&str, Damage); 6] = [
    ("its header is overwritten", |path| {
        overwrite(path, 0, &[0; 100]);
    }),
    ("a page in its middle is overwritten", |path| {
        damage_page_with(path, "line00150");
    }),
    ("it is cut off", |path| {
        let len = fs::metadata(path).unwrap().len();
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(len / 2).unwrap();
    }),
    ("it is no database", |path| {
        fs::write(path, "this is something else\n".repeat(1_000)).unwrap();
    }),
    ("it is empty", |path| fs::write(path, "").unwrap()),
    ("it is gone", |path| fs::remove_file(path).unwrap()),
];

#[test]
fn a_daemon_starts_with_the_last_good_copy_and_goes_on_with_what_is_repaired() {
    for (what, damage) in DAMAGES {
        let folder = tempfile::tempdir().unwrap();
        let settings = kept(folder.path());
        damage(&settings.database);
        let mut daemon = Daemon::start(&settings);
        let first = daemon.look(0).unwrap();
        assert_eq!(first.unwrap().devices.len(), DEVICES, "{what}");
        let problem = daemon.problem();
        for part in ["last good copy", "is served", "inventory repair"] {
            assert!(problem.contains(part), "{what}: {problem}");
        }
        assert!(daemon.look(3).unwrap().is_none(), "{what}");
        assert!(daemon.problem().contains("last good copy"), "{what}");
        // Who would change it is told the same, and cannot.
        let refused = import(&settings, 0..DEVICES).unwrap_err();
        assert!(refused.to_string().contains("inventory repair"), "{what}");

        let report = repair_database(&settings.database, false).unwrap();
        assert_eq!(report.devices, DEVICES as u64, "{what}: {report:?}");
        assert!(report.losses.is_empty(), "{what}: {:?}", report.losses);
        let repaired = daemon.look(6).unwrap();
        assert_eq!(repaired.unwrap().devices.len(), DEVICES, "{what}");
        assert_eq!(daemon.problems(), [""; 0], "{what}");
        import(&settings, DEVICES..DEVICES + 1).unwrap();
        let changed = daemon.look(9).unwrap();
        assert_eq!(changed.unwrap().devices.len(), DEVICES + 1, "{what}");
    }
}

#[test]
fn without_a_copy_a_damaged_inventory_is_not_served_as_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    import(&settings, 0..DEVICES).unwrap();
    overwrite(&settings.database, 0, &[0; 100]);
    let error = Daemon::start(&settings).look(0).unwrap_err();
    assert!(error.needs_repair(), "{error}");
    assert!(error.to_string().contains("inventory repair"), "{error}");
}

#[test]
fn a_database_that_is_damaged_while_it_is_served_never_becomes_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    let settings = kept(folder.path());
    let copy = last_good(&settings.database);
    let before = fs::read(&copy).unwrap();
    let mut daemon = Daemon::start(&settings);
    daemon.look(0).unwrap();
    damage_page_with(&settings.database, "line00150");
    // Something else is committed, and so it is read anew.
    let site = "INSERT INTO sites (name) VALUES ('late')";
    Connection::open(&settings.database)
        .unwrap()
        .execute(site, [])
        .unwrap();
    assert!(daemon.look(1).unwrap().is_none());
    assert_eq!(daemon.devices(), DEVICES, "what was read last");
    let problem = daemon.problem();
    assert!(problem.contains("is damaged"), "{problem}");
    for second in [20, 100, 200] {
        daemon.look(second).unwrap();
    }
    assert_eq!(fs::read(&copy).unwrap(), before);
}

#[test]
fn a_damaged_index_is_told_though_all_rows_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let settings = kept(folder.path());
    let connection = Connection::open(&settings.database).unwrap();
    // Rows that the index of the history does not have.
    connection
        .execute_batch(
            "PRAGMA writable_schema = on;
             CREATE TABLE spare AS SELECT rootpage FROM sqlite_schema WHERE name = 'history_name';
             UPDATE sqlite_schema SET rootpage =
                 (SELECT rootpage FROM sqlite_schema WHERE name = 'spare')
             WHERE name = 'history_name';",
        )
        .unwrap();
    drop(connection);
    let copy = last_good(&settings.database);
    let before = fs::read(&copy).unwrap();
    let mut daemon = Daemon::start(&settings);
    daemon.look(0).unwrap();
    assert_eq!(daemon.devices(), DEVICES);
    daemon.look(11).unwrap();
    daemon.look(12).unwrap();
    assert!(
        daemon.problem().contains("Repair it"),
        "{}",
        daemon.problem()
    );
    assert_eq!(fs::read(&copy).unwrap(), before);
}

#[test]
fn a_locked_database_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let settings = kept(folder.path());
    let other = Connection::open(&settings.database).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE; COMMIT")
        .unwrap();
    let mut daemon = Daemon::start(&settings);
    assert!(daemon.look(0).unwrap().is_some(), "the copy");
    assert!(daemon.problem().contains("locked"), "{}", daemon.problem());
    drop(other);
    assert!(daemon.look(1).unwrap().is_none(), "not tried yet");
    assert!(daemon.look(3).unwrap().is_some());
    assert_eq!(daemon.problems(), [""; 0]);
}

#[test]
fn a_full_disk_changes_nothing_half_and_is_over_when_there_is_room() {
    SmallDisk::with(2 << 20, |disk| {
        let settings = kept(disk.path());
        let mut daemon = Daemon::start(&settings);
        daemon.look(0).unwrap();
        // The copy of this one finds no room, when it is time for one.
        import(&settings, DEVICES..DEVICES + 1).unwrap();
        daemon.look(1).unwrap();
        disk.fill();
        daemon.look(12).unwrap();
        let problem = daemon.problem();
        for part in [
            "inventory.db.last-good",
            "0 of 2097152 bytes are free",
            "make room",
        ] {
            assert!(problem.contains(part), "{problem}");
        }
        let error = import(&settings, 1_000..2_000).unwrap_err();
        let StoreError::Fault { fault, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*fault, StorageFault::Full);
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        daemon.look(13).unwrap();
        assert_eq!(daemon.devices(), DEVICES + 1);

        disk.free();
        import(&settings, 1_000..1_100).unwrap();
        daemon.look(14).unwrap();
        assert_eq!(daemon.devices(), DEVICES + 101);
        daemon.look(100).unwrap();
        assert_eq!(daemon.problems(), [""; 0]);
    });
}

#[test]
fn a_full_or_read_only_disk_is_no_reason_not_to_start() {
    SmallDisk::with(2 << 20, |disk| {
        let settings = kept(disk.path());
        for make in [SmallDisk::fill, |disk: &SmallDisk| disk.set_writable(false)] {
            make(disk);
            let mut daemon = Daemon::start(&settings);
            daemon.look(0).unwrap();
            assert_eq!(daemon.devices(), DEVICES);
        }
        let error = import(&settings, DEVICES..DEVICES + 1).unwrap_err();
        assert!(error.to_string().contains("read-only"), "{error}");
        disk.set_writable(true);
        disk.free();
        import(&settings, DEVICES..DEVICES + 1).unwrap();
    });
}

#[test]
fn another_database_that_is_put_in_place_is_gone_after_by_all_who_have_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let settings = kept(folder.path());
    let mut daemon = Daemon::start(&settings);
    daemon.look(0).unwrap();
    let mut writer = SqliteStore::open(&settings.database).unwrap();
    writer.read().unwrap();
    let other = Settings {
        database: folder.path().join("other.db"),
        ..Settings::default()
    };
    import(&other, 0..7).unwrap();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(crate::storage::with_suffix(&settings.database, end));
    }
    fs::rename(&other.database, &settings.database).unwrap();
    assert!(daemon.look(1).unwrap().is_some());
    assert_eq!(daemon.devices(), 7);
    // A change goes to the file that is seen, not to the one that is gone.
    writer
        .import(&csv(7..8), ImportMode::Upsert, false)
        .unwrap();
    daemon.look(2).unwrap();
    assert_eq!(daemon.devices(), 8);
}

#[test]
fn what_cannot_be_read_comes_from_the_copy_and_what_is_newer_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let settings = kept(folder.path());
    // Newer than the copy: one more, one less.
    import(&settings, DEVICES..DEVICES + 1).unwrap();
    let removed = "DELETE FROM devices WHERE name = 'SEP000000000000'";
    let connection = Connection::open(&settings.database).unwrap();
    connection
        .execute_batch("PRAGMA foreign_keys = on")
        .unwrap();
    connection.execute(removed, []).unwrap();
    drop(connection);
    damage_page_with(&settings.database, "line00150");
    let names = || {
        let found = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = found.map(|it| it.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    };
    let (bytes, before) = (fs::read(&settings.database).unwrap(), names());
    let dry = repair_database(&settings.database, true).unwrap();
    assert_eq!(fs::read(&settings.database).unwrap(), bytes);
    let stayed = names();
    let stayed = stayed
        .iter()
        .filter(|it| !it.to_string_lossy().ends_with("-shm"));
    let stayed = stayed.filter(|it| !it.to_string_lossy().ends_with("-wal"));
    assert_eq!(
        stayed.collect::<Vec<_>>(),
        before.iter().collect::<Vec<_>>()
    );

    let report = repair_database(&settings.database, false).unwrap();
    assert_eq!(format!("{:?}", dry.tables), format!("{:?}", report.tables));
    assert!(!report.problems.is_empty());
    let of = |name| report.tables.iter().find(|it| it.table == name).unwrap();
    let (devices, lines) = (of("devices"), of("lines"));
    assert!(devices.is_whole && devices.read == DEVICES as u64 && devices.from_copy == 0);
    assert!(
        !lines.is_whole && lines.read > 0 && lines.from_copy > 0,
        "{lines:?}"
    );
    let contents = SqliteStore::open(&settings.database)
        .unwrap()
        .read()
        .unwrap();
    assert_eq!(contents.devices, csv(1..DEVICES + 1));
    assert_eq!(fs::read(report.aside.unwrap()).unwrap(), bytes);
    let again = repair_database(&settings.database, false).unwrap();
    assert!(again.problems.is_empty(), "{:?}", again.problems);
}

#[test]
fn without_a_copy_what_is_lost_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    import(&settings, 0..DEVICES).unwrap();
    damage_page_with(&settings.database, "line00150");
    let report = repair_database(&settings.database, false).unwrap();
    let lost: Vec<_> = report.losses.iter().map(|it| &*it.row).collect();
    assert!(lost.contains(&"SEP000000000096"), "150 in hex: {lost:?}");
    let contents = SqliteStore::open(&settings.database)
        .unwrap()
        .read()
        .unwrap();
    let without: Vec<_> = contents
        .devices
        .iter()
        .filter(|it| it.lines.is_empty())
        .collect();
    assert_eq!(without.len(), lost.len(), "no more, and no less");
}

#[test]
fn a_row_that_nobody_understands_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    import(&settings, 0..3).unwrap();
    let odd = "INSERT INTO objects VALUES ('pigeons', 'x', '{}')";
    Connection::open(&settings.database)
        .unwrap()
        .execute(odd, [])
        .unwrap();
    let report = repair_database(&settings.database, false).unwrap();
    assert_eq!(report.losses.len(), 1);
    assert_eq!(
        (&*report.losses[0].table, &*report.losses[0].row),
        ("objects", "x")
    );
    assert_eq!(report.devices, 3);
}

#[test]
fn nothing_is_repaired_under_the_hands_of_who_writes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    import(&settings, 0..3).unwrap();
    let writer = Connection::open(&settings.database).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = repair_database(&settings.database, false).unwrap_err();
    assert!(error.to_string().contains("locked"), "{error}");
}

#[test]
fn a_database_of_a_newer_program_is_not_repaired_nor_replaced_by_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    let settings = kept(folder.path());
    let connection = Connection::open(&settings.database).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    for error in [
        repair_database(&settings.database, false).unwrap_err(),
        Daemon::start(&settings).look(0).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::TooNew { .. }), "{error}");
    }
}
