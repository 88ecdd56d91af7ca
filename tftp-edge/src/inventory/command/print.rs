//! Records and changes for people, and for programs.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use super::super::edit::name_of;
use super::super::{Change, Entry, FieldChange, Record, Secrets, Table};

const NONE: &str = "(none)";
const CHANGED: &str = "(changed, not shown)";

pub(super) fn json_line(value: &impl serde::Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// Each change with its columns, before and after.
pub(super) fn print_changes(changes: &[Change], json: bool, out: &mut dyn Write) -> io::Result<()> {
    for change in changes {
        let record = change.record();
        let fields = change.fields();
        if json {
            let value = serde_json::json!({
                "table": record.table(),
                "key": record.key(),
                "done": change.done(),
                "fields": fields,
            });
            json_line(&value, out)?;
            continue;
        }
        let sign = match change {
            Change::Added(_) => '+',
            Change::Changed { .. } => '~',
            Change::Removed(_) => '-',
        };
        writeln!(out, "{sign} {}", name_of(record))?;
        // What goes, goes as a whole.
        if !matches!(change, Change::Removed(_)) {
            print_fields(&fields, change.done(), out)?;
        }
    }
    Ok(())
}

fn print_fields(fields: &[FieldChange], done: &str, out: &mut dyn Write) -> io::Result<()> {
    for field in fields {
        let shown = |text: &str| match text {
            "" => NONE.to_owned(),
            text => text.to_owned(),
        };
        let value = match done {
            _ if field.secret => CHANGED.to_owned(),
            "added" => shown(&field.after),
            _ => format!("{} -> {}", shown(&field.before), shown(&field.after)),
        };
        writeln!(out, "    {}: {value}", field.column)?;
    }
    Ok(())
}

/// `2026-11-23T07:30:00Z`.
fn time(at: u64) -> String {
    // SQLite's integers go further than what this can print.
    let at = at.min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at)).to_string()
}

pub(super) fn print_entries(entries: &[Entry], json: bool, out: &mut dyn Write) -> io::Result<()> {
    for entry in entries {
        if json {
            json_line(entry, out)?;
            continue;
        }
        writeln!(
            out,
            "{:>6}  {}  {:<7}  {} {}  by {} ({})",
            entry.id,
            time(entry.at),
            entry.done,
            entry.table.noun(),
            entry.key,
            entry.who,
            entry.how
        )?;
        print_fields(&entry.fields, &entry.done, out)?;
    }
    Ok(())
}

/// A record with all its columns that are not empty.
pub fn print_record(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", record.key())?;
    for column in record.set_columns() {
        let value = record.get(&column, Secrets::Hidden);
        if !value.is_empty() {
            writeln!(out, "  {column} = {value}")?;
        }
    }
    Ok(())
}

/// One line for each device.
pub(super) fn print_row(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let Record::Device(device) = record else {
        return print_record(record, out);
    };
    let numbers = device.lines.iter().map(|line| line.number.as_str());
    writeln!(
        out,
        "{:<15}  {:<7} {:<4}  {:<16} {:<24} {}",
        device.name,
        device.model,
        device.protocol.as_str(),
        device.site,
        numbers.collect::<Vec<_>>().join(";"),
        device.description
    )
}

/// What the columns of each table look like, for `--help`.
pub(super) fn table_help(tables: &[Table]) -> String {
    let mut help = String::new();
    for table in tables {
        help += &format!("Columns of {table}:\n");
        for column in table.columns() {
            help += &format!("  {:<14} {}\n", column.name, column.help);
        }
        if matches!(table, Table::Devices | Table::Profiles | Table::Sites) {
            help += "  and one for each setting, see `tftp-edge inventory site set --help`; '' is \
                     nothing, whatever the layers below say\n";
        }
        help += "\n";
    }
    help.trim_end().to_owned()
}
