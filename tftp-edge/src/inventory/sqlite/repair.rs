//! Saves what can be saved of a damaged database.
//!
//! Work is done on a copy of the file, so that nothing is lost by trying. Every table is read from
//! both ends up to what cannot be read; of a table that cannot be read whole, rows that are missing
//! are taken from the last good copy, where there is one. What refers to nothing any more, or means
//! nothing, is left out. The result takes the place of the damaged file, which is kept beside it.

mod files;
mod leftovers;
mod salvage;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use files::{Workshop, copy_file, put_in_place};
use leftovers::{leave_out_orphans, leave_out_what_nobody_understands, tell_devices_without_lines};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use salvage::{columns, salvage};

use super::super::{Scope, StoreError};
use super::{check, connect, explained, last_good, read, schema};
use crate::storage::{Fault, with_suffix};

/// How long to wait for who writes to the database now.
const BUSY: std::time::Duration = std::time::Duration::from_secs(2);

/// Problems that are told one by one.
const TOLD: u32 = 20;

/// Every table, those that others refer to first, and its key.
const TABLES: [(&str, &str); 13] = [
    ("sites", "name"),
    ("site_settings", "site, key"),
    ("profiles", "name"),
    ("profile_settings", "profile, key"),
    ("model_loads", "model, protocol"),
    ("objects", "kind, name"),
    ("devices", "name"),
    ("lines", "device, position"),
    ("line_keys", "device, button"),
    ("modules", "device, position"),
    ("device_settings", "device, key"),
    ("windows", "device"),
    ("history", "id"),
];

/// What was found, and what became of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What is wrong with the database; with nothing, nothing is done.
    pub problems: Vec<String>,
    pub tables: Vec<TableReport>,
    pub losses: Vec<Loss>,
    /// When the last good copy was made, if it was needed and could be used.
    pub copy_made: Option<SystemTime>,
    /// Devices there are now.
    pub devices: u64,
    /// Where the damaged file is; none if nothing was done, or nothing was there.
    pub aside: Option<PathBuf>,
}

/// One table of a damaged database.
#[derive(Debug)]
pub struct TableReport {
    pub table: &'static str,
    /// Rows that could be read.
    pub read: u64,
    /// Rows that only the last good copy has.
    pub from_copy: u64,
    /// It could be read to its end: nothing of it is lost.
    pub is_whole: bool,
}

/// Something that is known to be lost.
#[derive(Debug, PartialEq, Eq)]
pub struct Loss {
    pub table: String,
    pub row: String,
    pub why: String,
}

/// Checks the database, and saves what can be saved of one that is damaged. With `dry_run` nothing is
/// put in its place.
///
/// # Errors
/// Somebody writes to it, there is no room for another one, or it is of a newer program.
pub fn repair(path: &Path, dry_run: bool) -> Result<Report, StoreError> {
    // Open to the end: to close it would take away the locks that SQLite has on it.
    let file = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(fault(path, error)),
    };
    let _lock = match &file {
        Some(_) => lock(path)?,
        None => None,
    };
    let workshop = Workshop::make(path)?;
    let damaged = workshop.path("damaged.db");
    if let Some(file) = &file {
        copy_file(file, &damaged)?;
        let wal = with_suffix(path, "-wal");
        match File::open(&wal) {
            Ok(wal) => copy_file(&wal, &with_suffix(&damaged, "-wal"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fault(&wal, error)),
        }
    }
    let source = Source::open(&damaged, path)?;
    let mut report = Report {
        problems: source.problems.clone(),
        ..Report::default()
    };
    if report.problems.is_empty() {
        let contents = source.connection.as_ref().map(read_all).transpose()?;
        report.devices = contents.map_or(0, |it| it.devices.len() as u64);
        return Ok(report);
    }
    let repaired = workshop.path("repaired.db");
    let made = make(&repaired, &source, &last_good(path), &mut report);
    made.map_err(|error| explained(error, &repaired))?;
    if !dry_run {
        report.aside = put_in_place(&repaired, path)?;
    }
    Ok(report)
}

