//! The UDP ports as those see them who have no worker's batch: TCP connections, timers, orders.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use parking_lot::RwLock;
use socket2::Socket;

use crate::register::NotSent;
use crate::register::sip::Destination;
use crate::udp::{Client, Local, Outbox, SocketId};

/// One socket for each address.
#[derive(Debug, Default)]
pub(super) struct Ports {
    sockets: RwLock<Vec<(SocketAddr, Socket)>>,
}

impl Ports {
    /// A worker listens on this address. The first socket of each is enough.
    pub(super) fn add(&self, address: SocketAddr, socket: Socket) {
        let mut sockets = self.sockets.write();
        if !sockets.iter().any(|(known, _)| *known == address) {
            sockets.push((address, socket));
        }
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.read().iter().map(|(it, _)| *it).collect()
    }

    /// The address of ours that a datagram to a phone leaves from.
    pub(super) fn towards(&self, phone: SocketAddr) -> Option<SocketAddr> {
        let mut own = self.addresses();
        own.retain(|it| it.is_ipv4() == phone.is_ipv4());
        if let [only] = own[..]
            && !only.ip().is_unspecified()
        {
            return Some(only);
        }
        let ip = routed_from(phone).ok()?;
        let own = own
            .into_iter()
            .find(|it| it.ip() == ip || it.ip().is_unspecified())?;
        Some(SocketAddr::new(ip, own.port()))
    }

    pub(super) fn send(&self, to: &Destination, bytes: &[u8]) -> Result<(), NotSent> {
        let sockets = self.sockets.read();
        let socket = sockets.iter().find(|(address, _)| may_leave(*address, to));
        let (_, socket) = socket.ok_or(NotSent::NotConnected)?;
        let sent = send_one(socket, to, bytes);
        sent.map(drop).map_err(|_| NotSent::Busy)
    }
}

/// The source address the system chooses for a destination. Nothing is sent.
fn routed_from(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match to.is_ipv4() {
        true => Ipv4Addr::UNSPECIFIED.into(),
        false => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// Sends one datagram from the address it is to come from. Never waits.
fn send_one(socket: &Socket, to: &Destination, bytes: &[u8]) -> nix::Result<usize> {
    let (v4, v6);
    let source = match to.from.ip() {
        IpAddr::V4(ip) => {
            v4 = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: ip.to_bits().to_be(),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(ip) => {
            v6 = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: Client::from(to.to).scope,
            };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    let address = SockaddrStorage::from(to.to);
    let (pieces, flags) = ([IoSlice::new(bytes)], MsgFlags::MSG_DONTWAIT);
    let send = || {
        sendmsg(
            socket.as_raw_fd(),
            &pieces,
            &[source],
            flags,
            Some(&address),
        )
    };
    // The first error may be the ICMP error of an earlier datagram, told once.
    send().or_else(|_| send())
}

/// Whether a socket at this address is one to send from.
pub(super) fn may_leave(address: SocketAddr, to: &Destination) -> bool {
    let is_home = address.ip().is_unspecified() || address.ip() == to.from.ip();
    is_home && address.is_ipv4() == to.to.is_ipv4() && address.port() == to.from.port()
}

/// Puts a datagram into a batch.
pub(super) fn put(outbox: &mut Outbox, socket: SocketId, to: &Destination, bytes: &[u8]) {
    let client = Client::from(to.to);
    let local = Local {
        ip: to.from.ip(),
        interface: client.scope,
    };
    outbox.push(socket, client, local, bytes.len(), |out| {
        out.extend_from_slice(bytes);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::Transport;

    fn ports(listen: &[&str]) -> Ports {
        let ports = Ports::default();
        for address in listen {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            ports.add(address.parse().unwrap(), socket.into());
        }
        ports
    }

    #[test]
    fn the_way_to_a_phone_begins_at_the_only_address_or_where_the_system_says() {
        let phone = "127.0.0.9:5070".parse().unwrap();
        for (listen, from) in [
            (&["10.9.9.9:5060", "[::1]:5060"][..], Some("10.9.9.9:5060")),
            (&["0.0.0.0:5062", "[::]:5060"], Some("127.0.0.1:5062")),
            (&["10.9.9.9:5060", "127.0.0.1:5064"], Some("127.0.0.1:5064")),
            (&["10.9.9.9:5060", "10.9.9.8:5060"], None),
            (&["[::]:5060"], None),
        ] {
            let from = from.map(|it| it.parse().unwrap());
            assert_eq!(ports(listen).towards(phone), from, "{listen:?}");
        }
    }

    #[test]
    fn a_datagram_leaves_from_the_port_of_its_family_and_number() {
        let to = |to: &str, from: &str| Destination {
            transport: Transport::Udp,
            to: to.parse().unwrap(),
            from: from.parse().unwrap(),
            connection: None,
        };
        let v4 = to("10.0.0.2:5060", "10.0.0.1:5060");
        assert!(may_leave("0.0.0.0:5060".parse().unwrap(), &v4));
        assert!(may_leave("10.0.0.1:5060".parse().unwrap(), &v4));
        assert!(!may_leave("10.0.0.9:5060".parse().unwrap(), &v4));
        assert!(!may_leave("0.0.0.0:5062".parse().unwrap(), &v4));
        assert!(!may_leave("[::]:5060".parse().unwrap(), &v4));
        let v6 = to("[fd00::2]:5060", "[fd00::1]:5060");
        assert!(may_leave("[::]:5060".parse().unwrap(), &v6));
    }
}
