//! What the daemon and the command line need of a database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{
    AppDialRule, Change, Device, DeviceName, DialPlan, Entry, FeaturePolicy, HistoryQuery,
    LayerSettings, Model, Origin, PhoneService, Protocol, Server, SoftKeySet,
};

use crate::storage::Fault;

/// Everything a store holds, as of one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// In the order of their names.
    pub devices: Vec<Device>,
    /// What each site sets; the rest comes from the defaults.
    pub sites: BTreeMap<String, LayerSettings>,
    /// What each profile sets.
    pub profiles: BTreeMap<String, LayerSettings>,
    /// Firmware by model and protocol, without `.loads`.
    pub loads: BTreeMap<(String, Protocol), String>,
    /// Models the operator has added or corrected, by name.
    pub models: BTreeMap<String, Model>,
    pub objects: Objects,
    /// Until when devices may fetch what holds credentials, in Unix seconds; see
    /// `[provisioning]`. A device that is not here has none open.
    pub windows: BTreeMap<DeviceName, u64>,
}

/// What devices refer to by name, and what is the same for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Up to five servers each, in the order phones are to try them.
    pub server_groups: BTreeMap<String, Vec<Server>>,
    pub soft_keys: BTreeMap<String, SoftKeySet>,
    pub dial_plans: BTreeMap<String, DialPlan>,
    /// By their place in the file.
    pub app_dial_rules: BTreeMap<u16, AppDialRule>,
    pub feature_policies: BTreeMap<String, FeaturePolicy>,
    pub services: BTreeMap<String, PhoneService>,
}

/// What an import changed, or would change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    pub unchanged: usize,
}

/// How much of the inventory an edit looks at. What is shared is always there.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    Everything,
    /// Of the devices, those of these names alone.
    Devices(&'a [DeviceName]),
}

/// A database of everything in [`Contents`]. Each writing call is one transaction.
pub trait Store: Send {
    fn read(&mut self) -> Result<Contents, StoreError>;

    /// Whether anybody has committed since the last call; always true at the first. Cheap enough
    /// to be asked ten times a second.
    fn changed(&mut self) -> Result<bool, StoreError>;

    /// Shows `edit` what there is, writes what it wants changed, remembers it as done by `origin`,
    /// and gives it back. Nobody else writes in between. With no changes, nothing is written at
    /// all, and nobody is woken.
    fn edit(
        &mut self,
        scope: Scope<'_>,
        origin: &Origin,
        edit: &mut dyn FnMut(Contents) -> Vec<Change>,
    ) -> Result<Vec<Change>, StoreError>;

    /// What was done, the latest last.
    fn history(&mut self, query: &HistoryQuery) -> Result<Vec<Entry>, StoreError>;

    /// Writes everything to a new file, once the whole database is found to be sound.
    fn copy_to(&mut self, path: &Path) -> Result<(), StoreError>;

    /// Opens the provisioning windows of devices until a time in Unix seconds; `None` closes them.
    fn set_windows(&mut self, devices: &[DeviceName], until: Option<u64>)
    -> Result<(), StoreError>;
}

impl StoreError {
    /// Whether the database has to be repaired, or another to be put in its place.
    pub fn needs_repair(&self) -> bool {
        match self {
            Self::Fault { fault, .. } => *fault == Fault::Damaged,
            Self::Lost { .. } | Self::Row { .. } => true,
            Self::Open { .. } | Self::Create { .. } | Self::TooNew { .. } | Self::Database(_) => {
                false
            }
        }
    }
}

impl Summary {
    /// Adds what these changes do.
    pub fn count(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Added(_) => self.added += 1,
                Change::Changed { .. } => self.changed += 1,
                Change::Removed(_) => self.removed += 1,
            }
        }
    }
}

/// What the database itself says.
type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("inventory {path}: cannot be opened: {source}; its folder must exist and be writable", path = path.display())]
    Open { path: PathBuf, source: Cause },
    #[error("inventory {path}: {source}", path = path.display())]
    Create {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "inventory {path} has schema version {found}, this program knows {known}: use the newer \
         program that wrote it", path = path.display()
    )]
    TooNew {
        path: PathBuf,
        found: usize,
        known: usize,
    },
    #[error("inventory: {0}")]
    Database(Cause),
    /// What is wrong with the file, and what to do.
    #[error("inventory {path}: {told}; nothing was changed", path = path.display())]
    Fault {
        path: PathBuf,
        fault: Fault,
        told: String,
    },
    #[error(
        "inventory {path} is empty or gone, and {copy} has what was in it: `tftp-edge inventory \
         repair` brings that back; to begin anew, delete the copy", path = path.display(),
        copy = copy.display()
    )]
    Lost { path: PathBuf, copy: PathBuf },
    #[error("inventory: {table} {name:?} has {column} {value:?}, which this program does not know")]
    Row {
        table: &'static str,
        name: String,
        column: &'static str,
        value: String,
    },
}
