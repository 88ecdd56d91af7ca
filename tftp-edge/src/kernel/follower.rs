//! Tells the kernel program what the host's interfaces and addresses are, as they change.

use std::collections::{HashMap, HashSet};

use aya::maps::{HashMap as BpfHashMap, MapData};
use tftp_ebpf::abi::{Address, Interface};

use super::host;
use super::settings::Settings;
use crate::tftp;

/// Keeps `INTERFACES` and `LOCALS` as the host has them.
pub struct Follower {
    names: Vec<String>,
    max_blksize: u16,
    mtu_clamp: bool,
    known_interfaces: HashMap<u32, (u16, u16)>,
    known_locals: HashSet<Address>,
}

impl Follower {
    pub fn new(settings: &Settings, tftp: &tftp::Settings) -> Self {
        Self {
            names: settings.interfaces.clone(),
            max_blksize: tftp.max_blksize,
            mtu_clamp: tftp.mtu_clamp,
            known_interfaces: HashMap::new(),
            known_locals: HashSet::new(),
        }
    }

    /// Writes what has changed since the last time.
    pub fn follow(
        &mut self,
        interfaces: &mut BpfHashMap<MapData, u32, Interface>,
        locals: &mut BpfHashMap<MapData, Address, u32>,
    ) {
        for name in &self.names {
            let (Some(ifindex), Some(mtu)) = (host::index_of(name), host::mtu_of(name)) else {
                continue;
            };
            let sizes = (self.blksize(mtu, 32), self.blksize(mtu, 52));
            if self.known_interfaces.insert(ifindex, sizes) == Some(sizes) {
                continue;
            }
            let entry = Interface {
                max_blksize_v4: sizes.0,
                max_blksize_v6: sizes.1,
                enabled: 1,
            };
            if let Err(error) = interfaces.insert(ifindex, entry, 0) {
                tracing::error!(interface = %name, %error, "the kernel could not be told of an interface");
            }
        }
        let Ok(addresses) = host::local_addresses() else {
            return;
        };
        for gone in self.known_locals.difference(&addresses) {
            let _ = locals.remove(gone);
        }
        for new in addresses.difference(&self.known_locals) {
            if let Err(error) = locals.insert(new, 1, 0) {
                tracing::error!(%error, "the kernel could not be told of an address of this host");
            }
        }
        self.known_locals = addresses;
    }

    /// The largest block that fits the MTU behind `overhead` bytes of headers.
    fn blksize(&self, mtu: u32, overhead: u32) -> u16 {
        if !self.mtu_clamp {
            return self.max_blksize;
        }
        let room = u16::try_from(mtu.saturating_sub(overhead)).unwrap_or(u16::MAX);
        room.min(self.max_blksize)
    }
}
