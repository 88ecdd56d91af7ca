//! What the daemon and the command line need of a database.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::{
    AppDialRule, Change, Device, DeviceName, DialPlan, Entry, FeaturePolicy, HistoryQuery,
    LayerSettings, Model, Origin, PhoneService, Protocol, Record, Server, SoftKeySet,
};

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

    /// Opens the provisioning windows of devices until a time in Unix seconds; `None` closes them.
    fn set_windows(&mut self, devices: &[DeviceName], until: Option<u64>)
    -> Result<(), StoreError>;

    /// Writes the devices, by name, as they are: for callers that have checked them. With
    /// `dry_run` nothing is written, and the summary says what would have been.
    fn import(
        &mut self,
        devices: &[Device],
        mode: ImportMode,
        dry_run: bool,
    ) -> Result<Summary, StoreError> {
        let names: Vec<_> = devices.iter().map(|device| device.name).collect();
        let scope = match mode {
            ImportMode::Upsert => Scope::Devices(&names),
            ImportMode::Replace => Scope::Everything,
        };
        let mut summary = Summary::default();
        self.edit(scope, &Origin::of_process("import"), &mut |contents| {
            let stored = contents.devices.into_iter();
            let mut stored: HashMap<DeviceName, Device> =
                stored.map(|device| (device.name, device)).collect();
            let record = |device: Device| Record::Device(device.into());
            let mut changes = Vec::new();
            for device in devices {
                let before = stored.remove(&device.name).map(record);
                match Change::between(before, Some(record(device.clone()))) {
                    Some(change) => changes.push(change),
                    None => summary.unchanged += 1,
                }
            }
            let left = stored.into_values();
            changes.extend(left.map(|device| Change::Removed(record(device))));
            summary.count(&changes);
            match dry_run {
                true => Vec::new(),
                false => changes,
            }
        })?;
        Ok(summary)
    }

    /// Removes the devices; gives back the names that were not there.
    fn remove(&mut self, names: &[DeviceName]) -> Result<Vec<DeviceName>, StoreError> {
        let mut missing = BTreeSet::from_iter(names.iter().copied());
        self.edit(
            Scope::Devices(names),
            &Origin::of_process("remove"),
            &mut |contents| {
                let removed = contents.devices.into_iter().map(|device| {
                    missing.remove(&device.name);
                    Change::Removed(Record::Device(device.into()))
                });
                removed.collect()
            },
        )?;
        Ok(missing.into_iter().collect())
    }

    /// Sets keys of a site, and makes the site if there is none. `None` goes back to the default.
    fn set_site(
        &mut self,
        site: &str,
        settings: &[(String, Option<String>)],
    ) -> Result<(), StoreError> {
        self.edit(
            Scope::Devices(&[]),
            &Origin::of_process("set"),
            &mut |contents| {
                let before = contents.sites.get(site);
                let mut after = before.cloned().unwrap_or_default();
                for (key, value) in settings {
                    match value {
                        Some(value) => after.insert(key.clone(), value.clone()),
                        None => after.remove(key),
                    };
                }
                let record = |settings: &LayerSettings| Record::Site(site.into(), settings.clone());
                let change = Change::between(before.map(record), Some(record(&after)));
                change.into_iter().collect()
            },
        )
        .map(drop)
    }

    /// Names the firmware of a model; `None` leaves the phones what they run.
    fn set_load(
        &mut self,
        model: &str,
        protocol: Protocol,
        load: Option<&str>,
    ) -> Result<(), StoreError> {
        self.edit(
            Scope::Devices(&[]),
            &Origin::of_process("set"),
            &mut |contents| {
                let record = |load: &str| Record::Load {
                    model: model.into(),
                    protocol,
                    load: load.into(),
                };
                let before = contents.loads.get(&(model.to_owned(), protocol));
                let before = before.map(|load| record(load));
                let change = Change::between(before, load.map(record));
                change.into_iter().collect()
            },
        )
        .map(drop)
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
    #[error("inventory: {table} {name:?} has {column} {value:?}, which this program does not know")]
    Row {
        table: &'static str,
        name: String,
        column: &'static str,
        value: String,
    },
}
