//! Whether a database is sound, and a copy of one that is.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::super::{Contents, Scope, StoreError};
use super::{damaged, explained, read, schema};

/// What SQLite finds wrong with a database, at most so many things. An error is one of them.
pub(super) fn problems(connection: &Connection, most: u32) -> Vec<String> {
    let mut found = Vec::new();
    let check = format!("PRAGMA integrity_check({most})");
    let done = connection.prepare(&check).and_then(|mut check| {
        let mut rows = check.query([])?;
        while let Some(row) = rows.next()? {
            let problem: String = row.get(0)?;
            // One row may hold several, one a line.
            found.extend(problem.lines().map(str::to_owned));
        }
        Ok(())
    });
    found.retain(|problem| problem != "ok" && !problem.starts_with("*** in database"));
    found.extend(done.err().map(|error| error.to_string()));
    let done = connection
        .prepare("SELECT DISTINCT \"table\", parent FROM pragma_foreign_key_check")
        .and_then(|mut check| {
            let mut rows = check.query([])?;
            while let Some(row) = rows.next()? {
                let (child, parent): (String, String) = (row.get(0)?, row.get(1)?);
                found.push(format!(
                    "{child} has rows that belong to nothing in {parent}"
                ));
            }
            Ok(())
        });
    // Where the first check failed, this one does, too.
    if found.is_empty() {
        found.extend(done.err().map(|error: rusqlite::Error| error.to_string()));
    }
    found
}

/// Fails, with what is wrong, unless every page of the database is sound.
pub(super) fn ensure_sound(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match problems(connection, 1).pop() {
        None => Ok(()),
        Some(problem) => Err(damaged(path, &problem)),
    }
}

/// Writes a copy of the whole database, as of one commit, to a file that is empty.
pub(super) fn copy(connection: &Connection, from: &Path, to: &Path) -> Result<(), StoreError> {
    let name = to.to_str().ok_or_else(|| StoreError::Create {
        path: to.into(),
        source: std::io::Error::other("its name is not in UTF-8"),
    })?;
    let copied = connection.execute("VACUUM INTO ?1", params![name]);
    copied.map(drop).map_err(|error| {
        // What cannot be read is the one, what cannot be written the other.
        match explained(StoreError::from(error), to) {
            error if error.needs_repair() => damaged(from, &error),
            error => error,
        }
    })
}

/// What a copy holds. Nothing is written, not even beside it.
pub(super) fn read_copy(path: &Path) -> Result<Contents, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = Connection::open_with_flags(path, flags).map_err(StoreError::from);
    let contents = open.and_then(|connection| {
        ensure_sound(&connection, path)?;
        schema::ensure_current(&connection, path)?;
        let transaction = connection.unchecked_transaction()?;
        read(&transaction, Scope::Everything)
    });
    contents.map_err(|error| explained(error, path))
}
