//! The inventory in SQLite: WAL, so that the daemon reads while the command line writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{Contents, Device, DeviceName, ImportMode, Line, Protocol, Store, StoreError, Summary};

/// One step for each schema version; `user_version` says how many have been taken.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE devices (
        name        TEXT PRIMARY KEY,
        model       TEXT NOT NULL,
        protocol    TEXT NOT NULL CHECK (protocol IN ('sip', 'sccp')),
        site        TEXT NOT NULL,
        load        TEXT,
        description TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE lines (
        device    TEXT NOT NULL REFERENCES devices (name) ON DELETE CASCADE,
        position  INTEGER NOT NULL,
        number    TEXT NOT NULL,
        label     TEXT NOT NULL,
        auth_name TEXT NOT NULL,
        secret    TEXT NOT NULL,
        PRIMARY KEY (device, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sites (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE site_settings (
        site  TEXT NOT NULL REFERENCES sites (name) ON DELETE CASCADE,
        key   TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (site, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE model_loads (
        model    TEXT NOT NULL,
        protocol TEXT NOT NULL CHECK (protocol IN ('sip', 'sccp')),
        load     TEXT NOT NULL,
        PRIMARY KEY (model, protocol)
    ) STRICT, WITHOUT ROWID;
"];

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);

pub struct SqliteStore {
    connection: Connection,
    /// `PRAGMA data_version` at the last look: changes with every commit of another connection.
    seen: Option<i64>,
}

impl SqliteStore {
    /// Opens the database, makes it if there is none, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let creating = |source| StoreError::Create {
            path: path.into(),
            source,
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            // Whatever the umask: closed to other users.
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(folder)
                .map_err(creating)?;
        }
        // Made before SQLite makes it: it holds the passwords of lines. The journal files take
        // over its mode.
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o640)
            .open(path)
            .map_err(creating)?;
        let connection = Connection::open(path)
            .and_then(|connection| {
                connection.busy_timeout(BUSY)?;
                connection.pragma_update(None, "journal_mode", "wal")?;
                connection.pragma_update(None, "foreign_keys", true)?;
                Ok(connection)
            })
            .map_err(|source| StoreError::Open {
                path: path.into(),
                source,
            })?;
        let mut store = Self {
            connection,
            seen: None,
        };
        store.migrate(path)?;
        Ok(store)
    }

    fn migrate(&mut self, path: &Path) -> Result<(), StoreError> {
        let version = |connection: &Connection| {
            connection
                .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
                .map(|version| version as usize)
        };
        // The common case takes no write lock.
        if version(&self.connection)? == MIGRATIONS.len() {
            return Ok(());
        }
        let transaction = self.write()?;
        let found = version(&transaction)?;
        let Some(steps) = MIGRATIONS.get(found..) else {
            return Err(StoreError::TooNew {
                path: path.into(),
                found,
                known: MIGRATIONS.len(),
            });
        };
        for step in steps {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
        Ok(transaction.commit()?)
    }

    /// A transaction that has the write lock from its beginning: what it reads stays so.
    fn write(&mut self) -> Result<Transaction<'_>, StoreError> {
        Ok(self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

impl Store for SqliteStore {
    fn read(&mut self) -> Result<Contents, StoreError> {
        let transaction = self.connection.transaction()?;
        let mut contents = Contents {
            devices: read_devices(&transaction)?,
            ..Contents::default()
        };
        let mut sites = transaction.prepare_cached("SELECT name FROM sites")?;
        for name in sites.query_map([], |row| row.get(0))? {
            contents.sites.insert(name?, BTreeMap::new());
        }
        let mut settings =
            transaction.prepare_cached("SELECT site, key, value FROM site_settings")?;
        let mut rows = settings.query([])?;
        while let Some(row) = rows.next()? {
            let of_site = contents.sites.entry(row.get(0)?).or_default();
            of_site.insert(row.get(1)?, row.get(2)?);
        }
        let mut loads =
            transaction.prepare_cached("SELECT model, protocol, load FROM model_loads")?;
        let mut rows = loads.query([])?;
        while let Some(row) = rows.next()? {
            let model: String = row.get(0)?;
            let protocol = protocol(&model, row.get(1)?)?;
            contents.loads.insert((model, protocol), row.get(2)?);
        }
        Ok(contents)
    }

    fn changed(&mut self) -> Result<bool, StoreError> {
        let version = self
            .connection
            .pragma_query_value(None, "data_version", |row| row.get(0))?;
        Ok(self.seen.replace(version) != Some(version))
    }

    fn import(
        &mut self,
        devices: &[Device],
        mode: ImportMode,
        dry_run: bool,
    ) -> Result<Summary, StoreError> {
        let transaction = self.write()?;
        let mut stored: HashMap<DeviceName, Device> = read_devices(&transaction)?
            .into_iter()
            .map(|device| (device.name, device))
            .collect();
        let mut summary = Summary::default();
        {
            let mut writer = DeviceWriter::new(&transaction)?;
            for device in devices {
                match stored.remove(&device.name) {
                    Some(before) if before == *device => summary.unchanged += 1,
                    Some(_) => {
                        summary.changed += 1;
                        writer.write(device)?;
                    }
                    None => {
                        summary.added += 1;
                        writer.write(device)?;
                    }
                }
            }
            match mode {
                ImportMode::Upsert => summary.unchanged += stored.len(),
                ImportMode::Replace => {
                    summary.removed = stored.len();
                    for name in stored.keys() {
                        writer.remove(*name)?;
                    }
                }
            }
        }
        // A commit that writes nothing still wakes nobody: SQLite leaves its version as it was.
        match dry_run {
            true => transaction.rollback()?,
            false => transaction.commit()?,
        }
        Ok(summary)
    }

    fn remove(&mut self, names: &[DeviceName]) -> Result<Vec<DeviceName>, StoreError> {
        let transaction = self.write()?;
        let mut missing = Vec::new();
        {
            let mut writer = DeviceWriter::new(&transaction)?;
            for &name in BTreeSet::from_iter(names) {
                if !writer.remove(name)? {
                    missing.push(name);
                }
            }
        }
        transaction.commit()?;
        Ok(missing)
    }

    fn set_site(
        &mut self,
        site: &str,
        settings: &[(String, Option<String>)],
    ) -> Result<(), StoreError> {
        let transaction = self.write()?;
        transaction.execute("INSERT OR IGNORE INTO sites (name) VALUES (?1)", [site])?;
        for (key, value) in settings {
            match value {
                Some(value) => transaction.execute(
                    "INSERT INTO site_settings (site, key, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (site, key) DO UPDATE SET value = excluded.value",
                    params![site, key, value],
                )?,
                None => transaction.execute(
                    "DELETE FROM site_settings WHERE site = ?1 AND key = ?2",
                    params![site, key],
                )?,
            };
        }
        Ok(transaction.commit()?)
    }

    fn set_load(
        &mut self,
        model: &str,
        protocol: Protocol,
        load: Option<&str>,
    ) -> Result<(), StoreError> {
        match load {
            Some(load) => self.connection.execute(
                "INSERT INTO model_loads (model, protocol, load) VALUES (?1, ?2, ?3)
                 ON CONFLICT (model, protocol) DO UPDATE SET load = excluded.load",
                params![model, protocol.as_str(), load],
            )?,
            None => self.connection.execute(
                "DELETE FROM model_loads WHERE model = ?1 AND protocol = ?2",
                params![model, protocol.as_str()],
            )?,
        };
        Ok(())
    }
}

/// The statements that change devices, prepared once for a whole import.
struct DeviceWriter<'t> {
    device: rusqlite::CachedStatement<'t>,
    clear_lines: rusqlite::CachedStatement<'t>,
    line: rusqlite::CachedStatement<'t>,
    remove: rusqlite::CachedStatement<'t>,
}

impl<'t> DeviceWriter<'t> {
    fn new(transaction: &'t Transaction<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            device: transaction.prepare_cached(
                "INSERT INTO devices (name, model, protocol, site, load, description)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (name) DO UPDATE SET
                     model = excluded.model, protocol = excluded.protocol, site = excluded.site,
                     load = excluded.load, description = excluded.description",
            )?,
            clear_lines: transaction.prepare_cached("DELETE FROM lines WHERE device = ?1")?,
            line: transaction.prepare_cached(
                "INSERT INTO lines (device, position, number, label, auth_name, secret)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            remove: transaction.prepare_cached("DELETE FROM devices WHERE name = ?1")?,
        })
    }

    fn write(&mut self, device: &Device) -> Result<(), StoreError> {
        let name = device.name.to_string();
        self.device.execute(params![
            name,
            device.model,
            device.protocol.as_str(),
            device.site,
            device.load,
            device.description
        ])?;
        self.clear_lines.execute([&name])?;
        for (position, line) in (0_u32..).zip(&device.lines) {
            self.line.execute(params![
                name,
                position,
                line.number,
                line.label,
                line.auth_name,
                line.secret
            ])?;
        }
        Ok(())
    }

    fn remove(&mut self, name: DeviceName) -> Result<bool, StoreError> {
        Ok(self.remove.execute([name.to_string()])? != 0)
    }
}

/// All devices, in the order of their names.
fn read_devices(connection: &Connection) -> Result<Vec<Device>, StoreError> {
    let mut devices = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT name, model, protocol, site, load, description FROM devices ORDER BY name",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        devices.push(Device {
            protocol: protocol(&name, row.get(2)?)?,
            name: name.parse().map_err(|_| StoreError::Row {
                name: name.clone(),
                column: "name",
                value: name.clone(),
            })?,
            model: row.get(1)?,
            site: row.get(3)?,
            profile: None,
            load: row.get(4)?,
            description: row.get(5)?,
            owner: String::new(),
            lines: Vec::new(),
            keys: BTreeMap::new(),
            modules: Vec::new(),
            settings: BTreeMap::new(),
        });
    }
    // Both are in the order of the name, so one walk brings them together.
    let mut statement = connection.prepare_cached(
        "SELECT device, number, label, auth_name, secret FROM lines ORDER BY device, position",
    )?;
    let mut rows = statement.query([])?;
    let mut at = 0;
    let mut name = devices.first().map(|device| device.name.to_string());
    while let Some(row) = rows.next()? {
        let of_device = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        while name.as_deref().is_some_and(|name| name < of_device) {
            at += 1;
            name = devices.get(at).map(|device| device.name.to_string());
        }
        if name.as_deref() == Some(of_device) {
            devices[at].lines.push(Line {
                number: row.get(1)?,
                label: row.get(2)?,
                auth_name: row.get(3)?,
                secret: row.get(4)?,
                ..Line::default()
            });
        }
    }
    Ok(devices)
}

fn protocol(name: &str, value: String) -> Result<Protocol, StoreError> {
    value.parse().map_err(|()| StoreError::Row {
        name: name.into(),
        column: "protocol",
        value,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::super::{Inventory, Site, Watch, parse_csv};
    use super::*;

    fn open(folder: &TempDir) -> SqliteStore {
        SqliteStore::open(&folder.path().join("new/inventory.db")).unwrap()
    }

    fn devices(rows: &str) -> Vec<Device> {
        let header = "name,model,protocol,lines,secret,site,load,description\n";
        parse_csv(format!("{header}{rows}").as_bytes()).unwrap()
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
            summary(0, 1, 0, 1)
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
}
