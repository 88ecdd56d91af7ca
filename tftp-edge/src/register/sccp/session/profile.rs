//! What a phone shows, by the inventory: its buttons, and what is behind each.

use std::sync::Arc;

use crate::inventory::{
    Device, DeviceSettings, KeyAction, LineKey, ModelKind, Objects, Snapshot, SoftKeySet,
};
use crate::register::sccp::wire::{
    Button, Dialect, FeatureStat, LineStat, MAX_BUTTONS, ServiceUrlStat, SpeedDialStat,
};

/// Looked up once for a registration.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) device: Arc<Device>,
    pub(super) settings: Arc<DeviceSettings>,
    objects: Arc<Objects>,
    /// The firmware of the inventory.
    pub(super) load: Option<String>,
    /// Instance and kind of each button.
    pub(super) buttons: Vec<(u8, Button)>,
    /// The numbers of buttons, in the order of their instances.
    speed_dials: Vec<u16>,
    features: Vec<(u16, Button)>,
    services: Vec<u16>,
}

impl Profile {
    pub(super) fn new(
        device: Arc<Device>,
        settings: Arc<DeviceSettings>,
        snapshot: &Snapshot,
        dialect: Dialect,
    ) -> Self {
        let mut profile = Self {
            load: snapshot.load(&device).map(str::to_owned),
            objects: Arc::clone(&snapshot.objects),
            buttons: Vec::new(),
            speed_dials: Vec::new(),
            features: Vec::new(),
            services: Vec::new(),
            device: Arc::clone(&device),
            settings,
        };
        let mut lines = device.lines_on_buttons().peekable();
        let mut line = 0;
        for number in 1..=button_count(&device, snapshot) {
            let button = match device.keys.get(&number) {
                Some(key) => profile.key(number, key, dialect),
                None => match lines.next() {
                    Some(_) => {
                        line += 1;
                        (line, Button::Line)
                    }
                    None => (0, Button::Nothing),
                },
            };
            profile.buttons.push(button);
        }
        profile
    }

    fn key(&mut self, number: u16, key: &LineKey, dialect: Dialect) -> (u8, Button) {
        // There are 56 buttons at most.
        let last = |list: usize| list as u8;
        match &key.action {
            KeyAction::Blf { .. } if dialect.has_dynamic_features() => {
                self.features.push((number, Button::BusyLamp));
                (last(self.features.len()), Button::BusyLamp)
            }
            // Older phones have no lamp for it: it still dials.
            KeyAction::SpeedDial { .. } | KeyAction::Blf { .. } => {
                self.speed_dials.push(number);
                (last(self.speed_dials.len()), Button::SpeedDial)
            }
            KeyAction::Service { .. } => {
                self.services.push(number);
                (last(self.services.len()), Button::ServiceUrl)
            }
            KeyAction::Feature { name } => match feature(name) {
                Button::Nothing => (0, Button::Nothing),
                button => {
                    self.features.push((number, button));
                    (last(self.features.len()), button)
                }
            },
        }
    }

    pub(super) fn line_count(&self) -> u32 {
        let lines = self.buttons.iter().filter(|it| it.1 == Button::Line);
        lines.count() as u32
    }

    pub(super) fn speed_dial_count(&self) -> u32 {
        self.speed_dials.len() as u32
    }

    /// A line that is not there is empty: so the phone stops asking.
    pub(super) fn line(&self, instance: u32) -> LineStat<'_> {
        let line = nth(&self.device.lines, instance);
        LineStat {
            line: instance,
            number: line.map_or("", |line| &line.number),
            display_name: line.map_or("", |line| line.display_name()),
            label: line.map_or("", |line| line.label()),
        }
    }

    pub(super) fn speed_dial(&self, instance: u32) -> SpeedDialStat<'_> {
        let key = nth(&self.speed_dials, instance).and_then(|at| self.device.keys.get(at));
        SpeedDialStat {
            instance,
            number: match key.map(|key| &key.action) {
                Some(KeyAction::SpeedDial { number } | KeyAction::Blf { number }) => number,
                _ => "",
            },
            label: key.map_or("", |key| &key.label),
        }
    }

    /// Whether somebody is busy is a PBX's to say: lamps are off.
    pub(super) fn feature(&self, index: u32) -> FeatureStat<'_> {
        let feature = nth(&self.features, index);
        let key = feature.and_then(|(at, _)| self.device.keys.get(at));
        FeatureStat {
            index,
            button: feature.map_or(Button::Nothing, |&(_, button)| button),
            label: key.map_or("", |key| &key.label),
            state: 0,
        }
    }

    pub(super) fn service(&self, index: u32) -> ServiceUrlStat<'_> {
        let key = nth(&self.services, index).and_then(|at| self.device.keys.get(at));
        let service = match key.map(|key| &key.action) {
            Some(KeyAction::Service { name }) => self.objects.services.get(name),
            _ => None,
        };
        ServiceUrlStat {
            index,
            url: service.map_or("", |service| &service.url),
            label: key.map_or("", |key| &key.label),
        }
    }

    /// The set of its settings; the usual keys if they name none, or a file for SIP phones.
    pub(super) fn soft_keys(&self) -> SoftKeySet {
        let set = self.objects.soft_keys.get(&self.settings.phone.soft_keys);
        set.cloned().unwrap_or_default()
    }
}

/// The entry with a number that counts from 1.
fn nth<T>(entries: &[T], instance: u32) -> Option<&T> {
    entries.get((instance as usize).checked_sub(1)?)
}

/// Of the phone and its modules; of a model nobody knows, as many as are used.
fn button_count(device: &Device, snapshot: &Snapshot) -> u16 {
    let buttons = |model: &str, kind: Option<ModelKind>| {
        let model = snapshot.models.find(model)?;
        (kind.is_none() || kind == Some(model.kind)).then_some(model.lines)
    };
    let used = || {
        let lines = device.lines_on_buttons().map(|(button, _)| button);
        let keys = device.keys.keys().copied();
        lines.chain(keys).max().unwrap_or_default()
    };
    let modules = device.modules.iter();
    let modules = modules.filter_map(|module| buttons(module, Some(ModelKind::Module)));
    let own = buttons(&device.model, None).unwrap_or_else(used);
    let all = modules.fold(own, u16::saturating_add);
    all.min(MAX_BUTTONS as u16)
}

/// The button of a feature by its name in the inventory; none for what only SIP phones have.
fn feature(name: &str) -> Button {
    match name {
        "redial" => Button::Redial,
        "hold" => Button::Hold,
        "transfer" => Button::Transfer,
        "forward" => Button::ForwardAll,
        "malicious_call" => Button::MaliciousCall,
        "conference" => Button::Conference,
        "meet_me" => Button::MeetMe,
        "park" => Button::Park,
        "pickup" => Button::Pickup,
        "group_pickup" => Button::GroupPickup,
        "dnd" => Button::DoNotDisturb,
        "remove_last" => Button::RemoveLast,
        "quality_report" => Button::QualityReport,
        "callback" => Button::CallBack,
        "other_pickup" => Button::OtherPickup,
        "new_call" => Button::NewCall,
        "hunt" => Button::HuntLog,
        "messages" => Button::Messages,
        "directories" => Button::Directory,
        "applications" => Button::Application,
        "headset" => Button::Headset,
        _ => Button::Nothing,
    }
}
