//! Tells the kernel program what the host's interfaces are and which addresses it answers on, as
//! they change.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use aya::maps::{HashMap as BpfHashMap, MapData};
use tftp_ebpf::abi::{Address, Interface};
use tftp_ebpf::verdict::Rung;
use tftp_ebpf::wire::tftp::PORT;

use super::host;
use super::settings::Settings;
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

/// Keeps `INTERFACES` and `LOCALS` as the host has them.
pub struct Follower {
    names: Vec<String>,
    /// Addresses the daemon takes requests on, at the port that requests are sent to. Elsewhere on
    /// this host another server may listen.
    listen: Vec<IpAddr>,
    max_blksize: u16,
    mtu_clamp: bool,
    /// Interfaces where XDP classifies registrations; elsewhere TC does.
    with_xdp: HashSet<String>,
    known_interfaces: HashMap<u32, (u16, u16, Rung)>,
    known_locals: HashSet<Address>,
}

impl Follower {
    pub fn new(settings: &Settings, tftp: &tftp::Settings) -> Self {
        Self {
            names: settings.interfaces.clone(),
            listen: served(tftp).collect(),
            max_blksize: tftp.max_blksize,
            mtu_clamp: tftp.mtu_clamp,
            with_xdp: HashSet::new(),
            known_interfaces: HashMap::new(),
            known_locals: HashSet::new(),
        }
    }

    /// What a daemon before has written, of which some may be gone.
    pub fn adopt(&mut self, locals: &BpfHashMap<MapData, Address, u32>) {
        self.known_locals = locals.keys().filter_map(Result::ok).collect();
    }

    /// XDP sees what comes in on this interface before TC does.
    pub fn has_xdp(&mut self, interface: &str) {
        self.with_xdp.insert(interface.to_owned());
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
            let classifies = match self.with_xdp.contains(name) {
                true => Rung::Xdp,
                false => Rung::Tc,
            };
            let state = (self.blksize(mtu, 32), self.blksize(mtu, 52), classifies);
            if self.known_interfaces.insert(ifindex, state) == Some(state) {
                continue;
            }
            let entry = Interface {
                max_blksize_v4: state.0,
                max_blksize_v6: state.1,
                enabled: 1,
                classifies: classifies as u8,
                padding: [0; 2],
            };
            if let Err(error) = interfaces.insert(ifindex, entry, 0) {
                tracing::error!(event = "kernel.interface_untold", interface = %name, %error, "the kernel could not be told of an interface");
            }
        }
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
        if !self.mtu_clamp {
            return self.max_blksize;
        }
        let room = u16::try_from(mtu.saturating_sub(overhead)).unwrap_or(u16::MAX);
        room.min(self.max_blksize)
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
