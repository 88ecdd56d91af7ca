//! What the store takes from the journal, and gives back.

use std::sync::atomic::Ordering;

use super::{Journal, SHARDS};
use crate::inventory::DeviceName;
use crate::journal::Phone;

impl Journal {
    /// Phones that changed since they were saved.
    pub fn unsaved(&self) -> usize {
        self.shards.iter().map(|it| it.lock().unsaved.len()).sum()
    }

    /// The store has an older state of these, or none; those that are not here any more are left out.
    pub fn soil(&self, devices: impl Iterator<Item = DeviceName>) {
        for device in devices {
            let mut shard = self.shard(&device).lock();
            if shard.phones.contains_key(&device) {
                shard.unsaved.insert(device);
            }
        }
    }

    /// The store has nothing.
    pub fn soil_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let shard = &mut *shard;
            shard.unsaved.extend(shard.phones.keys().copied());
        }
    }

    /// Forgets a phone altogether.
    pub fn forget(&self, device: &DeviceName) {
        let mut shard = self.shard(device).lock();
        if let Some(phone) = shard.phones.remove(device) {
            shard.bytes = shard.bytes.saturating_sub(phone.bytes());
            shard.unsaved.remove(device);
        }
    }

    /// Puts in what was saved, as much as there is room for.
    pub fn add(&self, phones: impl IntoIterator<Item = (DeviceName, Phone)>) {
        for (device, phone) in phones {
            let address = phone.source.ip().to_canonical();
            self.addresses.named(address, device);
            let mut shard = self.shard(&device).lock();
            shard.bytes += phone.bytes();
            if let Some(before) = shard.phones.insert(device, phone) {
                shard.bytes = shard.bytes.saturating_sub(before.bytes());
            }
        }
        let limit = self.settings.get().memory_limit.0 as usize / SHARDS;
        for shard in &self.shards {
            let mut shard = shard.lock();
            if shard.bytes > limit {
                let forgotten = shard.make_room(limit - limit / 10);
                self.forgotten.fetch_add(forgotten, Ordering::Relaxed);
            }
        }
    }
}
