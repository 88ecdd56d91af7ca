//! `tftp-edge inventory history|undo`.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::super::{
    DeviceName, Edit, EditError, Entry, HistoryQuery, Inventory, Origin, Place, Row, Settings,
    Store, Table, Want,
};
use super::print::print_entries;
use super::{CommandError, table};

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only what was done to this device
    #[arg(long)]
    pub device: Option<DeviceName>,
    /// Only what was done in this table
    #[arg(long, value_parser = table, conflicts_with = "device")]
    pub table: Option<Table>,
    /// Only what was done to the record of this name; with --table
    #[arg(long, requires = "table")]
    pub name: Option<String>,
    /// Only what was done since then: 7d, 12h, 30min, or a time in UTC such as 2026-11-01 or
    /// "2026-11-01 08:00:00"
    #[arg(long, value_parser = since)]
    pub since: Option<SystemTime>,
    /// The latest so many
    #[arg(long, short = 'n', default_value_t = 100)]
    pub last: u32,
    /// One JSON object for each change, one a line; times are Unix seconds
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The numbers of changes, as the history shows them
    #[arg(required = true)]
    pub ids: Vec<u64>,
}

fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return SystemTime::now()
            .checked_sub(ago)
            .ok_or_else(|| format!("{text:?} is too long ago"));
    }
    let day = format!("{text} 00:00:00");
    humantime::parse_rfc3339_weak(text)
        .or_else(|_| humantime::parse_rfc3339_weak(&day))
        .map_err(|_| "expected 7d, 12h, 30min, 2026-11-01 or \"2026-11-01 08:00:00\"".into())
}

impl HistoryArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let device = self.device.map(|name| name.to_string());
        let since = self.since.map(|since| {
            let since = since.duration_since(UNIX_EPOCH);
            since.unwrap_or(Duration::ZERO).as_secs()
        });
        let query = HistoryQuery {
            id: None,
            table: self.device.map(|_| Table::Devices).or(self.table),
            key: device.or(self.name),
            since,
            last: Some(self.last),
        };
        let entries = Inventory::open(settings)?.store().history(&query)?;
        Ok(print_entries(&entries, self.json, out)?)
    }
}

impl UndoArgs {
    pub(super) fn run(self, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut inventory = Inventory::open(settings)?;
        let mut edit = Edit::default();
        for &id in &self.ids {
            let entry = entry(inventory.store(), id)?;
            edit.rows.push(undo(entry)?);
        }
        let ids: Vec<_> = self.ids.iter().map(u64::to_string).collect();
        let origin = Origin::of_process(format!("undo {}", ids.join(" ")));
        match inventory.apply(&edit, &origin, false) {
            Ok(_) => Ok(writeln!(out, "{} undone", ids.len())?),
            Err(EditError::Rows(errors)) => Err(CommandError::Refused(errors)),
            Err(EditError::Store(error)) => Err(error.into()),
        }
    }
}

fn entry(store: &mut dyn Store, id: u64) -> Result<Entry, CommandError> {
    let of = |id| HistoryQuery {
        id: Some(id),
        ..HistoryQuery::default()
    };
    let Some(entry) = store.history(&of(id))?.pop() else {
        return Err(CommandError::NotThere(format!(
            "the history has no change {id}; `tftp-edge inventory history` shows them"
        )));
    };
    // An older one would take back half of what came after it.
    let latest = store.history(&HistoryQuery {
        table: Some(entry.table),
        key: Some(entry.key.clone()),
        last: Some(1),
        ..HistoryQuery::default()
    })?;
    match latest.first() {
        Some(latest) if latest.id != id => Err(CommandError::NotUndone(format!(
            "{} {} has been changed since, by {}; undo that first",
            entry.table.noun(),
            entry.key,
            latest.id
        ))),
        _ => Ok(entry),
    }
}

/// The reverse of a change.
fn undo(entry: Entry) -> Result<Row, CommandError> {
    let want = match entry.done.as_str() {
        "added" => Want::Gone,
        "removed" => Want::New,
        _ => Want::Existing,
    };
    let secret = entry.fields.iter().find(|field| field.secret);
    if let (Some(field), Want::New | Want::Existing) = (secret, want) {
        return Err(CommandError::NotUndone(format!(
            "the {} of {} {} changed too, and the history keeps no secrets; set it anew",
            field.column,
            entry.table.noun(),
            entry.key
        )));
    }
    let keys = match entry.table {
        Table::Loads => entry.key.split('/').map(Into::into).collect(),
        _ => vec![entry.key],
    };
    let fields = entry.fields.into_iter();
    Ok(Row {
        table: entry.table,
        want,
        keys,
        fields: fields
            .map(|field| (field.column.into(), field.before))
            .collect(),
        place: Place::CommandLine,
    })
}
