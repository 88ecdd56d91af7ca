//! Which devices a change of the inventory touches.
//!
//! A device is rendered from itself, the settings of its layers, the firmware named for it and for
//! its modules, the models, the services its buttons open, and the names of the objects it refers
//! to. What is in those objects stands in files of their own.

use std::collections::HashMap;

use crate::inventory::{Device, KeyAction, Objects, PhoneService, PhoneSettings, Snapshot};

/// The devices whose configuration may be another one.
pub(super) fn touched<'s>(before: &Snapshot, now: &'s Snapshot) -> Vec<&'s Device> {
    let same_models = before.models == now.models;
    let same_loads = before.loads == now.loads;
    // Each pair of site and profile is compared once, not once for each of its devices.
    let mut same_layers: HashMap<(&str, Option<&str>), bool> = HashMap::new();
    now.devices
        .values()
        .filter(|device| {
            let layers = (device.site.as_str(), device.profile.as_deref());
            // Mostly one and the same in memory: then the comparison looks no further.
            let same_device = before.devices.get(&device.name) == Some(*device);
            let same_loads = same_loads
                || (device.modules.is_empty() && before.load(device) == now.load(device));
            let compare = || same_settings(device, before, now);
            // Settings of its own are laid over the others: then the pair says nothing.
            let same_settings = match device.settings.is_empty() {
                true => *same_layers.entry(layers).or_insert_with(compare),
                false => compare(),
            };
            let same_services =
                || key_services(device, &before.objects).eq(key_services(device, &now.objects));
            !(same_device && same_loads && same_settings && same_models && same_services())
        })
        .map(AsRef::as_ref)
        .collect()
}

fn same_settings(device: &Device, before: &Snapshot, now: &Snapshot) -> bool {
    match (before.settings(device), now.settings(device)) {
        (Ok(old), Ok(new)) => {
            let were_there = are_there(&old.phone, &before.objects);
            old == new && were_there == are_there(&new.phone, &now.objects)
        }
        (old, new) => old == new,
    }
}

/// Whether there is what the settings name: the file of a dial plan, of soft keys, of a policy.
fn are_there(settings: &PhoneSettings, objects: &Objects) -> [bool; 3] {
    [
        objects.dial_plans.contains_key(&settings.dial_template),
        objects.soft_keys.contains_key(&settings.soft_keys),
        objects
            .feature_policies
            .contains_key(&settings.feature_policy),
    ]
}

fn key_services<'d>(
    device: &'d Device,
    objects: &'d Objects,
) -> impl Iterator<Item = Option<&'d PhoneService>> {
    let actions = device.keys.values().map(|key| &key.action);
    actions.filter_map(|action| match action {
        KeyAction::Service { name } => Some(objects.services.get(name)),
        KeyAction::SpeedDial { .. } | KeyAction::Blf { .. } | KeyAction::Feature { .. } => None,
    })
}
