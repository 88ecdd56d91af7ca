//! Devices that asked for their files in vain.
//!
//! Whoever reaches the TFTP port can make up names, so the table is bounded: it forgets who has not
//! asked for longest, and one source that asks for many names pushes out its own alone. It is in
//! memory only. A phone that finds nothing asks again within a minute or so, and so a daemon that
//! was restarted soon knows them all; what strangers make up has no place in the inventory.

use std::collections::HashMap;
use std::net::IpAddr;

use hashlink::{LinkedHashMap, LinkedHashSet};
use serde::{Deserialize, Serialize};
use tftp_ebpf::abi::Source;

use super::Told;
use crate::inventory::{DeviceName, Protocol};
use crate::recent::source_of;

/// Devices remembered, those that are known and those that are not each.
const CAPACITY: usize = 10_000;

/// Of them, those behind one source: a scan must not push out the phones, and a branch behind one
/// translated address is to fit.
const OF_ONE_SOURCE: usize = 500;

/// One device as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knock {
    pub source: IpAddr,
    /// Unix seconds.
    pub first_seen: u64,
    pub last_seen: u64,
    pub times: u64,
    /// The file it asked for last; normalised.
    pub file: String,
    pub told: Told,
}

/// A knock as it is told, with what the inventory says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knocking {
    pub name: DeviceName,
    pub source: IpAddr,
    pub site: String,
    pub first_seen: u64,
    pub last_seen: u64,
    pub times: u64,
    pub file: String,
    pub model: Option<String>,
    pub protocol: Option<Protocol>,
}

impl Knocking {
    pub fn new(name: DeviceName, knock: &Knock, site: &str) -> Self {
        let knock = knock.clone();
        Self {
            name,
            source: knock.source,
            site: site.to_owned(),
            first_seen: knock.first_seen,
            last_seen: knock.last_seen,
            times: knock.times,
            file: knock.file,
            model: knock.told.model,
            protocol: knock.told.protocol,
        }
    }
}

/// Which of the devices that knocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knockers {
    /// Those that nobody knows.
    Unknown,
    /// Those of the inventory whose window is closed.
    Closed,
}

/// The devices that knocked, those nobody knows apart from those whose window was closed: a site
/// that boots behind closed windows must not push out the strangers.
#[derive(Debug, Default)]
pub struct Knocks {
    unknown: Table,
    closed: Table,
}

impl Knocks {
    /// A normalised name was asked for, and there was nothing. Costs the same whether the device
    /// is known or not.
    pub fn note(&mut self, file: &str, device: DeviceName, known: bool, source: IpAddr, now: u64) {
        let table = match known {
            true => &mut self.closed,
            false => &mut self.unknown,
        };
        table.note(file, device, source, now);
    }

    /// What model the one device behind a source is. Of several, nobody can tell which it is.
    pub fn tell_model(&mut self, source: IpAddr, model: String) {
        self.unknown.tell_model(source_of(source), model);
    }

    /// Devices that nobody knew, the last to ask first.
    pub fn unknown(&self) -> impl Iterator<Item = (DeviceName, &Knock)> {
        self.unknown.latest()
    }

    /// Devices that are known and asked for what they did not get, the last to ask first.
    pub fn closed(&self) -> impl Iterator<Item = (DeviceName, &Knock)> {
        self.closed.latest()
    }

    /// Unknown devices that were pushed out, since the start.
    pub fn forgotten(&self) -> u64 {
        self.unknown.forgotten
    }
}

#[derive(Debug, Default)]
struct Table {
    /// Who has not asked for longest is first.
    devices: LinkedHashMap<DeviceName, Knock>,
    /// The same, by source.
    sources: HashMap<Source, LinkedHashSet<DeviceName>>,
    forgotten: u64,
}

impl Table {
    fn note(&mut self, file: &str, device: DeviceName, source: IpAddr, now: u64) {
        let share = source_of(source);
        if let Some(known) = self.devices.to_back(&device) {
            let before = source_of(known.source);
            known.source = source;
            known.last_seen = now;
            known.times += 1;
            if known.file != file {
                file.clone_into(&mut known.file);
            }
            if before != share {
                self.leave(before, &device);
            }
        } else {
            let knock = Knock {
                source,
                first_seen: now,
                last_seen: now,
                times: 1,
                file: file.to_owned(),
                told: Told::by_name(device),
            };
            self.devices.insert(device, knock);
        }
        let of_source = self.sources.entry(share).or_default();
        of_source.insert(device);
        of_source.to_back(&device);
        let oldest = if of_source.len() > OF_ONE_SOURCE {
            of_source.front().copied()
        } else if self.devices.len() > CAPACITY {
            self.devices.keys().next().copied()
        } else {
            None
        };
        if let Some(oldest) = oldest {
            self.forget(oldest);
        }
    }

