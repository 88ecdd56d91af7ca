//! How registered phones are reached that the table does not say: over which address of ours, and
//! who else is gone when a connection ends.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use parking_lot::{Mutex, RwLock};

use crate::inventory::DeviceName;
use crate::register::ConnectionId;

/// Of devices of the inventory alone: there are no more entries than those.
#[derive(Debug, Default)]
pub struct Ways {
    locals: RwLock<HashMap<DeviceName, Way>>,
    connections: Mutex<HashMap<ConnectionId, HashSet<DeviceName>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    local: SocketAddr,
    connection: Option<ConnectionId>,
}

impl Ways {
    /// A device has registered to this address of ours.
    pub fn note(&self, device: &DeviceName, local: SocketAddr, connection: Option<ConnectionId>) {
        let way = Way { local, connection };
        if self.locals.read().get(device) == Some(&way) {
            return;
        }
        let before = self.locals.write().insert(*device, way);
        let mut connections = self.connections.lock();
        if let Some(old) = before.and_then(|it| it.connection)
            && Some(old) != connection
            && let Some(devices) = connections.get_mut(&old)
        {
            devices.remove(device);
            if devices.is_empty() {
                connections.remove(&old);
            }
        }
        if let Some(connection) = connection {
            connections.entry(connection).or_default().insert(*device);
        }
    }

    /// The address of ours a device registered to; none since a restart of the daemon.
    pub fn local(&self, device: &DeviceName) -> Option<SocketAddr> {
        self.locals.read().get(device).map(|it| it.local)
    }

    /// A connection is gone: the devices that registered over it.
    pub fn closed(&self, connection: ConnectionId) -> HashSet<DeviceName> {
        let devices = self.connections.lock().remove(&connection);
        let devices = devices.unwrap_or_default();
        let mut locals = self.locals.write();
        for device in &devices {
            if locals.get(device).and_then(|it| it.connection) == Some(connection) {
                locals.remove(device);
            }
        }
        devices
    }

    /// The devices that registered over a connection.
    pub fn over(&self, connection: ConnectionId) -> Vec<DeviceName> {
        let connections = self.connections.lock();
        let devices = connections.get(&connection).into_iter().flatten();
        devices.copied().collect()
    }

    pub fn forget(&self, device: &DeviceName) {
        let gone = self.locals.write().remove(device);
        if let Some(connection) = gone.and_then(|it| it.connection) {
            let mut connections = self.connections.lock();
            if let Some(devices) = connections.get_mut(&connection) {
                devices.remove(device);
                if devices.is_empty() {
                    connections.remove(&connection);
                }
            }
        }
    }
}
