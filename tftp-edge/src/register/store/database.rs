//! The file of the registrations.
//!
//! It is the daemon's alone and held under SQLite's exclusive lock: a second daemon on the same
//! file finds it locked. Times are milliseconds since 1970, by the clock as it was when they were
//! written. The bindings of a phone stand in its
//! row, as `[[line, contact, Call-ID, CSeq, end, for all lines], …]`: they are read and written
//! together with it, and nobody looks for one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Row, Transaction, params};

use crate::clock::Reading;
use crate::inventory::DeviceName;
use crate::private_file;
use crate::register::{Binding, Registration, Transport};
use crate::storage::{Fault, is_broken};

/// How long to wait for whoever has the file: a daemon that is about to end.
const BUSY: Duration = Duration::from_secs(2);

/// How long a phone is known for whose time cannot be true. It is asked for less by most.
const UNKNOWN_LIFE: Duration = Duration::from_secs(3_600);

const VERSION: u32 = 1;

const SCHEMA: &str = "CREATE TABLE registrations (
    device    TEXT PRIMARY KEY,
    protocol  TEXT NOT NULL,
    transport TEXT NOT NULL,
    source    TEXT NOT NULL,
    type_id   INTEGER,
    load      TEXT,
    version   INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    bindings  TEXT NOT NULL CHECK (json_valid(bindings))
) STRICT, WITHOUT ROWID;";

const PUT: &str = "INSERT OR REPLACE INTO registrations
    (device, protocol, transport, source, type_id, load, version, since, expires, bindings)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const REMOVE: &str = "DELETE FROM registrations WHERE device = ?1";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    #[error("cannot make it: {0}")]
    Create(#[from] io::Error),
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("it has schema {0}, of a newer tftp-edge, and this one knows {VERSION}")]
    TooNew(u32),
}

impl DatabaseError {
    /// What is wrong with the file at `path`, and what to do.
    pub(super) fn told(&self, path: &Path) -> String {
        match self {
            Self::Create(error) => Fault::of_io(error).told(path, error),
            Self::Sqlite(error) => Fault::of_sqlite(error, path).told(path, error),
            Self::TooNew(_) => self.to_string(),
        }
    }

    /// Whether it will not get better by waiting.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::TooNew(_) => true,
            Self::Sqlite(error) => is_broken(error),
            Self::Create(_) => false,
        }
    }
}

/// What was found in the file.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) registrations: Vec<Registration>,
    /// Rows that no version of ours would have written.
    pub(super) unreadable: usize,
}

/// The last state of one device; none if it is not registered any more.
pub(super) type State = (DeviceName, Option<Arc<Registration>>);

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
        let version =
            transaction.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))?;
        match version {
            0 => {
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
            }
            VERSION => {}
            newer => return Err(DatabaseError::TooNew(newer)),
        }
        transaction.commit()?;
        // Not before it is known to be ours: it changes the file.
        connection.pragma_update(None, "journal_mode", "wal")?;
        // A crash of the system may cost the last seconds: phones register again.
        connection.pragma_update(None, "synchronous", "normal")?;
        Ok(Self { connection })
    }

    /// Times become steady ones by these clocks.
    pub(super) fn read(&self, clocks: Reading) -> Result<Stored, DatabaseError> {
        let mut select = self.connection.prepare(
            "SELECT device, protocol, transport, source, type_id, load, version, since, expires,
             bindings FROM registrations",
        )?;
        let mut stored = Stored::default();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            match registration(row, clocks)? {
                Some(registration) => stored.registrations.push(registration),
                None => stored.unreadable += 1,
            }
        }
        Ok(stored)
    }

    /// Writes the states in one transaction, with the time of day by these clocks.
    pub(super) fn write(&mut self, states: &[State], clocks: Reading) -> Result<(), DatabaseError> {
        let transaction = self.connection.transaction()?;
        write(&transaction, states, clocks)?;
        Ok(transaction.commit()?)
    }

    /// Puts these registrations in the place of all there are, in one transaction.
    pub(super) fn replace(
        &mut self,
        pages: impl Iterator<Item = Vec<Arc<Registration>>>,
        clocks: Reading,
    ) -> Result<u64, DatabaseError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM registrations", [])?;
        let mut rows = 0;
        for page in pages {
            let states: Vec<_> = page.into_iter().map(|it| (it.device, Some(it))).collect();
            rows += states.len() as u64;
            write(&transaction, &states, clocks)?;
        }
        transaction.commit()?;
        Ok(rows)
    }
}

fn write(
    transaction: &Transaction<'_>,
    states: &[State],
    clocks: Reading,
) -> Result<(), DatabaseError> {
    let millis = |at| millis(clocks.to_wall(at));
    let mut put = transaction.prepare_cached(PUT)?;
    let mut remove = transaction.prepare_cached(REMOVE)?;
    for (device, state) in states {
        match state {
            None => remove.execute([device.as_str()])?,
            Some(it) => put.execute(params![
                it.device.as_str(),
                it.protocol.as_str(),
                it.transport.as_str(),
                it.source.to_string(),
                it.type_id,
                it.load.as_deref(),
                it.version,
                millis(it.since),
                millis(it.expires),
                bindings_text(&it.bindings, millis),
            ])?,
        };
    }
    Ok(())
}

/// None if the row is not one of ours.
fn registration(row: &Row<'_>, clocks: Reading) -> Result<Option<Registration>, rusqlite::Error> {
    let text = |at| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
    let (device, protocol) = (text(0)?.parse(), text(1)?.parse());
    let transport = text(2)?;
    let transport = Transport::ALL
        .into_iter()
        .find(|it| it.as_str() == transport);
    let since = time(row.get(7)?);
    // A phone cannot have registered tomorrow: the clock was set back since, and how long it has still
    // to live is not known.
    let latest = (since > clocks.wall).then(|| clocks.steady + UNKNOWN_LIFE);
    let time = |at| {
        let at = clocks.to_steady(time(at));
        latest.map_or(at, |latest| at.min(latest))
    };
    let (source, bindings) = (text(3)?.parse(), bindings_of(text(9)?, time));
    let (Ok(device), Ok(protocol), Some(transport), Ok(source), Some(bindings)) =
        (device, protocol, transport, source, bindings)
    else {
        return Ok(None);
    };
    Ok(Some(Registration {
        device,
        protocol,
        transport,
        source,
        // Connections end with the daemon.
        connection: None,
        type_id: row.get(4)?,
        load: row.get::<_, Option<Box<str>>>(5)?.map(Into::into),
        version: row.get(6)?,
        since: clocks.to_steady(since),
        expires: time(row.get(8)?),
        bindings,
    }))
}

fn bindings_text(bindings: &[Binding], millis: impl Fn(SystemTime) -> i64) -> String {
    let row = |it: &Binding| {
        serde_json::json!([
            it.line,
            it.contact,
            it.call_id,
            it.cseq,
            millis(it.expires),
            it.all_lines
        ])
    };
    serde_json::Value::from_iter(bindings.iter().map(row)).to_string()
}

fn bindings_of(text: &str, time: impl Fn(i64) -> SystemTime) -> Option<Vec<Binding>> {
    type Columns = (Box<str>, Box<str>, Box<str>, u32, i64, bool);
    let rows: Vec<Columns> = serde_json::from_str(text).ok()?;
    let binding = |(line, contact, call_id, cseq, expires, all_lines)| Binding {
        line,
        contact,
        call_id,
        cseq,
        expires: time(expires),
        all_lines,
    };
    Some(rows.into_iter().map(binding).collect())
}

fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    // What the clock cannot hold is over long ago.
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
