//! What an operator wants done to records: checked as a whole against what there is, then applied
//! as a whole or not at all.

mod errors;
mod planner;

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Change, DeviceName, Inventory, Origin, Record, Scope, StoreError, Summary, Table};
pub use errors::{Place, RowError, RowErrors};

/// What is to become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// It is to be like this, whether it is there or not.
    Upsert,
    /// It must not be there.
    New,
    /// It must be there.
    Existing,
    /// It must be there, and is to go.
    Gone,
}

/// One record and the columns to set. Columns that are not named stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub table: Table,
    pub want: Want,
    /// In the order of the table's columns.
    pub keys: Vec<String>,
    pub fields: Vec<(Cow<'static, str>, String)>,
    pub place: Place,
}

/// Rows to be applied together.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    pub rows: Vec<Row>,
    /// Tables that are to hold what the rows say and nothing else.
    pub replaced: BTreeSet<Table>,
    /// What was wrong already where the rows come from. Told with what is wrong with the rows.
    pub errors: RowErrors,
}

/// What an edit does.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub unchanged: usize,
}

impl Plan {
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            unchanged: self.unchanged,
            ..Summary::default()
        };
        summary.count(&self.changes);
        summary
    }
}

#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Rows(#[from] RowErrors),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Inventory {
    /// Applies all of an edit, or nothing. With `dry_run` nothing is written, and the plan says what
    /// would have been.
    pub fn apply(
        &mut self,
        edit: &Edit,
        origin: &Origin,
        dry_run: bool,
    ) -> Result<Plan, EditError> {
        let names = edit.devices_alone();
        let scope = match &names {
            Some(names) => Scope::Devices(names),
            None => Scope::Everything,
        };
        let mut planned = Ok(Plan::default());
        let written = self.store().edit(scope, origin, &mut |contents| {
            planned = edit.plan(contents);
            match &mut planned {
                Ok(plan) if !dry_run => std::mem::take(&mut plan.changes),
                _ => Vec::new(),
            }
        })?;
        let mut plan = planned?;
        if !dry_run {
            plan.changes = written;
        }
        Ok(plan)
    }
}

impl Edit {
    /// One record to be set.
    pub fn of_record(
        table: Table,
        want: Want,
        keys: Vec<String>,
        fields: Vec<(Cow<'static, str>, String)>,
    ) -> Self {
        let row = Row {
            table,
            want,
            keys,
            fields,
            place: Place::CommandLine,
        };
        Self {
            rows: vec![row],
            ..Self::default()
        }
    }

    /// The devices it names, if no other can be wrong by it. One that is not named can only miss
    /// what goes, or be too much for what becomes of its model.
    fn devices_alone(&self) -> Option<Vec<DeviceName>> {
        let touches_others = |row: &Row| match row.table {
            Table::Devices => false,
            Table::Models => true,
            _ => row.want == Want::Gone,
        };
        if !self.replaced.is_empty() || self.rows.iter().any(touches_others) {
            return None;
        }
        let devices = self.rows.iter().filter(|row| row.table == Table::Devices);
        let names = devices.filter_map(|row| row.keys.first());
        // What is no name is told when it is looked at.
        Some(names.filter_map(|name| name.trim().parse().ok()).collect())
    }
}

/// What kind of record it is, and its key.
pub(super) fn name_of(record: &Record) -> String {
    format!("{} {}", record.table().noun(), record.key())
}
