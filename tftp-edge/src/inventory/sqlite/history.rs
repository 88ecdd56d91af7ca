//! The history of changes, bounded by number and by age.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, params};

use super::super::{Change, Entry, HistoryQuery, HistorySettings, Origin, Table};
use super::devices::unknown;
use super::{StoreError, database};

const SECONDS_A_DAY: u64 = 86_400;

fn now() -> u64 {
    // A clock before 1970 is no clock.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// Writes what was done, and forgets what is too old.
pub(super) fn write(
    transaction: &Transaction<'_>,
    changes: &[Change],
    origin: &Origin,
    keep: HistorySettings,
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let at = now();
    // More would be forgotten at once.
    let newest = changes.len().saturating_sub(keep.entries as usize);
    let mut insert = transaction.prepare_cached(
        "INSERT INTO history (at, who, how, kind, name, done, fields)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for change in &changes[newest..] {
        let record = change.record();
        insert.execute(params![
            at.cast_signed(),
            origin.who,
            origin.how,
            record.table().as_str(),
            record.key(),
            change.done(),
            serde_json::to_string(&change.fields()).map_err(database)?,
        ])?;
    }
    let oldest = at.saturating_sub(u64::from(keep.days) * SECONDS_A_DAY);
    // Entries are in the order of time, so both are a run at the beginning.
    transaction
        .prepare_cached(
            "DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?1 OR id <
                 (SELECT id FROM history WHERE at >= ?2 ORDER BY id LIMIT 1)",
        )?
        .execute(params![keep.entries, oldest.cast_signed()])?;
    Ok(())
}

/// The entries of a query, the latest last.
pub(super) fn read(
    connection: &Connection,
    query: &HistoryQuery,
) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, at, who, how, kind, name, done, fields FROM history
         WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR name = ?3)
             AND (?4 IS NULL OR at >= ?4)
         ORDER BY id DESC LIMIT ?5",
    )?;
    let mut rows = statement.query(params![
        query.id.map(u64::cast_signed),
        query.table.map(Table::as_str),
        query.key,
        query.since.map(u64::cast_signed),
        query.last.map_or(-1, i64::from),
    ])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get::<_, i64>(0)?.cast_unsigned();
        let kind: String = row.get(4)?;
        let fields: String = row.get(7)?;
        let wrong =
            |column, value: &String| unknown("history", &id.to_string(), column, value.clone());
        entries.push(Entry {
            id,
            at: row.get::<_, i64>(1)?.cast_unsigned(),
            who: row.get(2)?,
            how: row.get(3)?,
            table: kind.parse().map_err(|_| wrong("kind", &kind))?,
            key: row.get(5)?,
            done: row.get(6)?,
            fields: serde_json::from_str(&fields).map_err(|_| wrong("fields", &fields))?,
        });
    }
    entries.reverse();
    Ok(entries)
}
