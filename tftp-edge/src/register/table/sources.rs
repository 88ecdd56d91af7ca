//! How many phones are registered from each address. Sites behind one address are one source.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::register::Guard;

const SHARDS: usize = 64;

/// Tells the guard of the first phone of an address and of the last: once each, and in this order,
/// since it is told under the lock of the address.
pub(super) struct Sources {
    shards: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
    hasher: RandomState,
    guard: Arc<dyn Guard>,
}

impl Sources {
    pub(super) fn new(guard: Arc<dyn Guard>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            guard,
        }
    }

    fn shard(&self, source: IpAddr) -> &Mutex<HashMap<IpAddr, u32>> {
        &self.shards[self.hasher.hash_one(source) as usize % SHARDS]
    }

    pub(super) fn came(&self, source: IpAddr) {
        let source = source.to_canonical();
        let mut phones = self.shard(source).lock();
        let phones = phones.entry(source).or_default();
        *phones += 1;
        if *phones == 1 {
            self.guard.registered(source);
        }
    }

    pub(super) fn left(&self, source: IpAddr) {
        let source = source.to_canonical();
        let mut sources = self.shard(source).lock();
        let Entry::Occupied(mut phones) = sources.entry(source) else {
            return;
        };
        *phones.get_mut() -= 1;
        if *phones.get() == 0 {
            phones.remove();
            self.guard.left(source);
        }
    }

    pub(super) fn phones(&self, source: IpAddr) -> usize {
        let source = source.to_canonical();
        let phones = self.shard(source).lock();
        phones.get(&source).map_or(0, |&phones| phones as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|it| it.lock().len()).sum()
    }
}
