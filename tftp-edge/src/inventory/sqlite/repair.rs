//! Saves what can be saved of a damaged database.
//!
//! Work is done on a copy of the file, so that nothing is lost by trying. Every table is read from
//! both ends up to what cannot be read; of a table that cannot be read whole, rows that are missing
//! are taken from the last good copy, where there is one. What refers to nothing any more, or means
//! nothing, is left out. The result takes the place of the damaged file, which is kept beside it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::{Scope, StoreError};
use super::{check, connect, explained, last_good, read, schema};
use crate::storage::{Fault, with_suffix};

/// How long to wait for who writes to the database now.
const BUSY: std::time::Duration = std::time::Duration::from_secs(2);

/// Problems that are told one by one.
const TOLD: u32 = 20;

/// Rows that are left out one by one because nobody understands them.
const MAX_ROWS_LEFT_OUT: usize = 10_000;

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

/// What refers to what, by the name of the column.
const PARENTS: [(&str, &str, &str); 6] = [
    ("site_settings", "site", "sites"),
    ("profile_settings", "profile", "profiles"),
    ("lines", "device", "devices"),
    ("line_keys", "device", "devices"),
    ("modules", "device", "devices"),
    ("device_settings", "device", "devices"),
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

fn copy_file(mut from: &File, to: &Path) -> Result<(), StoreError> {
    let mut into = File::create(to).map_err(|error| fault(to, error))?;
    io::copy(&mut from, &mut into).map_err(|error| fault(to, error))?;
    Ok(())
}

/// A folder beside the database, of its owner alone, that goes when it is done with.
struct Workshop(PathBuf);

impl Workshop {
    fn make(database: &Path) -> Result<Self, StoreError> {
        let folder = with_suffix(database, &format!(".repair-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| fault(&folder, error))?;
        Ok(Self(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What stays is named as what it is.
        let _ = fs::remove_dir_all(&self.0);
    }
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

fn columns(connection: &Connection, table: &str) -> Result<Vec<String>, rusqlite::Error> {
    let mut select = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = select.query_map([table], |row| row.get(0))?;
    names.collect()
}

/// Reads a table from its beginning, and where that fails, from its end.
fn salvage(
    from: &Connection,
    target: &Connection,
    (table, key): (&'static str, &str),
    told: &mut TableReport,
    losses: &mut Vec<Loss>,
) -> Result<(), StoreError> {
    let (Ok(there), known) = (columns(from, table), columns(target, table)?) else {
        return Ok(());
    };
    // A database of an older program has fewer.
    let names: Vec<_> = known.into_iter().filter(|it| there.contains(it)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let marks = vec!["?"; names.len()].join(", ");
    let names = names.join(", ");
    let insert = format!("INSERT INTO {table} ({names}) VALUES ({marks})");
    let mut insert = target.prepare(&insert)?;
    let descending = key.replace(", ", " DESC, ") + " DESC";
    for order in [key, &descending] {
        // A row that is met from both sides is there already.
        let is_again = order != key;
        let select = format!("SELECT {names} FROM {table} ORDER BY {order}");
        let walked = walk(from, &select, |values| {
            match insert.execute(params_from_iter(&values)) {
                Ok(_) => told.read += 1,
                Err(error) if fault_of(&error) == Fault::Full => return Err(error),
                Err(_) if is_again => {}
                Err(error) => losses.push(Loss {
                    table: table.to_owned(),
                    row: key_of(&values, key),
                    why: error.to_string(),
                }),
            }
            Ok(())
        });
        match walked {
            Walked::ToTheEnd => {
                told.is_whole |= order == key;
                break;
            }
            Walked::UpToDamage => {}
            Walked::Stopped(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn fault_of(error: &rusqlite::Error) -> Fault {
    Fault::of_sqlite(error, Path::new("."))
}

enum Walked {
    ToTheEnd,
    UpToDamage,
    Stopped(rusqlite::Error),
}

fn walk(
    from: &Connection,
    select: &str,
    mut take: impl FnMut(Vec<Value>) -> Result<(), rusqlite::Error>,
) -> Walked {
    let Ok(mut select) = from.prepare(select) else {
        return Walked::UpToDamage;
    };
    let columns = select.column_count();
    let Ok(mut rows) = select.query([]) else {
        return Walked::UpToDamage;
    };
    loop {
        let row = match rows.next() {
            Ok(None) => return Walked::ToTheEnd,
            Ok(Some(row)) => row,
            Err(_) => return Walked::UpToDamage,
        };
        let values: Result<Vec<Value>, _> = (0..columns).map(|at| row.get(at)).collect();
        if let Ok(values) = values
            && let Err(error) = take(values)
        {
            return Walked::Stopped(error);
        }
    }
}

/// The first columns of every table are its key. No other column is shown: there are passwords.
fn key_of(values: &[Value], key: &str) -> String {
    let shown = values
        .iter()
        .take(key.split(", ").count())
        .map(|value| match value {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            _ => "?".to_owned(),
        });
    shown.collect::<Vec<_>>().join(" ")
}

fn leave_out_orphans(target: &Connection, report: &mut Report) -> Result<(), StoreError> {
    for (child, column, parent) in PARENTS {
        let mut delete = target.prepare(&format!(
            "DELETE FROM {child} WHERE {column} NOT IN (SELECT name FROM {parent})
             RETURNING {column}"
        ))?;
        let names = delete.query_map([], |row| row.get::<_, String>(0))?;
        for name in names {
            report.losses.push(Loss {
                table: child.to_owned(),
                row: name?,
                why: format!("{parent} has it no more"),
            });
        }
    }
    Ok(())
}

fn leave_out_what_nobody_understands(
    target: &Connection,
    report: &mut Report,
) -> Result<(), StoreError> {
    for _ in 0..MAX_ROWS_LEFT_OUT {
        let error = match read_all(target) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let StoreError::Row {
            table,
            name,
            column,
            value,
        } = &error
        else {
            return Err(error);
        };
        let deleted = match *table {
            "devices" => target.execute("DELETE FROM devices WHERE name = ?1", [name]),
            "windows" => target.execute("DELETE FROM windows WHERE device = ?1", [name]),
            "line_keys" => target.execute(
                "DELETE FROM line_keys WHERE device = ?1 AND action = ?2",
                [name, value],
            ),
            "model_loads" => target.execute(
                "DELETE FROM model_loads WHERE model = ?1 AND protocol = ?2",
                [name, value],
            ),
            "objects" => target.execute(
                "DELETE FROM objects WHERE name = ?1 AND kind = ?2",
                [name, value],
            ),
            kind => target.execute(
                "DELETE FROM objects WHERE name = ?1 AND kind = ?2",
                [name.as_str(), kind],
            ),
        }?;
        if deleted == 0 {
            return Err(error);
        }
        report.losses.push(Loss {
            table: (*table).to_owned(),
            row: name.clone(),
            why: format!("its {column} is nothing that this program knows"),
        });
        // What belonged to it goes with it.
        leave_out_orphans(target, report)?;
    }
    Ok(())
}

/// A phone without a line is most likely one whose lines were on a damaged page.
fn tell_devices_without_lines(target: &Connection, report: &mut Report) -> Result<(), StoreError> {
    let is_whole = |it: &TableReport| it.table != "lines" || it.is_whole;
    if report.tables.iter().all(is_whole) {
        return Ok(());
    }
    let mut select = target.prepare(
        "SELECT name FROM devices WHERE name NOT IN (SELECT device FROM lines) ORDER BY name",
    )?;
    for name in select.query_map([], |row| row.get(0))? {
        report.losses.push(Loss {
            table: "lines".to_owned(),
            row: name?,
            why: "the device has no line left".to_owned(),
        });
    }
    Ok(())
}

/// Puts the new database in the place of the damaged one, for the same owner; gives back where the
/// damaged one is.
fn put_in_place(repaired: &Path, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let place = || {
        let owner = [path, &last_good(path), folder]
            .into_iter()
            .find_map(|it| fs::metadata(it).ok());
        if let Some(owner) = owner {
            chown(repaired, Some(owner.uid()), Some(owner.gid()))?;
        }
        fs::set_permissions(repaired, Permissions::from_mode(0o640))?;
        let mut file = File::options().append(true).open(repaired)?;
        file.flush()?;
        file.sync_all()?;
        // Never a moment without a file, which a daemon would take for a lost one.
        let aside = match crate::storage::link_aside(path) {
            Ok(aside) => Some(aside),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        fs::rename(repaired, path)?;
        File::open(folder)?.sync_all()?;
        Ok(aside)
    };
    place().map_err(|error| fault(path, error))
}
