//! The inventory in SQLite: WAL, so that the daemon reads while the command line writes.
//!
//! The file may be put in place of another one at any time, by `inventory repair` or by a person
//! with a backup. A connection would go on with the old file, which nobody sees any more; so each
//! looks whether the path still leads to its file, and is made anew where it does not.

mod check;
mod devices;
mod following;
mod history;
mod repair;
mod schema;
mod shared;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{
    Change, Contents, DeviceName, Entry, HistoryQuery, HistorySettings, Origin, Record, Scope,
    Store, StoreError,
};
use crate::private_file;
use crate::storage::{Fault, with_suffix};
use devices::DeviceWriter;
pub use following::Following;
pub use repair::{Loss, Report, TableReport, repair};

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);

/// All statements an import uses, with room to spare.
const STATEMENTS: usize = 64;

/// How often a writer goes after a file that is another one each time it is looked at.
const CHASES: usize = 5;

pub struct SqliteStore {
    path: PathBuf,
    connection: Connection,
    /// The file that the connection has.
    file: FileId,
    /// `PRAGMA data_version` at the last look: changes with every commit of another connection.
    seen: Option<i64>,
    history: HistorySettings,
}

/// Device and inode.
type FileId = (u64, u64);

fn file_at(path: &Path) -> Option<FileId> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        database(error)
    }
}

fn database(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Database(error.into())
}

/// The same, with the file, and what is the matter with it.
fn explained(error: StoreError, path: &Path) -> StoreError {
    let (fault, told) = match &error {
        StoreError::Database(cause) | StoreError::Open { source: cause, .. } => {
            let Some(cause) = cause.downcast_ref::<rusqlite::Error>() else {
                return error;
            };
            let fault = Fault::of_sqlite(cause, path);
            if fault == Fault::Damaged {
                return damaged(path, cause);
            }
            (fault, fault.told(path, cause))
        }
        StoreError::Create { source, .. } => {
            let fault = Fault::of_io(source);
            (fault, fault.told(path, source))
        }
        _ => return error,
    };
    let path = path.into();
    match fault {
        Fault::Other => error,
        _ => StoreError::Fault { path, fault, told },
    }
}

fn damaged(path: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    let fault = Fault::Damaged;
    let told = fault.told(path, problem);
    StoreError::Fault {
        path: path.into(),
        fault,
        told: format!("{told}; `tftp-edge inventory repair` saves what can be saved"),
    }
}

/// Where the daemon keeps the last state that it found to be sound.
pub(in crate::inventory) fn last_good(database: &Path) -> PathBuf {
    with_suffix(database, ".last-good")
}

/// A file cut off to nothing is an empty database to SQLite, and one that is gone is made anew: with
/// a copy of what was in it beside it, neither is what anybody wants served.
fn ensure_not_lost(path: &Path) -> Result<(), StoreError> {
    let is_empty = fs::metadata(path).is_ok_and(|found| found.len() == 0);
    let wal = fs::metadata(with_suffix(path, "-wal"));
    let is_made = is_empty && wal.is_ok_and(|wal| wal.len() > 0);
    let copy = last_good(path);
    if (is_empty && !is_made || !path.exists()) && copy.exists() {
        let path = path.into();
        return Err(StoreError::Lost { path, copy });
    }
    Ok(())
}

impl SqliteStore {
    /// Opens the database, makes it if there is none, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_waiting(path, BUSY)
    }

    /// The same, waiting so long for whoever has it.
    fn open_waiting(path: &Path, busy: Duration) -> Result<Self, StoreError> {
        ensure_not_lost(path)?;
        Self::try_open(path, busy).map_err(|error| explained(error, path))
    }

    fn try_open(path: &Path, busy: Duration) -> Result<Self, StoreError> {
        let creating = |source| StoreError::Create {
            path: path.into(),
            source,
        };
        // It holds the passwords of lines.
        private_file::create(path).map_err(creating)?;
        let (connection, file) = connect(path, busy).map_err(|source| StoreError::Open {
            path: path.into(),
            source: source.into(),
        })?;
        let mut store = Self {
            path: path.into(),
            connection,
            file,
            seen: None,
            history: HistorySettings::default(),
        };
        schema::migrate(&mut store.connection, path)?;
        Ok(store)
    }

    /// What the copy holds that [`Store::copy_to`] made.
    pub(in crate::inventory) fn read_copy(path: &Path) -> Result<Contents, StoreError> {
        check::read_copy(path)
    }

    /// Remembers changes as these settings say.
    pub fn keeping(mut self, history: HistorySettings) -> Self {
        self.history = history;
        self
    }

    /// Whether the path leads to another file than the one that is open, or to none.
    fn is_elsewhere(&self) -> bool {
        file_at(&self.path) != Some(self.file)
    }

    /// Goes after the file, if it is another one.
    fn follow(&mut self) -> Result<(), StoreError> {
        if self.is_elsewhere() {
            let history = self.history;
            *self = Self::open(&self.path)?.keeping(history);
        }
        Ok(())
    }

    fn explain<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        done.map_err(|error| explained(error, &self.path))
    }

    /// Does something in a transaction that has the write lock from its beginning: what it reads
    /// stays so.
    fn write<T>(
        &mut self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for _ in 0..CHASES {
            self.follow()?;
            let path = &self.path;
            let immediate = TransactionBehavior::Immediate;
            let transaction = self
                .connection
                .transaction_with_behavior(immediate)
                .map_err(|error| explained(error.into(), path))?;
            // Who puts another file in place holds the lock until that is done.
            if file_at(path) != Some(self.file) {
                continue;
            }
            let done = act(&transaction).and_then(|done| Ok((transaction.commit()?, done).1));
            return done.map_err(|error| explained(error, path));
        }
        Err(StoreError::Fault {
            path: self.path.clone(),
            fault: Fault::Other,
            told: "somebody puts another file in its place again and again".into(),
        })
    }
}

