//! What goes into the configuration of one device, looked up once for whatever file it reads.

use super::RenderError;
use crate::inventory::{
    Device, DeviceSettings, KeyAction, Model, ModelKind, Objects, PhoneService, PhoneSettings,
    Protocol, Snapshot, feature_id,
};

#[derive(Clone, Copy)]
pub(super) struct Phone<'a> {
    pub(super) device: &'a Device,
    /// None if the database names a model that this version does not know.
    pub(super) model: Option<&'a Model>,
    pub(super) settings: &'a PhoneSettings,
    pub(super) services: &'a [(String, PhoneService)],
    pub(super) load: Option<&'a str>,
    pub(super) files: Files<'a>,
    pub(super) modules: &'a [Module<'a>],
    /// The URLs of the services that its buttons open.
    pub(super) key_services: &'a [(&'a str, &'a str)],
}

/// A key expansion module.
pub(super) struct Module<'a> {
    pub(super) model: &'a Model,
    pub(super) load: Option<&'a str>,
}

/// The names of the files that the phone is to ask for.
#[derive(Clone, Copy, Default)]
pub(super) struct Files<'a> {
    pub(super) dial_template: &'a str,
    pub(super) soft_keys: &'a str,
    pub(super) feature_policy: &'a str,
}

/// Owns what [`Phone`] borrows.
pub(super) struct LookedUp<'a> {
    device: &'a Device,
    snapshot: &'a Snapshot,
    settings: &'a DeviceSettings,
    files: [String; 3],
    modules: Vec<Module<'a>>,
    key_services: Vec<(&'a str, &'a str)>,
}

impl<'a> LookedUp<'a> {
    pub(super) fn new(
        device: &'a Device,
        settings: &'a DeviceSettings,
        snapshot: &'a Snapshot,
    ) -> Result<Self, RenderError> {
        let (objects, phone) = (&snapshot.objects, &settings.phone);
        let files = [
            file("dial plan", "DR", &phone.dial_template, |name| {
                objects.dial_plans.contains_key(name)
            })?,
            file("soft key set", "SK", &phone.soft_keys, |name| {
                objects.soft_keys.contains_key(name)
            })?,
            file("feature policy", "FP", &phone.feature_policy, |name| {
                objects.feature_policies.contains_key(name)
            })?,
        ];
        Ok(Self {
            device,
            snapshot,
            settings,
            files,
            modules: modules(device, snapshot)?,
            key_services: key_services(device, objects)?,
        })
    }

    pub(super) fn phone(&self) -> Phone<'_> {
        let [dial_template, soft_keys, feature_policy] = self.files.each_ref().map(String::as_str);
        Phone {
            device: self.device,
            model: self.snapshot.models.find(&self.device.model),
            settings: &self.settings.phone,
            services: &self.settings.services,
            load: self.snapshot.load(self.device),
            files: Files {
                dial_template,
                soft_keys,
                feature_policy,
            },
            modules: &self.modules,
            key_services: &self.key_services,
        }
    }
}

/// The file of an object of the inventory, unless the setting names a file itself.
fn file(
    kind: &'static str,
    prefix: &str,
    setting: &str,
    is_there: impl Fn(&str) -> bool,
) -> Result<String, RenderError> {
    let is_file = setting.to_ascii_lowercase().ends_with(".xml");
    match setting {
        "" => Ok(String::new()),
        file if is_file => Ok(file.to_owned()),
        name if is_there(name) => Ok(format!("{prefix}{name}.xml")),
        name => Err(RenderError::NotThere {
            kind,
            name: name.to_owned(),
        }),
    }
}

fn modules<'a>(device: &'a Device, snapshot: &'a Snapshot) -> Result<Vec<Module<'a>>, RenderError> {
    let module = |name: &'a String| {
        let model = snapshot.models.find(name);
        let is_module = |model: &&Model| model.kind == ModelKind::Module;
        let model = model
            .filter(is_module)
            .ok_or_else(|| RenderError::NotThere {
                kind: "add-on module",
                name: name.clone(),
            })?;
        let load_of = |protocol: Protocol| snapshot.loads.get(&(model.name.to_string(), protocol));
        Ok(Module {
            model,
            load: load_of(device.protocol).map(String::as_str),
        })
    };
    device.modules.iter().map(module).collect()
}

fn key_services<'a>(
    device: &'a Device,
    objects: &'a Objects,
) -> Result<Vec<(&'a str, &'a str)>, RenderError> {
    let mut services = Vec::new();
    for key in device.keys.values() {
        match &key.action {
            KeyAction::Service { name } => {
                let service = objects
                    .services
                    .get(name)
                    .ok_or_else(|| RenderError::NotThere {
                        kind: "phone service",
                        name: name.clone(),
                    })?;
                services.push((name.as_str(), service.url.as_str()));
            }
            KeyAction::Feature { name } if feature_id(name).is_none() => {
                return Err(RenderError::NotThere {
                    kind: "feature of a button",
                    name: name.clone(),
                });
            }
            _ => {}
        }
    }
    Ok(services)
}
