//! An index: which devices a user is on, by the user part of an address of record.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, RandomState};

use parking_lot::Mutex;

use crate::inventory::DeviceName;

const SHARDS: usize = 64;

/// Changed in place and from any thread. A device stands under a user once, however often it was
/// put there.
#[derive(Debug)]
pub(super) struct ByUser {
    shards: [Mutex<HashMap<Box<str>, Devices>>; SHARDS],
    hasher: RandomState,
}

/// Nearly every line is on one device.
#[derive(Debug)]
enum Devices {
    One(DeviceName),
    /// Two at least.
    Many(Vec<DeviceName>),
}

impl Default for ByUser {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl ByUser {
    fn shard(&self, user: &str) -> &Mutex<HashMap<Box<str>, Devices>> {
        &self.shards[self.hasher.hash_one(user) as usize % SHARDS]
    }

    pub(super) fn add(&self, user: &str, device: DeviceName) {
        let mut users = self.shard(user).lock();
        match users.get_mut(user) {
            Some(devices) => devices.add(device),
            None => {
                users.insert(user.into(), Devices::One(device));
            }
        }
    }

    pub(super) fn remove(&self, user: &str, device: DeviceName) {
        let mut users = self.shard(user).lock();
        // By an owned key: the entry may have to go.
        let Entry::Occupied(mut entry) = users.entry(user.into()) else {
            return;
        };
        if !entry.get_mut().remove(device) {
            entry.remove();
        }
    }

    pub(super) fn devices(&self, user: &str) -> Vec<DeviceName> {
        match self.shard(user).lock().get(user) {
            None => Vec::new(),
            Some(Devices::One(device)) => vec![*device],
            Some(Devices::Many(devices)) => devices.clone(),
        }
    }

    /// Users that are on a device.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|it| it.lock().len()).sum()
    }
}

impl Devices {
    fn add(&mut self, device: DeviceName) {
        match self {
            Self::One(only) if *only == device => {}
            Self::One(only) => *self = Self::Many(vec![*only, device]),
            Self::Many(devices) if devices.contains(&device) => {}
            Self::Many(devices) => devices.push(device),
        }
    }

    /// Whether one is left.
    fn remove(&mut self, device: DeviceName) -> bool {
        match self {
            Self::One(only) => *only != device,
            Self::Many(devices) => {
                devices.retain(|it| *it != device);
                if let [only] = devices[..] {
                    *self = Self::One(only);
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_there_as_long_as_one_device_has_it() {
        let index = ByUser::default();
        let [one, two, three] = ["SEP000000000001", "SEP000000000002", "SEP000000000003"]
            .map(|name| name.parse::<DeviceName>().unwrap());
        assert!(index.devices("1001").is_empty());
        for device in [one, one, two, three, two] {
            index.add("1001", device);
        }
        assert_eq!(index.devices("1001"), [one, two, three]);
        index.remove("1001", two);
        index.remove("1001", two);
        index.remove("1002", one);
        assert_eq!(index.devices("1001"), [one, three]);
        index.remove("1001", one);
        assert_eq!(index.devices("1001"), [three]);
        index.remove("1001", one);
        assert_eq!(index.len(), 1);
        index.remove("1001", three);
        assert_eq!(index.len(), 0);
    }
}