fn connect(path: &Path, busy: Duration) -> Result<(Connection, FileId), rusqlite::Error> {
    let connection = Connection::open(path)?;
    // Of one that was replaced in between, the next look sees that it is another.
    let file = file_at(path).unwrap_or_default();
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok((connection, file))
}

impl Store for SqliteStore {
    fn read(&mut self) -> Result<Contents, StoreError> {
        self.follow()?;
        let path = &self.path;
        // One transaction for all the tables, so that they are those of one commit.
        let transaction = self.connection.transaction();
        transaction
            .map_err(StoreError::from)
            .and_then(|transaction| read(&transaction, Scope::Everything))
            .map_err(|error| explained(error, path))
    }

    fn changed(&mut self) -> Result<bool, StoreError> {
        self.follow()?;
        let version = self
            .connection
            .pragma_query_value(None, "data_version", |row| row.get(0));
        let version = self.explain(version.map_err(StoreError::from))?;
        Ok(self.seen.replace(version) != Some(version))
    }

    fn edit(
        &mut self,
        scope: Scope<'_>,
        origin: &Origin,
        edit: &mut dyn FnMut(Contents) -> Vec<Change>,
    ) -> Result<Vec<Change>, StoreError> {
        let history = self.history;
        self.write(|transaction| {
            let changes = edit(read(transaction, scope)?);
            // A commit that writes nothing still wakes nobody: SQLite leaves its version as it was.
            write(transaction, &changes)?;
            history::write(transaction, &changes, origin, history)?;
            Ok(changes)
        })
    }

    fn history(&mut self, query: &HistoryQuery) -> Result<Vec<Entry>, StoreError> {
        self.follow()?;
        self.explain(history::read(&self.connection, query))
    }

    fn copy_to(&mut self, path: &Path) -> Result<(), StoreError> {
        self.follow()?;
        check::ensure_sound(&self.connection, &self.path)?;
        check::copy(&self.connection, &self.path, path)
    }

    fn set_windows(
        &mut self,
        devices: &[DeviceName],
        until: Option<u64>,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut open = transaction.prepare_cached(
                "INSERT INTO windows (device, until) VALUES (?1, ?2)
                 ON CONFLICT (device) DO UPDATE SET until = excluded.until",
            )?;
            let mut close = transaction.prepare_cached("DELETE FROM windows WHERE device = ?1")?;
            for device in devices {
                match until {
                    Some(until) => open.execute(params![device.as_str(), until.cast_signed()])?,
                    None => close.execute([device.as_str()])?,
                };
            }
            Ok(())
        })
    }
}

fn read(connection: &Connection, scope: Scope<'_>) -> Result<Contents, StoreError> {
    let mut contents = Contents {
        devices: devices::read(connection, scope)?,
        ..Contents::default()
    };
    shared::read(connection, &mut contents)?;
    let mut windows = connection.prepare_cached("SELECT device, until FROM windows")?;
    let mut rows = windows.query([])?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        let name = text
            .parse()
            .map_err(|_| devices::unknown("windows", &text, "device", text.clone()))?;
        let until: i64 = row.get(1)?;
        contents.windows.insert(name, until.cast_unsigned());
    }
    Ok(contents)
}

fn write(transaction: &Transaction<'_>, changes: &[Change]) -> Result<(), StoreError> {
    let mut devices = DeviceWriter::new(transaction)?;
    for change in changes {
        match (change.after(), change.record()) {
            (Some(Record::Device(device)), _) => {
                devices.write(device, change.before().is_none())?;
            }
            (None, Record::Device(device)) => devices.remove(device.name)?,
            (Some(record), _) => shared::write(transaction, record)?,
            (None, record) => shared::remove(transaction, record)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
