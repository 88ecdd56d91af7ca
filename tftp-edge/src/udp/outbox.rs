//! What is to be sent, gathered until a batch is worth a system call.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::ops::Range;

/// One client: an address and a port, and over IPv6 link-local the interface (RFC 4007).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client {
    pub ip: IpAddr,
    pub port: u16,
    /// Interface of a link-local IPv6 address, otherwise 0.
    pub scope: u32,
}

impl From<SocketAddr> for Client {
    fn from(address: SocketAddr) -> Self {
        Self {
            ip: address.ip(),
            port: address.port(),
            scope: match address {
                SocketAddr::V4(_) => 0,
                SocketAddr::V6(v6) => v6.scope_id(),
            },
        }
    }
}

impl From<Client> for SocketAddr {
    fn from(client: Client) -> Self {
        match client.ip {
            IpAddr::V4(ip) => (ip, client.port).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, client.port, 0, client.scope).into(),
        }
    }
}

impl Client {
    /// Whether answers must leave by the interface the request came in on.
    pub fn is_link_local(&self) -> bool {
        match self.ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        }
    }
}

/// The address of ours that a packet was sent to: answers leave from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    pub ip: IpAddr,
    /// Index of the interface it came in on.
    pub interface: u32,
}

/// Index of one of the worker's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u16);

/// One datagram that waits.
#[derive(Clone, Debug)]
pub struct Queued {
    pub socket: SocketId,
    pub to: Client,
    pub from: Local,
    /// Where its bytes are in the arena that [`Outbox::drain`] hands out.
    pub range: Range<usize>,
}

/// Datagrams that wait. The buffers are kept from batch to batch, so that a datagram costs no
/// allocation.
#[derive(Debug, Default)]
pub struct Outbox {
    arena: Vec<u8>,
    queue: Vec<Queued>,
}

impl Outbox {
    /// Past one of these a batch is sent.
    const FULL_DATAGRAMS: usize = 128;
    const FULL_BYTES: usize = 256 << 10;
    /// What the arena keeps between batches: more than a batch of blocks that fit an Ethernet
    /// frame takes. One window of the largest blocks has 4 MiB.
    const KEPT_BYTES: usize = 1 << 20;

    /// Adds one datagram of about `capacity` bytes; `write` appends it and nothing else.
    pub fn push(
        &mut self,
        socket: SocketId,
        to: Client,
        from: Local,
        capacity: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.arena.len();
        self.arena.reserve(capacity);
        write(&mut self.arena);
        self.queue.push(Queued {
            socket,
            to,
            from,
            range: start..self.arena.len(),
        });
    }

    pub fn is_full(&self) -> bool {
        self.queue.len() >= Self::FULL_DATAGRAMS || self.arena.len() >= Self::FULL_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Brings the datagrams of each socket together, their order kept, and calls `send` for each
    /// socket; then the box is empty.
    pub fn drain(&mut self, mut send: impl FnMut(SocketId, &[Queued], &[u8])) {
        if !self.queue.is_sorted_by_key(|queued| queued.socket) {
            self.queue
                .sort_unstable_by_key(|queued| (queued.socket, queued.range.start));
        }
        for run in self.queue.chunk_by(|a, b| a.socket == b.socket) {
            send(run[0].socket, run, &self.arena);
        }
        self.queue.clear();
        self.arena.clear();
        self.arena.shrink_to(Self::KEPT_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_a_socket_are_sent_together_and_in_order() {
        let mut outbox = Outbox::default();
        let to = Client::from(SocketAddr::from(([10, 0, 0, 1], 2000)));
        let from = Local {
            ip: [10, 0, 0, 2].into(),
            interface: 1,
        };
        for (socket, byte) in [(1, b'a'), (0, b'b'), (1, b'c'), (0, b'd')] {
            outbox.push(SocketId(socket), to, from, 1, |out| out.push(byte));
        }
        let mut sent = Vec::new();
        outbox.drain(|socket, run, arena| {
            let bytes: Vec<_> = run.iter().map(|queued| arena[queued.range.start]).collect();
            sent.push((socket, bytes));
        });
        assert_eq!(
            sent,
            [(SocketId(0), b"bd".to_vec()), (SocketId(1), b"ac".to_vec())]
        );
        assert!(outbox.is_empty());
    }

    #[test]
    fn the_memory_of_a_large_window_is_given_back() {
        let mut outbox = Outbox::default();
        let to = Client::from(SocketAddr::from(([10, 0, 0, 1], 2000)));
        let from = Local {
            ip: [10, 0, 0, 2].into(),
            interface: 1,
        };
        for _ in 0..64 {
            outbox.push(SocketId(0), to, from, 65_468, |out| {
                out.resize(out.len() + 65_468, 7);
            });
        }
        assert!(outbox.is_full());
        assert!(outbox.arena.capacity() > Outbox::KEPT_BYTES);
        outbox.drain(|_, _, _| ());
        assert!(outbox.arena.capacity() <= Outbox::KEPT_BYTES);
    }

    #[test]
    fn a_link_local_client_keeps_its_interface() {
        let address: SocketAddr = "[fe80::1%7]:2000".parse().unwrap();
        assert_eq!(SocketAddr::from(Client::from(address)), address);
    }
}
