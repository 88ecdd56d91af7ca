//! The file of the journal.
//!
//! It is the daemon's alone and held under SQLite's exclusive lock. A phone is one row: its name,
//! when it was heard of, and all else in the form of postcard, which is read and written whole.
//! Whatever changes that form changes [`FORMAT`]: rows of another one are left out.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::inventory::DeviceName;
use crate::journal::{Gap, Phone};
use crate::private_file;
use crate::storage::{Fault, is_broken};

/// How long to wait for whoever has the file: a daemon that is about to end.
const BUSY: Duration = Duration::from_secs(2);

/// Says that a file is a journal; `file(1)` shows it.
const APPLICATION: i32 = 0x7465_6a6e;

const VERSION: u32 = 1;

/// The form of the rows: the fields of [`Phone`] and what is in it, in their order.
pub(super) const FORMAT: u32 = 1;

const SCHEMA: &str = "
CREATE TABLE phones (
    device TEXT PRIMARY KEY,
    heard  INTEGER NOT NULL,
    format INTEGER NOT NULL,
    phone  BLOB NOT NULL
) STRICT;
CREATE INDEX phones_heard ON phones (heard);
CREATE TABLE gaps (
    began  INTEGER NOT NULL,
    ended  INTEGER NOT NULL,
    events INTEGER NOT NULL
) STRICT;
CREATE TABLE written (at INTEGER NOT NULL) STRICT;";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    #[error("cannot make it: {0}")]
    Create(#[from] io::Error),
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("it is no journal of tftp-edge")]
    Foreign,
    #[error("it has schema {0}, of a newer tftp-edge, and this one knows {VERSION}")]
    TooNew(u32),
    #[error("a phone cannot be written: {0}")]
    Form(#[from] postcard::Error),
}

impl DatabaseError {
    /// What is wrong with the file at `path`, and what to do.
    pub(super) fn told(&self, path: &Path) -> String {
        match self {
            Self::Create(error) => Fault::of_io(error).told(path, error),
            Self::Sqlite(error) => Fault::of_sqlite(error, path).told(path, error),
            Self::Foreign | Self::TooNew(_) | Self::Form(_) => self.to_string(),
        }
    }

    /// Whether it will not get better by waiting.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Foreign | Self::TooNew(_) => true,
            Self::Sqlite(error) => is_broken(error),
            Self::Create(_) | Self::Form(_) => false,
        }
    }
}

/// What was found in the file.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) phones: Vec<(DeviceName, Phone)>,
    pub(super) gaps: Vec<Gap>,
    /// When something was written last. Unix milliseconds.
    pub(super) written_ms: Option<u64>,
    /// Rows of another form.
    pub(super) unreadable: u64,
}

/// A file that is open.
pub(super) struct Database {
    connection: Connection,
}

impl Database {
    /// Opens the file, and makes it if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        private_file::create(path)?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        let transaction = connection.transaction()?;
        let of_file =
            |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application, version) = (of_file("application_id")?, of_file("user_version")?);
        let tables: u32 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        match version {
            0 if application == 0 && tables == 0 => {
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "application_id", APPLICATION)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            _ if application != i64::from(APPLICATION) => return Err(DatabaseError::Foreign),
            VERSION => {}
            newer => return Err(DatabaseError::TooNew(newer)),
        }
        transaction.commit()?;
        // Not before it is known to be ours: it changes the file.
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A crash of the system may cost the last seconds.
        connection.pragma_update(None, "synchronous", "normal")?;
        Ok(Self { connection })
    }

    pub(super) fn read(&self) -> Result<Stored, DatabaseError> {
        let mut stored = Stored::default();
        let mut select = self
            .connection
            .prepare("SELECT device, format, phone FROM phones ORDER BY heard")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let device = row.get_ref(0)?.as_str().ok().and_then(|it| it.parse().ok());
            let format: u32 = row.get(1)?;
            let bytes = row.get_ref(2)?.as_blob().unwrap_or_default();
            let phone = (format == FORMAT).then(|| postcard::from_bytes(bytes).ok());
            match (device, phone.flatten()) {
                (Some(device), Some(phone)) => stored.phones.push((device, phone)),
                _ => stored.unreadable += 1,
            }
        }
        let mut select = self
            .connection
            .prepare("SELECT began, ended, events FROM gaps ORDER BY began")?;
        let gap = |row: &rusqlite::Row<'_>| {
            Ok(Gap {
                from_ms: unsigned(row.get(0)?),
                until_ms: unsigned(row.get(1)?),
                events: unsigned(row.get(2)?),
            })
        };
        for gap in select.query_map([], gap)? {
            stored.gaps.push(gap?);
        }
        let written: Option<i64> = self
            .connection
            .query_row("SELECT at FROM written", [], |row| row.get(0))
            .optional()?;
        stored.written_ms = written.map(unsigned);
        Ok(stored)
    }

    /// Writes these phones, the gaps if they are given, and the time, in one transaction.
    pub(super) fn write(
        &mut self,
        phones: &[(DeviceName, Phone)],
        gaps: Option<&[Gap]>,
        at_ms: u64,
    ) -> Result<(), DatabaseError> {
        let transaction = self.connection.transaction()?;
        put(&transaction, phones)?;
        if let Some(gaps) = gaps {
            transaction.execute("DELETE FROM gaps", [])?;
            let mut insert = transaction.prepare_cached("INSERT INTO gaps VALUES (?1, ?2, ?3)")?;
            for gap in gaps {
                let [from, until, events] = [gap.from_ms, gap.until_ms, gap.events].map(signed);
                insert.execute([from, until, events])?;
            }
        }
        transaction.execute("DELETE FROM written", [])?;
        transaction.execute("INSERT INTO written VALUES (?1)", [signed(at_ms)])?;
        Ok(transaction.commit()?)
    }

    /// Phones that were last heard of before, as far as the file knows.
    pub(super) fn silent_since(&self, before_ms: u64) -> Result<Vec<DeviceName>, DatabaseError> {
        let mut select = self
            .connection
            .prepare_cached("SELECT device FROM phones WHERE heard < ?1")?;
        let mut rows = select.query([signed(before_ms)])?;
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            let name = row.get_ref(0)?.as_str().ok();
            names.extend(name.and_then(|it| it.parse::<DeviceName>().ok()));
        }
        Ok(names)
    }

    pub(super) fn delete(&mut self, devices: &[DeviceName]) -> Result<(), DatabaseError> {
        let transaction = self.connection.transaction()?;
        for device in devices {
            transaction
                .prepare_cached("DELETE FROM phones WHERE device = ?1")?
                .execute([device.as_str()])?;
        }
        Ok(transaction.commit()?)
    }

    /// The file has room for so many pages and no more: a disk that is full.
    #[cfg(test)]
    pub(super) fn limit_to_pages(&self, pages: u32) {
        let limit = self
            .connection
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0));
        assert_eq!(limit, Ok(pages));
    }

    /// Phones in the file, and its size.
    pub(super) fn size(&self) -> Result<(u64, u64), DatabaseError> {
        let number = |query: &str| {
            self.connection
                .query_row(query, [], |row| row.get(0).map(unsigned))
        };
        let bytes =
            number("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?;
        Ok((number("SELECT count(*) FROM phones")?, bytes))
    }
}

fn put(transaction: &Transaction<'_>, phones: &[(DeviceName, Phone)]) -> Result<(), DatabaseError> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO phones (device, heard, format, phone) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (device, phone) in phones {
        let bytes = postcard::to_extend(phone, Vec::new())?;
        put.execute(params![
            device.as_str(),
            signed(phone.heard_ms),
            FORMAT,
            bytes
        ])?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
