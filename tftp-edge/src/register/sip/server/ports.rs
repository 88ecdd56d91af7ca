//! The UDP ports as those see them who have no worker's batch: TCP connections, timers, orders.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
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

    pub(super) fn send(&self, to: &Destination, bytes: &[u8]) -> Result<(), NotSent> {
        let sockets = self.sockets.read();
        let socket = sockets.iter().find(|(address, _)| may_leave(*address, to));
        let (_, socket) = socket.ok_or(NotSent::NotConnected)?;
        let sent = send_one(socket, to, bytes);
        sent.map(drop).map_err(|_| NotSent::Busy)
    }
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