    fn tell_model(&mut self, share: Source, model: String) {
        let Some(of_source) = self
            .sources
            .get(&share)
            .filter(|devices| devices.len() == 1)
        else {
            return;
        };
        if let Some(device) = of_source.front()
            && let Some(knock) = self.devices.get_mut(device)
        {
            knock.told.model = Some(model);
        }
    }

    fn forget(&mut self, device: DeviceName) {
        if let Some(knock) = self.devices.remove(&device) {
            self.leave(source_of(knock.source), &device);
            self.forgotten += 1;
        }
    }

    fn leave(&mut self, share: Source, device: &DeviceName) {
        if let Some(of_source) = self.sources.get_mut(&share) {
            of_source.remove(device);
            if of_source.is_empty() {
                self.sources.remove(&share);
            }
        }
    }

    fn latest(&self) -> impl Iterator<Item = (DeviceName, &Knock)> {
        self.devices
            .iter()
            .rev()
            .map(|(&device, knock)| (device, knock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: usize) -> DeviceName {
        format!("SEP{number:012X}").parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn knock(knocks: &mut Knocks, number: usize, source: IpAddr, now: u64) {
        let device = device(number);
        knocks.note(&device.config_file(), device, false, source, now);
    }

    fn names(knocks: &Knocks) -> Vec<DeviceName> {
        knocks.unknown().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_device_is_one_entry_however_often_it_asks() {
        let mut knocks = Knocks::default();
        let phone = device(1);
        let signed = format!("{}.sgn", phone.config_file());
        knocks.note(&signed, phone, false, ip("10.0.0.1"), 100);
        knocks.note(&phone.config_file(), phone, false, ip("10.0.0.2"), 160);
        let [(name, knock)] = knocks.unknown().collect::<Vec<_>>()[..] else {
            panic!("{knocks:?}");
        };
        assert_eq!(name, phone);
        assert_eq!(
            (knock.first_seen, knock.last_seen, knock.times),
            (100, 160, 2)
        );
        assert_eq!(knock.source, ip("10.0.0.2"));
        assert_eq!(knock.file, phone.config_file());
    }

    #[test]
    fn a_scan_pushes_out_none_but_its_own() {
        let mut knocks = Knocks::default();
        knock(&mut knocks, 0, ip("10.0.0.1"), 1);
        // From all over its /64.
        for number in 1..=20_000 {
            let source = ip(&format!("fd00::{:x}", number % 0xffff));
            knock(&mut knocks, number, source, 2);
        }
        let names = names(&knocks);
        assert_eq!(names.len(), OF_ONE_SOURCE + 1);
        assert_eq!(
            (names[0], names[OF_ONE_SOURCE]),
            (device(20_000), device(0))
        );
        assert_eq!(knocks.forgotten(), 20_000 - OF_ONE_SOURCE as u64);
    }

    #[test]
    fn the_device_that_has_not_asked_for_longest_goes_first() {
        let mut knocks = Knocks::default();
        let source = |number: usize| IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
        for number in 0..CAPACITY {
            knock(&mut knocks, number, source(number), 1);
        }
        knock(&mut knocks, 0, source(0), 2);
        knock(&mut knocks, CAPACITY, source(CAPACITY), 3);
        let names = names(&knocks);
        assert_eq!(names.len(), CAPACITY);
        assert_eq!(names[..2], [device(CAPACITY), device(0)]);
        assert!(!names.contains(&device(1)));
        assert_eq!(knocks.unknown.sources.len(), CAPACITY);
    }

    #[test]
    fn known_devices_behind_closed_windows_do_not_push_out_strangers() {
        let mut knocks = Knocks::default();
        knock(&mut knocks, 0, ip("10.0.0.1"), 1);
        for number in 1..=2 * CAPACITY {
            let phone = device(number);
            let source = IpAddr::from([10, 1, (number >> 8) as u8, number as u8]);
            knocks.note(&phone.config_file(), phone, true, source, 2);
        }
        assert_eq!(names(&knocks), [device(0)]);
        assert_eq!(knocks.closed().count(), CAPACITY);
        assert_eq!(knocks.forgotten(), 0);
    }

    #[test]
    fn a_model_is_told_of_the_only_device_behind_its_source() {
        let mut knocks = Knocks::default();
        knock(&mut knocks, 1, ip("10.0.0.1"), 1);
        knock(&mut knocks, 2, ip("10.0.0.2"), 1);
        knock(&mut knocks, 3, ip("10.0.0.2"), 1);
        for source in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            knocks.tell_model(ip(source), "7961".to_owned());
        }
        let told: Vec<_> = knocks
            .unknown()
            .filter_map(|(name, knock)| Some((name, knock.told.model.clone()?)))
            .collect();
        assert_eq!(told, [(device(1), "7961".to_owned())]);
    }
}
