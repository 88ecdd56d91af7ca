//! Which loads the inventory tells phones to run, and how many phones.

use std::collections::BTreeMap;

use crate::inventory::{Device, DeviceName, ModelKind, Protocol, Snapshot};

/// Everybody who is told to run one load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// As the inventory spells it, without `.loads`.
    pub load: String,
    /// Devices that fetch it from here.
    pub devices: usize,
    /// The first of them.
    pub example: Option<DeviceName>,
    /// Devices that are sent to another host for it (`load_server`).
    pub sent_elsewhere: usize,
    /// Models whose phones get it when they are not in the inventory, as `XMLDefault.cnf.xml` says.
    pub models: Vec<(String, Protocol)>,
    /// It is the firmware of an add-on module: one image rather than a list of them.
    pub is_module: bool,
}

/// By load in lower case: phones' requests are not told apart by case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs(BTreeMap<String, Need>);

impl Needs {
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut needs = Self::default();
        let modules = module_loads(snapshot);
        for device in snapshot.devices.values() {
            if snapshot.models.find(&device.model).map(|model| model.kind)
                == Some(ModelKind::SoftPhone)
            {
                // Installed like any other program.
                continue;
            }
            let mut loads: Vec<_> = snapshot
                .load(device)
                .map(|load| (load, false))
                .into_iter()
                .collect();
            let of_module = |name: &String| {
                let model = snapshot.models.find(name)?;
                Some((*modules.get(&*model.name)?, true))
            };
            loads.extend(device.modules.iter().filter_map(of_module));
            loads.sort_unstable();
            loads.dedup();
            for (load, is_module) in loads {
                needs.entry(load, is_module).count(device, snapshot);
            }
        }
        for ((model, protocol), load) in &snapshot.loads {
            let known = snapshot.models.find(model);
            let kind = known.map_or(ModelKind::Phone, |model| model.kind);
            if kind != ModelKind::SoftPhone {
                let need = needs.entry(load, kind == ModelKind::Module);
                need.models.push((model.clone(), *protocol));
            }
        }
        needs
    }

    fn entry(&mut self, load: &str, is_module: bool) -> &mut Need {
        let need = self.0.entry(load.to_ascii_lowercase()).or_default();
        if need.load.is_empty() {
            load.clone_into(&mut need.load);
            need.is_module = is_module;
        }
        need
    }

    pub fn iter(&self) -> impl Iterator<Item = &Need> {
        self.0.values()
    }

    /// By the load's name, in any case.
    pub fn get(&self, load: &str) -> Option<&Need> {
        self.0.get(&load.to_ascii_lowercase())
    }
}

impl Need {
    fn count(&mut self, device: &Device, snapshot: &Snapshot) {
        let settings = snapshot.settings(device);
        if settings.is_ok_and(|settings| !settings.phone.load_server.is_empty()) {
            self.sent_elsewhere += 1;
            return;
        }
        self.devices += 1;
        self.example.get_or_insert(device.name);
    }

    /// Whether nobody fetches it from here.
    pub const fn is_elsewhere(&self) -> bool {
        self.devices == 0 && self.sent_elsewhere > 0
    }
}

/// The firmware of add-on modules, by the name of their model.
fn module_loads(snapshot: &Snapshot) -> BTreeMap<&str, &str> {
    let loads = snapshot.loads.iter().filter_map(|((model, _), load)| {
        let model = snapshot.models.find(model)?;
        (model.kind == ModelKind::Module).then_some((&*model.name, load.as_str()))
    });
    loads.collect()
}
