//! Brings together what a rule needs of one phone.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::case::{Case, Heard};
use super::neighbours::Neighbours;
use super::pace::{Floors, Pace};
use super::rules;
use super::served::{Held, Served};
use super::{Finding, diagnose};
use crate::alarms::{AlarmKind, Alarms};
use crate::inventory::{DEFAULT_SITE, Device, DeviceName, Snapshot};
use crate::journal::{self, Boot, Gap, Phone, Stage};
use crate::live::Live;
use crate::provisioning;
use crate::register::Mode;
use crate::register::storm::{Settings as StormSettings, Storm, Turn};

/// What there is around the phones.
pub struct Surroundings {
    pub served: Arc<dyn Served>,
    pub alarms: Arc<Alarms>,
    pub storm: Arc<Storm>,
    pub mode: Mode,
    /// Whether configurations are there within windows only.
    pub provisioning: Live<provisioning::Settings>,
    /// How long is too long.
    pub journal: Live<journal::Settings>,
    /// When the daemon started, in Unix milliseconds.
    pub started_ms: u64,
}

struct Nothing;

impl Served for Nothing {
    fn file(&self, _name: &str, _client: IpAddr) -> Held {
        Held::Absent
    }
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            served: Arc::new(Nothing),
            alarms: Arc::default(),
            storm: Arc::new(Storm::new(StormSettings::default())),
            mode: Mode::Off,
            provisioning: Live::default(),
            journal: Live::default(),
            started_ms: 0,
        }
    }
}

/// A phone that is to be looked at, as those who keep it know it.
pub struct Patient<'a> {
    pub name: DeviceName,
    pub phone: Option<&'a Phone>,
    pub inventory: Option<&'a Snapshot>,
    /// The table of registrations has it.
    pub has_registration: bool,
    pub gaps: &'a [Gap],
    /// When it is its turn in a storm; not asked for where many are looked at.
    pub turn: Option<Turn>,
}

/// What was found with a phone.
#[derive(Debug, Default)]
pub struct Examined {
    /// The most likely first.
    pub findings: Vec<Finding>,
    /// It waits for its turn, as it was told.
    pub waits: bool,
}

/// Knows what is usual, and applies the rules.
pub struct Examiner {
    around: Surroundings,
    pace: Mutex<Pace>,
    heard: ArcSwap<HashMap<String, Heard>>,
    neighbours: ArcSwap<Neighbours>,
}

impl Default for Examiner {
    fn default() -> Self {
        Self::new(Surroundings::default())
    }
}

/// Only an address of this host can be bound.
fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

impl Examiner {
    pub fn new(around: Surroundings) -> Self {
        Self {
            around,
            pace: Mutex::default(),
            heard: ArcSwap::default(),
            neighbours: ArcSwap::default(),
        }
    }

    pub fn floors(&self) -> Floors {
        Floors::from(&**self.around.journal.get())
    }

    pub const fn started_ms(&self) -> u64 {
        self.around.started_ms
    }

    /// Takes in a boot that ended in a registration.
    pub fn learn(&self, model: &str, boot: &Boot) {
        self.pace.lock().learn(model, boot);
    }

    /// Which sites were heard of.
    pub fn set_heard(&self, heard: HashMap<String, Heard>) {
        self.heard.store(Arc::new(heard));
    }

    pub fn set_neighbours(&self, neighbours: Neighbours) {
        self.neighbours.store(Arc::new(neighbours));
    }

    /// When it is its turn, if it waits. Looks at all that wait.
    pub fn turn(&self, device: &DeviceName) -> Option<Turn> {
        self.around.storm.turn(device, Instant::now())
    }

    pub fn examine(&self, patient: &Patient<'_>, now_ms: u64) -> Examined {
        let Patient {
            name,
            phone,
            inventory,
            has_registration,
            gaps,
            turn,
        } = *patient;
        let stage = phone.map_or(Stage::Dhcp, |phone| phone.stage);
        let is_registered = match phone {
            Some(_) => stage == Stage::Registered,
            None => has_registration,
        };
        if is_registered {
            return Examined::default();
        }
        let device = inventory.and_then(|it| it.devices.get(&name));
        let device = device.map(AsRef::as_ref);
        let address = phone.map(|it| it.source.ip().to_canonical());
        let site = match (device, inventory, address) {
            (Some(device), ..) => &device.site,
            (None, Some(inventory), Some(address)) => inventory.site_at(address),
            _ => DEFAULT_SITE,
        };
        let model = device.map(|device| device.model.as_str());
        let neighbours = self.neighbours.load();
        let not_rendered = device.and_then(|device| self.not_rendered(device));
        let floors = self.floors();
        let case = Case {
            name,
            phone,
            inventory,
            device,
            site,
            served: &*self.around.served,
            mode: self.around.mode,
            is_registered,
            has_registration,
            is_shut_out: self.is_shut_out(inventory, device, now_ms),
            not_rendered: not_rendered.as_deref(),
            neighbours_heard: self.heard.load().get(site).copied(),
            neighbour: name.mac().and_then(|mac| neighbours.address(mac)),
            is_ours,
            turn,
            gaps,
            patience_ms: self.pace.lock().patience_ms(model, stage, &floors),
            fault_patience_ms: floors.stage_ms,
            silence_ms: floors.silence_ms,
            started_ms: self.around.started_ms,
            now_ms,
        };
        Examined {
            findings: diagnose(&case),
            waits: rules::waits(&case),
        }
    }

    fn is_shut_out(
        &self,
        inventory: Option<&Snapshot>,
        device: Option<&Device>,
        now_ms: u64,
    ) -> bool {
        let (Some(inventory), Some(device)) = (inventory, device) else {
            return false;
        };
        let until = inventory.windows.get(&device.name).copied();
        let has_windows = self.around.provisioning.get().has_windows();
        has_windows && until.unwrap_or_default() <= now_ms / 1000
    }

    /// What the alarm of its configuration says.
    fn not_rendered(&self, device: &Device) -> Option<String> {
        let alarms = &self.around.alarms;
        alarms.problem(AlarmKind::Generation, device.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_is_too_long_is_asked_of_the_settings_at_once() {
        let live = Live::new(journal::Settings::default());
        let examiner = Examiner::new(Surroundings {
            journal: live.clone(),
            ..Surroundings::default()
        });
        let patience = |stage| {
            let floors = examiner.floors();
            let pace = examiner.pace.lock();
            pace.patience_ms(Some("8851"), stage, &floors) / 1000
        };
        live.set(journal::Settings {
            stuck_after_s: 11,
            stuck_in_firmware_after_s: 12,
            silent_after_s: 13,
            ..journal::Settings::default()
        });
        assert_eq!(patience(Stage::Config), 11);
        assert_eq!(patience(Stage::Firmware), 12);
        assert_eq!(patience(Stage::Dhcp), 13);
    }
}