/// Keeps others from writing. None: what is there can be written by nobody.
fn lock(path: &Path) -> Result<Option<Connection>, StoreError> {
    let locked = || -> Result<Connection, rusqlite::Error> {
        // Nothing is set on it: that would make a database of an empty file.
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        // To close it would else write what is in the WAL to the damaged file.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(connection)
    };
    match locked() {
        Ok(connection) => Ok(Some(connection)),
        Err(error) if fault_of(&error) == Fault::Locked => Err(explained(error.into(), path)),
        Err(_) => Ok(None),
    }
}

fn fault(path: &Path, source: io::Error) -> StoreError {
    let path = path.into();
    explained(StoreError::Create { path, source }, &PathBuf::new())
}

/// What is left of the database.
struct Source {
    /// None if nothing of it can be read.
    connection: Option<Connection>,
    problems: Vec<String>,
}

impl Source {
    /// `path` is what it is called in errors.
    fn open(file: &Path, path: &Path) -> Result<Self, StoreError> {
        let lost = |problem: &str| Self {
            connection: None,
            problems: vec![problem.to_owned()],
        };
        match fs::metadata(file) {
            Err(_) => return Ok(lost("the file is not there")),
            Ok(found) if found.len() == 0 => return Ok(lost("the file is empty")),
            Ok(_) => {}
        }
        let connection = match connect(file, BUSY) {
            Ok((connection, _)) => connection,
            Err(error) => return Ok(lost(&error.to_string())),
        };
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
        match connection.query_row(tables, [], |row| row.get(0)) {
            Ok(0_u32) => return Ok(lost("there is no table in it")),
            Ok(_) => {}
            Err(error) => return Ok(lost(&error.to_string())),
        }
        match schema::ensure_known(&connection, path) {
            Err(error @ StoreError::TooNew { .. }) => return Err(error),
            Err(error) => return Ok(lost(&error.to_string())),
            Ok(()) => {}
        }
        let mut problems = check::problems(&connection, TOLD);
        if problems.is_empty() {
            let understood = schema::ensure_current(&connection, path)
                .and_then(|()| read_all(&connection).map(drop));
            if let Err(error @ StoreError::Row { .. }) = understood {
                problems.push(error.to_string());
            }
        }
        Ok(Self {
            connection: Some(connection),
            problems,
        })
    }
}

fn read_all(connection: &Connection) -> Result<super::Contents, StoreError> {
    read(connection, Scope::Everything)
}

/// A new database with all that could be saved.
fn make(path: &Path, source: &Source, copy: &Path, report: &mut Report) -> Result<(), StoreError> {
    let mut target = Connection::open(path)?;
    schema::migrate(&mut target, path)?;
    target.pragma_update(None, "foreign_keys", false)?;
    let has_copy = check::read_copy(copy).is_ok();
    if has_copy {
        let name = copy.to_string_lossy();
        target.execute("ATTACH DATABASE ?1 AS good", [&name])?;
    }
    let transaction = target.unchecked_transaction()?;
    for (table, key) in TABLES {
        let mut told = TableReport {
            table,
            read: 0,
            from_copy: 0,
            is_whole: false,
        };
        if let Some(from) = &source.connection {
            salvage(from, &target, (table, key), &mut told, &mut report.losses)?;
        }
        if !told.is_whole && has_copy {
            let columns = columns(&target, table)?.join(", ");
            told.from_copy = target.execute(
                &format!(
                    "INSERT OR IGNORE INTO main.{table} ({columns})
                     SELECT {columns} FROM good.{table}"
                ),
                [],
            )? as u64;
        }
        report.tables.push(told);
    }
    if has_copy && report.tables.iter().any(|it| !it.is_whole) {
        report.copy_made = fs::metadata(copy).and_then(|it| it.modified()).ok();
    }
    leave_out_orphans(&target, report)?;
    leave_out_what_nobody_understands(&target, report)?;
    tell_devices_without_lines(&target, report)?;
    transaction.commit()?;
    check::ensure_sound(&target, path)?;
    report.devices = read_all(&target)?.devices.len() as u64;
    Ok(())
}

fn fault_of(error: &rusqlite::Error) -> Fault {
    Fault::of_sqlite(error, Path::new("."))
}
