//! The journal itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hashlink::LinkedHashMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::addresses::Addresses;
use super::event::{Event, Fact, Happening};
use super::phone::Phone;
use super::settings::Settings;
use crate::inventory::DeviceName;
use crate::live::Live;

const SHARDS: usize = 64;

/// Devices that the inventory does not have: anybody can make them up.
const STRANGERS: usize = 2_048;

/// Times when events were lost, the last ones.
const GAPS: usize = 64;

/// Losses closer than this are one gap.
const GAP_JOIN_MS: u64 = 2_000;

/// Who is a device of the inventory.
pub type IsKnown = Box<dyn Fn(&DeviceName) -> bool + Send + Sync>;

/// A time in which events were lost: what is missing then is unknown. Unix milliseconds. Nobody
/// knows how many if their number is 0: no daemon ran then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub from_ms: u64,
    pub until_ms: u64,
    pub events: u64,
}

/// What is counted of the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub phones: u64,
    /// Of devices that the inventory does not have.
    pub strangers: u64,
    pub bytes: u64,
    pub bytes_limit: u64,
    /// Since the start.
    pub events: u64,
    /// Events of addresses that no device is known at.
    pub unattributed: u64,
    /// Events that the kernel program had no room to tell.
    pub lost: u64,
    /// Boots that were forgotten before their time, to make room.
    pub forgotten: u64,
}

/// What every phone did. Shared by all who see something and all who want to know.
pub struct Journal {
    settings: Live<Settings>,
    is_known: IsKnown,
    addresses: Addresses,
    shards: [Mutex<Shard>; SHARDS],
    strangers: Mutex<LinkedHashMap<DeviceName, Phone>>,
    gaps: Mutex<VecDeque<Gap>>,
    hasher: RandomState,
    events: AtomicU64,
    unattributed: AtomicU64,
    lost: AtomicU64,
    forgotten: AtomicU64,
}

#[derive(Default)]
struct Shard {
    phones: HashMap<DeviceName, Phone>,
    bytes: usize,
    /// Phones that have changed since they were saved.
    unsaved: HashSet<DeviceName>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        formatter.debug_tuple("Journal").field(&counts).finish()
    }
}

/// A journal for which every device is known.
impl Default for Journal {
    fn default() -> Self {
        Self::new(Settings::default(), Box::new(|_| true))
    }
}

