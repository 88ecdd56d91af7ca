//! Reads what can be read of one table.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::super::StoreError;
use super::{Loss, TableReport, fault_of};
use crate::storage::Fault;

/// Reads a table from its beginning, and where that fails, from its end.
pub(super) fn salvage(
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

pub(super) fn columns(
    connection: &Connection,
    table: &str,
) -> Result<Vec<String>, rusqlite::Error> {
    let mut select = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = select.query_map([table], |row| row.get(0))?;
    names.collect()
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
