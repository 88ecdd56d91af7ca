//! Who is registered: one table for both protocols.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::{Departure, Registration};
use crate::inventory::{DeviceName, Protocol};

/// Changes a slow reader may be behind before it loses some.
const BEHIND: usize = 4096;

/// What happened to one device.
#[derive(Clone, Debug)]
pub enum Change {
    New(Arc<Registration>),
    /// Registered before, and something but its time is another now.
    Moved {
        before: Arc<Registration>,
        now: Arc<Registration>,
    },
    Left {
        was: Arc<Registration>,
        why: Departure,
    },
}

/// What becomes of a registration.
#[derive(Debug)]
pub enum Edit {
    Keep,
    Put(Registration),
    Remove(Departure),
}

/// All phones that are registered.
#[derive(Debug)]
pub struct Table {
    devices: Mutex<HashMap<DeviceName, Arc<Registration>>>,
    changes: broadcast::Sender<Change>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            devices: Mutex::default(),
            changes: broadcast::Sender::new(BEHIND),
        }
    }
}

impl Table {
    pub fn get(&self, device: &DeviceName) -> Option<Arc<Registration>> {
        self.devices.lock().get(device).cloned()
    }

    /// Looks at what there is and decides what becomes of it, with nobody in between.
    pub fn edit<T>(
        &self,
        device: &DeviceName,
        decide: impl FnOnce(Option<&Arc<Registration>>) -> (T, Edit),
    ) -> T {
        let mut devices = self.devices.lock();
        let (told, edit) = decide(devices.get(device));
        match edit {
            Edit::Keep => {}
            Edit::Put(registration) => {
                let now = Arc::new(registration);
                let change = match devices.insert(*device, now.clone()) {
                    None => Change::New(now),
                    Some(before) => Change::Moved { before, now },
                };
                let _ = self.changes.send(change);
            }
            Edit::Remove(why) => {
                if let Some(was) = devices.remove(device) {
                    let _ = self.changes.send(Change::Left { was, why });
                }
            }
        }
        told
    }

    /// How many are registered over a protocol.
    pub fn count(&self, protocol: Protocol) -> usize {
        let devices = self.devices.lock();
        devices
            .values()
            .filter(|it| it.protocol == protocol)
            .count()
    }

    /// Changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}
