//! The inventory in SQLite: WAL, so that the daemon reads while the command line writes.

mod devices;
mod history;
mod schema;
mod shared;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{
    Change, Contents, DeviceName, Entry, HistoryQuery, HistorySettings, Origin, Record, Scope,
    Store, StoreError,
};
use crate::private_file;
use devices::DeviceWriter;

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);

/// All statements an import uses, with room to spare.
const STATEMENTS: usize = 64;

pub struct SqliteStore {
    connection: Connection,
    /// `PRAGMA data_version` at the last look: changes with every commit of another connection.
    seen: Option<i64>,
    history: HistorySettings,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        database(error)
    }
}

fn database(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Database(error.into())
}

impl SqliteStore {
    /// Opens the database, makes it if there is none, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let creating = |source| StoreError::Create {
            path: path.into(),
            source,
        };
        // It holds the passwords of lines.
        private_file::create(path).map_err(creating)?;
        let connection = Connection::open(path)
            .and_then(|connection| {
                connection.busy_timeout(BUSY)?;
                connection.pragma_update(None, "journal_mode", "wal")?;
                connection.pragma_update(None, "foreign_keys", true)?;
                Ok(connection)
            })
            .map_err(|source| StoreError::Open {
                path: path.into(),
                source: source.into(),
            })?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let mut store = Self {
            connection,
            seen: None,
            history: HistorySettings::default(),
        };
        schema::migrate(&mut store.connection, path)?;
        Ok(store)
    }

    /// Remembers changes as these settings say.
    pub fn keeping(mut self, history: HistorySettings) -> Self {
        self.history = history;
        self
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
        // One transaction for all the tables, so that they are those of one commit.
        let transaction = self.connection.transaction()?;
        read(&transaction, Scope::Everything)
    }

    fn changed(&mut self) -> Result<bool, StoreError> {
        let version = self
            .connection
            .pragma_query_value(None, "data_version", |row| row.get(0))?;
        Ok(self.seen.replace(version) != Some(version))
    }

    fn edit(
        &mut self,
        scope: Scope<'_>,
        origin: &Origin,
        edit: &mut dyn FnMut(Contents) -> Vec<Change>,
    ) -> Result<Vec<Change>, StoreError> {
        let history = self.history;
        let transaction = self.write()?;
        let changes = edit(read(&transaction, scope)?);
        // A commit that writes nothing still wakes nobody: SQLite leaves its version as it was.
        write(&transaction, &changes)?;
        history::write(&transaction, &changes, origin, history)?;
        transaction.commit()?;
        Ok(changes)
    }

    fn history(&mut self, query: &HistoryQuery) -> Result<Vec<Entry>, StoreError> {
        history::read(&self.connection, query)
    }

    fn set_windows(
        &mut self,
        devices: &[DeviceName],
        until: Option<u64>,
    ) -> Result<(), StoreError> {
        let transaction = self.write()?;
        {
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
        }
        Ok(transaction.commit()?)
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