impl Journal {
    pub fn new(settings: impl Into<Live<Settings>>, is_known: IsKnown) -> Self {
        Self {
            settings: settings.into(),
            is_known,
            addresses: Addresses::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
            strangers: Mutex::default(),
            gaps: Mutex::default(),
            hasher: RandomState::new(),
            events: AtomicU64::new(0),
            unattributed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// Takes an event in. Does not wait: for the loops that serve phones.
    pub fn tell(&self, event: &Event) {
        self.events.fetch_add(1, Ordering::Relaxed);
        let address = event.source.ip().to_canonical();
        let device = match event.device.or_else(|| named_by(&event.what)) {
            Some(device) => {
                self.addresses.named(address, device);
                device
            }
            None => match self.addresses.device(address) {
                Some(device) => device,
                None => {
                    self.unattributed.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            },
        };
        self.take(device, event, unix_ms(event.at));
    }

    fn take(&self, device: DeviceName, event: &Event, at_ms: u64) {
        let mut shard = self.shard(&device).lock();
        let shard = &mut *shard;
        if !shard.phones.contains_key(&device) {
            // A sign of life tells nothing of how it came here.
            if matches!(event.what, Happening::Refreshed) {
                return;
            }
            if !(self.is_known)(&device) {
                return self.take_stranger(device, event, at_ms);
            }
            let before = self.strangers.lock().remove(&device);
            let phone = before.unwrap_or_else(|| Phone::new(event.source, at_ms));
            shard.bytes += phone.bytes();
            shard.phones.insert(device, phone);
        }
        let Some(phone) = shard.phones.get_mut(&device) else {
            return;
        };
        let before = phone.bytes();
        let settings = self.settings.get();
        if phone.take(&event.what, event.source, at_ms, &settings) {
            shard.unsaved.insert(device);
        }
        shard.bytes = (shard.bytes + phone.bytes()).saturating_sub(before);
        let limit = settings.memory_limit.0 as usize / SHARDS;
        if shard.bytes > limit {
            let forgotten = shard.make_room(limit - limit / 10);
            self.forgotten.fetch_add(forgotten, Ordering::Relaxed);
        }
    }

    fn take_stranger(&self, device: DeviceName, event: &Event, at_ms: u64) {
        let mut strangers = self.strangers.lock();
        let mut phone = strangers
            .remove(&device)
            .unwrap_or_else(|| Phone::new(event.source, at_ms));
        let settings = Settings {
            boots: 1,
            entries: 16,
            ..Settings::clone(&self.settings.get())
        };
        phone.take(&event.what, event.source, at_ms, &settings);
        strangers.insert(device, phone);
        if strangers.len() > STRANGERS {
            strangers.pop_front();
        }
    }

    /// Events were lost, at some moment between the two.
    pub fn lost(&self, events: u64, from: SystemTime, until: SystemTime) {
        self.lost.fetch_add(events, Ordering::Relaxed);
        let gap = Gap {
            from_ms: unix_ms(from),
            until_ms: unix_ms(until),
            events,
        };
        let mut gaps = self.gaps.lock();
        match gaps.back_mut() {
            Some(last) if gap.from_ms <= last.until_ms + GAP_JOIN_MS => {
                last.until_ms = last.until_ms.max(gap.until_ms);
                last.events += gap.events;
            }
            _ => gaps.push_back(gap),
        }
        if gaps.len() > GAPS {
            gaps.pop_front();
        }
    }

    /// Looks at what is known of a device, in place.
    pub fn with<T>(&self, device: &DeviceName, look: impl FnOnce(&Phone) -> T) -> Option<T> {
        let shard = self.shard(device).lock();
        match shard.phones.get(device) {
            Some(phone) => Some(look(phone)),
            None => {
                drop(shard);
                self.strangers.lock().get(device).map(look)
            }
        }
    }

    /// What is known of a device.
    pub fn phone(&self, device: &DeviceName) -> Option<Phone> {
        self.with(device, Phone::clone)
    }

    /// The devices of which something is known that the inventory did not have at the time.
    pub fn strangers(&self) -> Vec<DeviceName> {
        self.strangers.lock().keys().copied().collect()
    }

    pub fn gaps(&self) -> Vec<Gap> {
        self.gaps.lock().iter().copied().collect()
    }

    /// The device that named itself last at this address.
    pub fn device_at(&self, address: std::net::IpAddr) -> Option<DeviceName> {
        self.addresses.device(address.to_canonical())
    }

    pub fn counts(&self) -> Counts {
        let (mut phones, mut bytes) = (0, 0);
        for shard in &self.shards {
            let shard = shard.lock();
            phones += shard.phones.len() as u64;
            bytes += shard.bytes as u64;
        }
        Counts {
            phones,
            strangers: self.strangers.lock().len() as u64,
            bytes,
            bytes_limit: self.settings.get().memory_limit.0,
            events: self.events.load(Ordering::Relaxed),
            unattributed: self.unattributed.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            forgotten: self.forgotten.load(Ordering::Relaxed),
        }
    }

    /// The phones that changed since this was asked last, at most so many.
    pub fn take_unsaved(&self, most: usize) -> Vec<(DeviceName, Phone)> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let shard = &mut *shard;
            let room = most.saturating_sub(taken.len());
            let names: Vec<_> = shard.unsaved.iter().take(room).copied().collect();
            for name in names {
                shard.unsaved.remove(&name);
                let phone = shard.phones.get(&name);
                taken.extend(phone.map(|phone| (name, phone.clone())));
            }
        }
        taken
    }

    /// What was saved by an earlier run. Before anything is told.
    pub fn restore(&self, phones: impl IntoIterator<Item = (DeviceName, Phone)>, gaps: Vec<Gap>) {
        self.add(phones);
        *self.gaps.lock() = gaps.into();
    }

    fn shard(&self, device: &DeviceName) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(device) as usize % SHARDS]
    }
}

impl Shard {
    /// Forgets the oldest boots, and then those phones that nothing was heard of for longest. Gives
    /// back how many boots that were.
    fn make_room(&mut self, enough: usize) -> u64 {
        let mut forgotten = 0;
        let most = self.phones.values().map(|it| it.boots.len()).max();
        for keep in (1..most.unwrap_or_default()).rev() {
            for phone in self.phones.values_mut() {
                let before = phone.bytes();
                let too_many = phone.boots.len().saturating_sub(keep);
                phone.boots.drain(..too_many);
                phone.boots.shrink_to_fit();
                forgotten += too_many as u64;
                self.bytes = (self.bytes + phone.bytes()).saturating_sub(before);
            }
            if self.bytes <= enough {
                return forgotten;
            }
        }
        let mut by_age: Vec<_> = self
            .phones
            .iter()
            .map(|(it, p)| (p.heard_ms, *it))
            .collect();
        by_age.sort_unstable();
        for (_, device) in by_age {
            if self.bytes <= enough {
                break;
            }
            if let Some(phone) = self.phones.remove(&device) {
                forgotten += phone.boots.len() as u64;
                self.bytes = self.bytes.saturating_sub(phone.bytes());
                self.unsaved.remove(&device);
            }
        }
        forgotten
    }
}

fn named_by(what: &Happening) -> Option<DeviceName> {
    match what {
        Happening::Requested(request) | Happening::Answered(request, _) => {
            DeviceName::of_file(&request.name)
        }
        Happening::Refreshed | Happening::Fact(_) => None,
    }
}

/// Milliseconds since 1970.
pub fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Event {
    /// A fact about a device that has named itself.
    pub fn fact(device: DeviceName, source: std::net::SocketAddr, fact: Fact) -> Self {
        Self {
            at: SystemTime::now(),
            device: Some(device),
            source,
            what: Happening::Fact(fact),
        }
    }
}

mod saving;
#[cfg(test)]
mod tests;
