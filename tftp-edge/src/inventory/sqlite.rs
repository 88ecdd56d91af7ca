//! The inventory in SQLite: WAL, so that the daemon reads while the command line writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
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
            fs::create_dir_all(folder).map_err(creating)?;
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
            load: row.get(4)?,
            description: row.get(5)?,
            lines: Vec::new(),
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
