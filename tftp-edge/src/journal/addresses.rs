//! Which device is behind an address.
//!
//! A phone names itself when it asks for its own files and when it registers; a request for a
//! firmware image comes from an address and nothing else. Behind an address that several phones
//! share, it is taken for the one that named itself last.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

use hashlink::LruCache;
use parking_lot::Mutex;

use crate::inventory::DeviceName;

const SHARDS: usize = 32;

/// Addresses that are remembered; the one that nothing was heard of for longest goes first.
const CAPACITY: usize = 262_144;

pub(super) struct Addresses {
    shards: [Mutex<LruCache<IpAddr, DeviceName>>; SHARDS],
    hasher: RandomState,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(LruCache::new(CAPACITY / SHARDS))),
            hasher: RandomState::new(),
        }
    }
}

impl Addresses {
    pub(super) fn named(&self, address: IpAddr, device: DeviceName) {
        self.shard(address).lock().insert(address, device);
    }

    pub(super) fn device(&self, address: IpAddr) -> Option<DeviceName> {
        self.shard(address).lock().get(&address).copied()
    }

    fn shard(&self, address: IpAddr) -> &Mutex<LruCache<IpAddr, DeviceName>> {
        &self.shards[self.hasher.hash_one(address) as usize % SHARDS]
    }
}
