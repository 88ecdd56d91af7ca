//! Leaves out what refers to nothing any more, or means nothing, and tells of it.

use rusqlite::Connection;

use super::super::super::StoreError;
use super::{Loss, Report, TableReport, read_all};

/// Rows that are left out one by one because nobody understands them.
const MAX_ROWS_LEFT_OUT: usize = 10_000;

/// What refers to what, by the name of the column.
const PARENTS: [(&str, &str, &str); 6] = [
    ("site_settings", "site", "sites"),
    ("profile_settings", "profile", "profiles"),
    ("lines", "device", "devices"),
    ("line_keys", "device", "devices"),
    ("modules", "device", "devices"),
    ("device_settings", "device", "devices"),
];

pub(super) fn leave_out_orphans(
    target: &Connection,
    report: &mut Report,
) -> Result<(), StoreError> {
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

pub(super) fn leave_out_what_nobody_understands(
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
pub(super) fn tell_devices_without_lines(
    target: &Connection,
    report: &mut Report,
) -> Result<(), StoreError> {
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
