//! The schema, and the way to it from every earlier version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;
use crate::storage::Fault;

/// One step for each schema version; `user_version` says how many have been taken. A step that has
/// been released is never edited.
pub(super) const MIGRATIONS: &[&str] = &[
    "
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
    ",
    // Everything else a device has; profiles; small named things as JSON, which nothing is looked
    // up in; provisioning windows; the history.
    "
    ALTER TABLE devices ADD COLUMN profile TEXT;
    ALTER TABLE devices ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    ALTER TABLE lines ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE lines ADD COLUMN max_calls INTEGER;
    ALTER TABLE lines ADD COLUMN busy_trigger INTEGER;
    ALTER TABLE lines ADD COLUMN auto_answer INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE lines ADD COLUMN ring_idle INTEGER;
    ALTER TABLE lines ADD COLUMN ring_active INTEGER;
    ALTER TABLE lines ADD COLUMN mwi_lamp INTEGER;
    CREATE TABLE line_keys (
        device TEXT NOT NULL REFERENCES devices (name) ON DELETE CASCADE,
        button INTEGER NOT NULL,
        label  TEXT NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('speed_dial', 'blf', 'service', 'feature')),
        target TEXT NOT NULL,
        PRIMARY KEY (device, button)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE modules (
        device   TEXT NOT NULL REFERENCES devices (name) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        model    TEXT NOT NULL,
        PRIMARY KEY (device, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE device_settings (
        device TEXT NOT NULL REFERENCES devices (name) ON DELETE CASCADE,
        key    TEXT NOT NULL,
        value  TEXT NOT NULL,
        PRIMARY KEY (device, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE profiles (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE profile_settings (
        profile TEXT NOT NULL REFERENCES profiles (name) ON DELETE CASCADE,
        key     TEXT NOT NULL,
        value   TEXT NOT NULL,
        PRIMARY KEY (profile, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE objects (
        kind  TEXT NOT NULL,
        name  TEXT NOT NULL,
        value TEXT NOT NULL CHECK (json_valid(value)),
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE windows (
        device TEXT PRIMARY KEY,
        until  INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE history (
        id     INTEGER PRIMARY KEY,
        at     INTEGER NOT NULL,
        who    TEXT NOT NULL,
        how    TEXT NOT NULL,
        kind   TEXT NOT NULL,
        name   TEXT NOT NULL,
        done   TEXT NOT NULL CHECK (done IN ('added', 'changed', 'removed')),
        fields TEXT NOT NULL CHECK (json_valid(fields))
    ) STRICT;
    CREATE INDEX history_name ON history (kind, name);
    ",
];

fn version(connection: &Connection) -> Result<usize, StoreError> {
    let version: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))?;
    Ok(version as usize)
}

fn too_new(found: usize, path: &Path) -> StoreError {
    StoreError::TooNew {
        path: path.into(),
        found,
        known: MIGRATIONS.len(),
    }
}

/// Fails if the database is of a newer program.
pub(super) fn ensure_known(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match version(connection)? {
        newer if newer > MIGRATIONS.len() => Err(too_new(newer, path)),
        _ => Ok(()),
    }
}

/// Fails unless the database has the schema of this program.
pub(super) fn ensure_current(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    ensure_known(connection, path)?;
    match version(connection)? {
        older if older < MIGRATIONS.len() => Err(StoreError::Fault {
            path: path.into(),
            fault: Fault::Other,
            told: format!("it is of an older program, with schema version {older}"),
        }),
        _ => Ok(()),
    }
}

/// Brings a database of any earlier version, or an empty one, up to date.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    // The common case takes no write lock.
    if version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let Some(steps) = MIGRATIONS.get(found..) else {
        return Err(too_new(found, path));
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    Ok(transaction.commit()?)
}
