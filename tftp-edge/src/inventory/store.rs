//! What the daemon and the command line need of a database.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{
    AppDialRule, Device, DeviceName, DialPlan, FeaturePolicy, Model, PhoneService, Protocol,
    Server, SoftKeySet,
};

/// Everything a store holds, as of one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub devices: Vec<Device>,
    /// What each site sets; the rest comes from the defaults.
    pub sites: BTreeMap<String, BTreeMap<String, String>>,
    /// What each profile sets.
    pub profiles: BTreeMap<String, BTreeMap<String, String>>,
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
    pub app_dial_rules: Vec<AppDialRule>,
    pub feature_policies: BTreeMap<String, FeaturePolicy>,
    pub services: BTreeMap<String, PhoneService>,
}

/// What happens to devices that an imported file does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// They stay.
    Upsert,
    /// They go.
    Replace,
}

/// What an import changed, or would change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    pub unchanged: usize,
}

/// A database of devices, sites and firmware. Each writing call is one transaction.
pub trait Store: Send {
    fn read(&mut self) -> Result<Contents, StoreError>;

    /// Whether anybody has committed since the last call; always true at the first. Cheap enough
    /// to be asked ten times a second.
    fn changed(&mut self) -> Result<bool, StoreError>;

    /// Writes the devices, by name. With `dry_run` nothing is written, and the summary says what
    /// would have been.
    fn import(
        &mut self,
        devices: &[Device],
        mode: ImportMode,
        dry_run: bool,
    ) -> Result<Summary, StoreError>;

    /// Removes the devices; gives back the names that were not there.
    fn remove(&mut self, names: &[DeviceName]) -> Result<Vec<DeviceName>, StoreError>;

    /// Sets keys of a site, and makes the site if there is none. `None` goes back to the default.
    fn set_site(
        &mut self,
        site: &str,
        settings: &[(String, Option<String>)],
    ) -> Result<(), StoreError>;

    /// Names the firmware of a model; `None` leaves the phones what they run.
    fn set_load(
        &mut self,
        model: &str,
        protocol: Protocol,
        load: Option<&str>,
    ) -> Result<(), StoreError>;
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("inventory {path}: cannot be opened: {source}; its folder must exist and be writable", path = path.display())]
    Open {
        path: PathBuf,
        source: rusqlite::Error,
    },
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
    Database(#[from] rusqlite::Error),
    #[error("inventory: device {name:?} has {column} {value:?}, which this program does not know")]
    Row {
        name: String,
        column: &'static str,
        value: String,
    },
}
