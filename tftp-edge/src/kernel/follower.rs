//! Tells the kernel program what the host's interfaces are and which addresses it answers on, as
//! they change.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use aya::maps::{HashMap as BpfHashMap, MapData};
use tftp_ebpf::abi::{Address, Interface};
use tftp_ebpf::verdict::Rung;
use tftp_ebpf::wire::tftp::PORT;

use super::host;
use crate::live::Live;
use crate::tftp;

/// The listen addresses that the kernel program can stand in for.
pub fn served(tftp: &tftp::Settings) -> impl Iterator<Item = IpAddr> {
    tftp.listen
        .iter()
        .filter(|address| address.port() == PORT)
        .map(|address| address.ip())
}

/// Whether a socket bound to `listen` hears what is sent to `address`. Both families have sockets of
/// their own.
pub(super) fn covers(listen: IpAddr, address: IpAddr) -> bool {
    listen == address || (listen.is_unspecified() && listen.is_ipv4() == address.is_ipv4())
}

/// What the programs are to know of an interface they are at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In bytes.
    pub mtu: u32,
    /// Whether they answer there.
    pub is_in_use: bool,
    /// XDP, where it sees what comes in before TC does; else TC.
    pub classifies: Rung,
}

/// How large a block may be. It may change at any time; what is granted after a second goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    largest: u16,
    mtu_clamp: bool,
}

impl From<&tftp::Settings> for Blocks {
    fn from(tftp: &tftp::Settings) -> Self {
        Self {
            largest: tftp.max_blksize,
            mtu_clamp: tftp.mtu_clamp,
        }
    }
}

/// Keeps `INTERFACES` and `LOCALS` as the host has them.
pub struct Follower {
    /// Addresses the daemon takes requests on, at the port that requests are sent to. Elsewhere on
    /// this host another server may listen.
    listen: Vec<IpAddr>,
    blocks: Live<Blocks>,
    /// What the entries were made with.
    followed: Blocks,
    /// What stands in the map; nothing is known of what a daemon before has written.
    known_interfaces: Option<HashMap<u32, Option<Entry>>>,
    known_locals: HashSet<Address>,
}

impl Follower {
    pub fn new(tftp: &tftp::Settings, blocks: Live<Blocks>) -> Self {
        Self {
            listen: served(tftp).collect(),
            followed: **blocks.get(),
            blocks,
            known_interfaces: None,
            known_locals: HashSet::new(),
        }
    }

    /// What a daemon before has written, of which some may be gone.
    pub fn adopt(&mut self, locals: &BpfHashMap<MapData, Address, u32>) {
        self.known_locals = locals.keys().filter_map(Result::ok).collect();
    }

    /// Writes what has changed since the last time. `entries` has all there are, by their indices:
    /// one that is not among them any more is removed, since another interface may get its index.
    pub fn follow(
        &mut self,
        entries: &HashMap<u32, Entry>,
        interfaces: &mut BpfHashMap<MapData, u32, Interface>,
        locals: &mut BpfHashMap<MapData, Address, u32>,
    ) {
        self.follow_interfaces(entries, interfaces);
        self.follow_addresses(locals);
    }

    fn follow_interfaces(
        &mut self,
        entries: &HashMap<u32, Entry>,
        interfaces: &mut BpfHashMap<MapData, u32, Interface>,
    ) {
        let mut known = self.known_interfaces.take().unwrap_or_else(|| {
            let keys = interfaces.keys().filter_map(Result::ok);
            keys.map(|ifindex| (ifindex, None)).collect()
        });
        let blocks = **self.blocks.get();
        if std::mem::replace(&mut self.followed, blocks) != blocks {
            known.values_mut().for_each(|entry| *entry = None);
        }
        // Before the others: there may be no room for both.
        known.retain(|ifindex, _| {
            let is_there = entries.contains_key(ifindex);
            if !is_there {
                // Gone already is as good.
                let _ = interfaces.remove(ifindex);
            }
            is_there
        });
        for (&ifindex, &entry) in entries {
            if known.get(&ifindex) == Some(&Some(entry)) {
                continue;
            }
            if let Err(error) = interfaces.insert(ifindex, self.interface(entry), 0) {
                let interface = host::name_of(ifindex).unwrap_or_default();
                tracing::error!(event = "kernel.interface_untold", interface, %error, "the kernel could not be told of an interface");
            }
            // Also what failed: it is not tried again every second.
            known.insert(ifindex, Some(entry));
        }
        self.known_interfaces = Some(known);
    }

    fn interface(&self, entry: Entry) -> Interface {
        Interface {
            max_blksize_v4: self.blksize(entry.mtu, 32),
            max_blksize_v6: self.blksize(entry.mtu, 52),
            enabled: entry.is_in_use.into(),
            classifies: entry.classifies as u8,
            padding: [0; 2],
        }
    }

    fn follow_addresses(&mut self, locals: &mut BpfHashMap<MapData, Address, u32>) {
        let Ok(addresses) = host::local_addresses() else {
            return;
        };
        let addresses: HashSet<Address> = addresses
            .into_iter()
            .filter(|address| self.listen.iter().any(|listen| covers(*listen, *address)))
            .map(host::map_address)
            .collect();
        for gone in self.known_locals.difference(&addresses) {
            let _ = locals.remove(gone);
        }
        for new in addresses.difference(&self.known_locals) {
            if let Err(error) = locals.insert(new, 1, 0) {
                tracing::error!(event = "kernel.address_untold", %error, "the kernel could not be told of an address of this host");
            }
        }
        self.known_locals = addresses;
    }

    /// The largest block that fits the MTU behind `overhead` bytes of headers.
    fn blksize(&self, mtu: u32, overhead: u32) -> u16 {
        if !self.followed.mtu_clamp {
            return self.followed.largest;
        }
        let room = u16::try_from(mtu.saturating_sub(overhead)).unwrap_or(u16::MAX);
        room.min(self.followed.largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_addresses_the_daemon_listens_on_are_answered_for() {
        assert!(covers(ip("0.0.0.0"), ip("10.0.0.2")));
        assert!(covers(ip("10.0.0.1"), ip("10.0.0.1")));
        assert!(!covers(ip("10.0.0.1"), ip("10.0.0.2")));
        assert!(!covers(ip("0.0.0.0"), ip("fd00::1")));
        assert!(covers(ip("::"), ip("fd00::1")));
    }

    #[test]
    fn another_port_than_the_one_of_requests_is_not_stood_in_for() {
        let settings = tftp::Settings {
            listen: vec![
                "0.0.0.0:6969".parse().unwrap(),
                "10.0.0.1:69".parse().unwrap(),
            ],
            ..tftp::Settings::default()
        };
        assert_eq!(served(&settings).collect::<Vec<_>>(), [ip("10.0.0.1")]);
    }
}
