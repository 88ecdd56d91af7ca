//! What becomes of records: the diff of an import, and the history.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::records::hides;
use super::{Record, Secrets};

/// What is done to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Added(Record),
    Changed { before: Record, after: Record },
    Removed(Record),
}

impl Change {
    /// None if both are the same, or nothing.
    pub fn between(before: Option<Record>, after: Option<Record>) -> Option<Self> {
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(Self::Added(after)),
            (Some(before), None) => Some(Self::Removed(before)),
            (Some(before), Some(after)) if before == after => None,
            (Some(before), Some(after)) => Some(Self::Changed { before, after }),
        }
    }

    /// The record as it was, or as it becomes where it was not.
    pub const fn record(&self) -> &Record {
        match self {
            Self::Added(record) | Self::Removed(record) => record,
            Self::Changed { before, .. } => before,
        }
    }

    pub const fn before(&self) -> Option<&Record> {
        match self {
            Self::Added(_) => None,
            Self::Removed(before) | Self::Changed { before, .. } => Some(before),
        }
    }

    pub const fn after(&self) -> Option<&Record> {
        match self {
            Self::Removed(_) => None,
            Self::Added(after) | Self::Changed { after, .. } => Some(after),
        }
    }
}

/// What becomes of one column. Of passwords, only that they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    pub column: String,
    /// Empty if it was not set, and for passwords.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Change {
    pub const fn done(&self) -> &'static str {
        match self {
            Self::Added(_) => "added",
            Self::Changed { .. } => "changed",
            Self::Removed(_) => "removed",
        }
    }

    /// The columns that become others, in the order of the table.
    pub fn fields(&self) -> Vec<FieldChange> {
        let mut columns: Vec<Cow<'static, str>> = Vec::new();
        for record in [self.before(), self.after()].into_iter().flatten() {
            for column in record.set_columns() {
                if !columns.contains(&column) {
                    columns.push(column);
                }
            }
        }
        let field = |column: Cow<'static, str>| {
            let text = |record: Option<&Record>| {
                record.map_or_else(String::new, |record| record.get(&column, Secrets::Told))
            };
            let (before, after) = (text(self.before()), text(self.after()));
            if before == after {
                return None;
            }
            let secret = hides(&column);
            let told = |text: String| if secret { String::new() } else { text };
            Some(FieldChange {
                before: told(before),
                after: told(after),
                secret,
                column: column.into_owned(),
            })
        };
        columns.into_iter().filter_map(field).collect()
    }
}
