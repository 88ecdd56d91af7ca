//! Writes that nobody has checked, for tests that need an inventory: commands go through
//! [`super::Inventory::apply`].

use std::collections::{BTreeSet, HashMap};

use super::{
    Change, Device, DeviceName, LayerSettings, Origin, Protocol, Record, Scope, Store, StoreError,
    Summary,
};

/// What happens to devices that an imported file does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// They stay.
    Upsert,
    /// They go.
    Replace,
}

/// A store that takes what it is given.
pub(crate) trait Unchecked: Store {
    /// Writes the devices, by name, as they are. With
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

impl<S: Store + ?Sized> Unchecked for S {}
