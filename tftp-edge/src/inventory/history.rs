//! Every change of the inventory, by whom and when.

use serde::{Deserialize, Serialize};

use super::{FieldChange, Table};

/// Who changes something, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// A user of the system: behind `sudo`, the one who called it.
    pub who: String,
    /// The command, or `import FILE`.
    pub how: String,
}

impl Origin {
    /// The user this process runs for.
    pub fn of_process(how: impl Into<String>) -> Self {
        let of_sudo = || {
            std::env::var("SUDO_USER")
                .ok()
                .filter(|name| !name.is_empty())
        };
        let of_system = || {
            let uid = nix::unistd::getuid();
            let user = nix::unistd::User::from_uid(uid).ok().flatten();
            user.map_or_else(|| uid.to_string(), |user| user.name)
        };
        Self {
            who: of_sudo().unwrap_or_else(of_system),
            how: how.into(),
        }
    }
}

/// The `[inventory.history]` table of the configuration file: how long changes are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistorySettings {
    /// At most so many; the oldest go first.
    pub entries: u32,
    /// At most for so many days.
    pub days: u32,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            entries: 500_000,
            days: 400,
        }
    }
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Ascending.
    pub id: u64,
    /// In Unix seconds.
    pub at: u64,
    pub who: String,
    pub how: String,
    pub table: Table,
    pub key: String,
    /// `added`, `changed` or `removed`.
    pub done: String,
    pub fields: Vec<FieldChange>,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    pub id: Option<u64>,
    pub table: Option<Table>,
    pub key: Option<String>,
    /// In Unix seconds.
    pub since: Option<u64>,
    /// The latest so many.
    pub last: Option<u32>,
}
