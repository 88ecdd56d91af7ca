//! The phones of the site: devices, their lines, the sites they belong to and the firmware of
//! their models, kept in a database that the command line writes and the daemon watches.

pub mod bat;
mod change;
pub mod command;
mod device;
mod edit;
mod guard;
mod history;
mod line_key;
mod models;
mod names;
mod notation;
mod objects;
mod records;
mod settings;
mod snapshot;
mod sqlite;
mod store;
mod subnets;
pub mod table_file;
pub(crate) mod text;
#[cfg(test)]
mod unchecked;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;

use crate::alarms::Alarms;
use guard::{Guard, Seen};

pub use change::{Change, FieldChange};
pub use device::{Device, Line, LineOptions, Protocol};
pub use edit::{Edit, EditError, Place, Plan, Row, RowError, RowErrors, Want};
pub use history::{Entry, HistoryQuery, HistorySettings, Origin};
pub use line_key::{FEATURES, KeyAction, LineKey, feature_id};
pub use models::{MODELS, Model, ModelKind, Models};
pub use names::{DeviceName, Mac, NameError, NameKind};
pub use objects::{
    AppDialRule, CALL_STATES, CallState, DialPlan, DialRule, FeaturePolicy, POLICY_FEATURES,
    PhoneService, PolicyFeature, SOFT_KEYS, SoftKey, SoftKeySet, TONES, check_object_name,
};
pub use records::{Column, ColumnUse, LayerSettings, Mistake, Record, Reference, Secrets, Table};
pub use settings::{
    AutoRegistration, CapfAuth, DEFAULT_SITE, Element, HostPort, KEYS, Locale, NumberPool,
    PhoneSettings, SITE_KEYS, Section, Server, SettingError, Site, Transport, VENDOR_ELEMENTS,
    Value, VendorElement, Vpn, VpnAuth, element_help, is_secret, xml_elements,
};
pub use snapshot::{Fault, Settings as DeviceSettings, Snapshot};
pub use sqlite::{Following, Loss, Report, SqliteStore, TableReport, repair as repair_database};
pub use store::{Contents, Objects, Scope, Store, StoreError, Summary};
pub use subnets::Subnets;
#[cfg(test)]
pub(crate) use table_file::parse_csv;
#[cfg(test)]
pub(crate) use unchecked::{ImportMode, Unchecked};
pub use watch::Watch;

use crate::live::Live;

/// The `[inventory]` table of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The SQLite database; made when it is not there.
    pub database: PathBuf,
    /// What holds for every site unless the inventory says otherwise.
    pub defaults: Site,
    pub history: HistorySettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: "/var/lib/tftp-edge/inventory.db".into(),
            defaults: Site::default(),
            history: HistorySettings::default(),
        }
    }
}

/// A store, and the defaults that its sites are laid over.
pub struct Inventory {
    store: Box<dyn Store>,
    /// Of these the defaults may change at any time.
    settings: Live<Settings>,
    /// Those that the last snapshot was made with.
    seen: Arc<Settings>,
    /// A change was seen, but could not be read.
    unread: bool,
    /// The last one that was given out.
    last: Option<Snapshot>,
    guard: Option<Guard>,
}

impl Inventory {
    /// Opens the database of the settings, and makes it if there is none.
    pub fn open(settings: impl Into<Live<Settings>>) -> Result<Self, StoreError> {
        let settings = settings.into();
        let now = settings.take();
        let store = SqliteStore::open(&now.database)?.keeping(now.history);
        Ok(Self::of(Box::new(store), settings))
    }

    pub fn new(store: Box<dyn Store>, defaults: Site) -> Self {
        let settings = Settings {
            defaults,
            ..Settings::default()
        };
        Self::of(store, settings.into())
    }

    fn of(store: Box<dyn Store>, settings: Live<Settings>) -> Self {
        Self {
            store,
            seen: settings.take(),
            settings,
            unread: false,
            last: None,
            guard: None,
        }
    }

    /// The same for a daemon: a database that cannot be used is opened when it can be.
    pub fn follow(settings: impl Into<Live<Settings>>) -> Self {
        let settings = settings.into();
        let store = Following::new(&settings.take());
        Self::of(Box::new(store), settings)
    }

    /// The same, and what [`Self::snapshot_if_changed`] gives out goes on to be served when the
    /// database fails; at the start, its last good copy is.
    pub fn serve(settings: impl Into<Live<Settings>>, alarms: Arc<Alarms>) -> Self {
        let settings = settings.into();
        Self {
            guard: Some(Guard::new(&settings.take(), alarms)),
            ..Self::follow(settings)
        }
    }

    pub fn store(&mut self) -> &mut dyn Store {
        self.store.as_mut()
    }

    /// Everything, as of one commit.
    pub fn snapshot(&mut self) -> Result<Snapshot, StoreError> {
        let contents = self.store.read()?;
        Ok(self.snapshot_of(contents))
    }

    fn snapshot_of(&mut self, contents: Contents) -> Snapshot {
        self.seen = self.settings.take();
        let snapshot = Snapshot::following(self.last.as_ref(), contents, &self.seen.defaults);
        self.last = Some(snapshot.clone());
        snapshot
    }

    /// As [`Store::edit`] with everything, its layers joined.
    pub fn edit(
        &mut self,
        origin: &Origin,
        edit: &mut dyn FnMut(&Snapshot) -> Vec<Change>,
    ) -> Result<Vec<Change>, StoreError> {
        let settings = self.settings.take();
        self.store.edit(Scope::Everything, origin, &mut |contents| {
            edit(&Snapshot::following(None, contents, &settings.defaults))
        })
    }

    /// The snapshot, if anything was committed since the last call, or the defaults are others; always
    /// at the first.
    pub fn snapshot_if_changed(&mut self) -> Result<Option<Snapshot>, StoreError> {
        let Some(mut guard) = self.guard.take() else {
            return self.look();
        };
        let guarded = self.look_guarded(&mut guard, Instant::now());
        self.guard = Some(guard);
        guarded
    }

    fn look_guarded(
        &mut self,
        guard: &mut Guard,
        now: Instant,
    ) -> Result<Option<Snapshot>, StoreError> {
        if !guard.is_due(now) {
            return Ok(None);
        }
        match self.look() {
            Ok(snapshot) => {
                guard.read(snapshot.is_some(), now);
                guard.keep_copy(self.store.as_mut(), now);
                Ok(snapshot)
            }
            Err(error) => match guard.failed(error, self.last.is_some(), now)? {
                Seen::Unchanged => Ok(None),
                Seen::Contents(contents) => {
                    let snapshot = self.snapshot_of(*contents);
                    // The database is read whole when it can be.
                    self.unread = true;
                    Ok(Some(snapshot))
                }
            },
        }
    }

    fn look(&mut self) -> Result<Option<Snapshot>, StoreError> {
        self.unread |= self.store.changed()? || self.has_other_defaults();
        if !self.unread {
            return Ok(None);
        }
        let snapshot = self.snapshot()?;
        self.unread = false;
        Ok(Some(snapshot))
    }

    fn has_other_defaults(&mut self) -> bool {
        let now = self.settings.take();
        if Arc::ptr_eq(&now, &self.seen) {
            return false;
        }
        let differ = now.defaults != self.seen.defaults;
        self.seen = now;
        differ
    }
}

#[cfg(test)]
mod faults;
