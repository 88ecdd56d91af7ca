//! Devices that asked in vain, as the catalog saw them.

use std::sync::Arc;

use super::super::Query;
use super::Library;
use crate::inventory::{DeviceName, Snapshot};
use crate::provisioning::{Knock, Knockers, Knocking, Told, since_epoch};

impl Library {
    /// The devices that asked in vain, those that nobody knows or those whose window is closed; the
    /// last to ask first.
    pub fn knocking(&self, which: Knockers) -> Vec<Knocking> {
        let inventory = self.shared.inventory.load();
        let Some(inventory) = inventory.as_ref() else {
            return Vec::new();
        };
        let now = since_epoch().as_secs();
        let knocks = self.shared.knocks.lock();
        let tell = |(name, knock): (DeviceName, &Knock)| {
            let site = inventory.site_at(knock.source);
            Knocking::new(name, knock, site)
        };
        match which {
            Knockers::Unknown => {
                let unknown = knocks.unknown();
                let unknown = unknown.filter(|(name, _)| !inventory.devices.contains_key(name));
                unknown.map(tell).collect()
            }
            Knockers::Closed => {
                let has_windows = self.counts().windows_open.is_some();
                let is_closed = |name: &DeviceName| {
                    let until = inventory.windows.get(name);
                    has_windows
                        && inventory.devices.contains_key(name)
                        && until.is_none_or(|&until| until <= now)
                };
                let closed = knocks.closed().filter(|(name, _)| is_closed(name));
                closed.map(tell).collect()
            }
        }
    }

    /// How many devices asked that nobody knows.
    pub fn unknown(&self) -> u64 {
        let inventory = self.shared.inventory.load();
        let is_known = |name: &DeviceName| {
            let inventory = inventory.as_ref();
            inventory.is_some_and(|inventory| inventory.devices.contains_key(name))
        };
        let knocks = self.shared.knocks.lock();
        knocks.unknown().filter(|(name, _)| !is_known(name)).count() as u64
    }

    /// How many of them were too many to be remembered.
    pub fn forgotten(&self) -> u64 {
        self.shared.knocks.lock().forgotten()
    }

    /// A device that is not known and one that is shut out cost the same here: the time to the
    /// answer tells nobody which it was.
    pub(super) fn knocked(&self, name: &str, query: Query<'_>) {
        // Another edge has its own list.
        if query.forwarded {
            return;
        }
        let Some(device) = DeviceName::of_file(name) else {
            if let Some(model) = Told::model_by_file(name) {
                self.shared.knocks.lock().tell_model(query.client, model);
            }
            return;
        };
        let inventory = self.shared.inventory.load();
        let is_known = |inventory: &Arc<Snapshot>| inventory.devices.contains_key(&device);
        let is_known = inventory.as_ref().is_some_and(is_known);
        let now = since_epoch().as_secs();
        let mut knocks = self.shared.knocks.lock();
        knocks.note(name, device, is_known, query.client, now);
    }
}
