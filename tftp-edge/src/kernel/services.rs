//! Tells the kernel program where phones register, as this host's addresses come and go.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use aya::maps::{HashMap as BpfHashMap, MapData};
use tftp_ebpf::abi::port_bit;
use tftp_ebpf::abi::registration::{ServiceKey, service};

use super::follower::covers;
use super::host;
use crate::register::{Places, Service};

/// Keeps `SERVICES` as the configuration and the host have it.
pub struct Services {
    places: Places,
    known: HashMap<ServiceKey, u8>,
    /// That there is no room for all was told; once, not at every look.
    is_told: bool,
}

impl Services {
    pub fn new(places: Places) -> Self {
        Self {
            places,
            known: HashMap::new(),
            is_told: false,
        }
    }

    /// What `Policy::registration_ports` says of the ports.
    pub fn ports(&self) -> u64 {
        let places = self.places.listen.iter().chain(&self.places.servers);
        let ports = places.map(|(address, _)| port_bit(address.port().to_be_bytes()));
        ports.fold(0, |bits, bit| bits | bit)
    }

    /// What a daemon before has written, of which some may be gone.
    pub fn adopt(&mut self, map: &BpfHashMap<MapData, ServiceKey, u32>) {
        let entries = map.iter().filter_map(Result::ok);
        self.known = entries.map(|(key, service)| (key, service as u8)).collect();
    }

    /// Writes what has changed since the last time.
    pub fn follow(&mut self, map: &mut BpfHashMap<MapData, ServiceKey, u32>) {
        if self.places.is_empty() && self.known.is_empty() {
            return;
        }
        let Ok(addresses) = host::local_addresses() else {
            return;
        };
        let wanted = keys(&self.places, addresses.into_iter());
        for gone in self.known.keys().filter(|key| !wanted.contains_key(key)) {
            let _ = map.remove(gone);
        }
        self.known.retain(|key, _| wanted.contains_key(key));
        for (key, service) in wanted {
            if self.known.get(&key) == Some(&service) {
                continue;
            }
            match map.insert(key, u32::from(service), 0) {
                Ok(()) => drop(self.known.insert(key, service)),
                // The others may be there already, and be known by another service now.
                Err(error) if !std::mem::replace(&mut self.is_told, true) => {
                    tracing::error!(event = "kernel.service_untold", %error, "the kernel could not be told of a place where phones register");
                }
                Err(_) => {}
            }
        }
    }
}

/// All that is to stand in the map when the host has these addresses. Of two services at one port
/// the one named last counts.
fn keys(places: &Places, local: impl Iterator<Item = IpAddr>) -> HashMap<ServiceKey, u8> {
    let mut keys = HashMap::new();
    let mut put = |address: IpAddr, port: u16, service| {
        let address = host::map_address(address);
        let key = |port: u16| ServiceKey {
            address,
            port: port.to_be_bytes(),
            padding: [0; 2],
        };
        keys.insert(key(port), number(service));
        keys.insert(key(0), service::ANY);
    };
    for address in local {
        for (listen, service) in &places.listen {
            if covers(listen.ip(), address) {
                put(address, listen.port(), *service);
            }
        }
    }
    for (server, service) in &places.servers {
        let server: &SocketAddr = server;
        put(server.ip(), server.port(), *service);
    }
    keys
}

fn number(service: Service) -> u8 {
    match service {
        Service::Sccp => service::SCCP,
        Service::Sip => service::SIP,
        Service::SipTls => service::SIP_TLS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(listen: &[(&str, Service)], servers: &[(&str, Service)]) -> Places {
        let parse = |places: &[(&str, Service)]| {
            let places = places.iter();
            places
                .map(|(place, service)| (place.parse().unwrap(), *service))
                .collect()
        };
        Places {
            listen: parse(listen),
            servers: parse(servers),
        }
    }

    fn at(place: &str) -> ServiceKey {
        let place: SocketAddr = place.parse().unwrap();
        ServiceKey {
            address: host::map_address(place.ip()),
            port: place.port().to_be_bytes(),
            padding: [0; 2],
        }
    }

    #[test]
    fn any_address_is_each_of_the_hosts_own() {
        let places = of(
            &[
                ("0.0.0.0:2000", Service::Sccp),
                ("10.0.0.1:5060", Service::Sip),
            ],
            &[],
        );
        let local = ["10.0.0.1", "10.0.0.2", "fd00::1"].map(|it| it.parse().unwrap());
        let keys = keys(&places, local.into_iter());
        assert_eq!(keys.get(&at("10.0.0.1:2000")), Some(&service::SCCP));
        assert_eq!(keys.get(&at("10.0.0.2:2000")), Some(&service::SCCP));
        assert_eq!(keys.get(&at("10.0.0.1:5060")), Some(&service::SIP));
        assert_eq!(keys.get(&at("10.0.0.2:5060")), None);
        assert_eq!(keys.get(&at("10.0.0.2:0")), Some(&service::ANY));
        assert_eq!(keys.get(&at("[fd00::1]:2000")), None);
    }

    #[test]
    fn servers_behind_this_host_are_none_of_its_addresses() {
        let places = of(&[], &[("10.0.0.7:5061", Service::SipTls)]);
        let local = ["10.0.0.1"].map(|it| it.parse().unwrap());
        let keys = keys(&places, local.into_iter());
        assert_eq!(keys.get(&at("10.0.0.7:5061")), Some(&service::SIP_TLS));
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn every_port_has_its_bit() {
        let places = of(
            &[("0.0.0.0:2000", Service::Sccp)],
            &[("10.0.0.7:5061", Service::SipTls)],
        );
        let ports = Services::new(places).ports();
        for port in [2000_u16, 5061] {
            assert_ne!(ports & port_bit(port.to_be_bytes()), 0);
        }
        assert_eq!(ports & port_bit(22_u16.to_be_bytes()), 0);
        assert_eq!(Services::new(Places::default()).ports(), 0);
    }
}
