//! The outbox as the sink of one transfer.

use super::transfer::Sink;
use crate::udp::{Client, Local, Outbox, SocketId};

impl Outbox {
    /// A sink for datagrams from one socket to one client.
    pub fn line(&mut self, socket: SocketId, to: Client, from: Local) -> Line<'_> {
        Line {
            outbox: self,
            socket,
            to,
            from,
        }
    }
}

/// See [`Outbox::line`].
pub struct Line<'outbox> {
    outbox: &'outbox mut Outbox,
    socket: SocketId,
    to: Client,
    from: Local,
}

impl Sink for Line<'_> {
    fn datagram(&mut self, capacity: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.outbox
            .push(self.socket, self.to, self.from, capacity, write);
    }
}
