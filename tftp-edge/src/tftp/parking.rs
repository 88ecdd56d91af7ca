//! Requests that cannot be answered yet: their files are being read, or a packet that was sent
//! before them may still wait on another socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::eventfd::EventFd;
use parking_lot::Mutex;

use super::engine::{Datagram, PACKET_LEN};
use crate::udp::{Client, Local, SocketId};

/// Clients whose parked requests are to be taken up, and what wakes the worker to look.
pub struct Ready {
    clients: Mutex<Vec<Client>>,
    event: EventFd,
}

impl Ready {
    pub fn new(event: EventFd) -> Self {
        Self {
            clients: Mutex::default(),
            event,
        }
    }

    pub fn event(&self) -> &EventFd {
        &self.event
    }

    /// From any thread: the answer to this client's request has changed.
    pub fn push(&self, client: Client) {
        self.clients.lock().push(client);
        self.wake();
    }

    /// Makes the worker look up.
    pub fn wake(&self) {
        // Fails only when the counter is at its end, and then the worker is awake already.
        let _ = self.event.write(1);
    }

    pub(super) fn take(&self) -> Vec<Client> {
        std::mem::take(&mut *self.clients.lock())
    }
}

/// One request that waits.
pub(super) struct Parked {
    pub(super) socket: SocketId,
    pub(super) to: Local,
    packet: Box<[u8]>,
    since: Instant,
    /// When it reached the host, since the epoch.
    pub(super) stamp: Option<Duration>,
    /// The source has given the token of the first packet.
    pub(super) paid: bool,
}

impl Parked {
    /// The request as it came in.
    pub(super) fn packet(&self) -> ([u8; PACKET_LEN], usize) {
        let mut packet = [0; PACKET_LEN];
        packet[..self.packet.len()].copy_from_slice(&self.packet);
        (packet, self.packet.len())
    }

    /// Whether the client has long given up or asked again.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > STALE
    }
}

/// Clients repeat a request after a second or so, which brings it up to date.
const STALE: Duration = Duration::from_secs(10);

/// Requests of one worker that may wait at one time.
const MOST: usize = 4096;

pub(super) struct Parking {
    pub(super) ready: Arc<Ready>,
    requests: HashMap<Client, Parked>,
}

impl Parking {
    pub(super) fn new(ready: Arc<Ready>) -> Self {
        Self {
            ready,
            requests: HashMap::new(),
        }
    }

    /// Keeps a request; `Some(true)` if it is new, `Some(false)` if it was there already, `None` if
    /// there is no room.
    pub(super) fn park(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        now: Instant,
        paid: bool,
    ) -> Option<bool> {
        let packet = datagram.packet.get(..datagram.len)?;
        if self.holds(datagram, now) {
            return Some(false);
        }
        if self.requests.len() >= MOST {
            self.requests.retain(|_, parked| !parked.is_stale(now));
            if self.requests.len() >= MOST {
                return None;
            }
        }
        let parked = Parked {
            socket,
            to: datagram.to,
            packet: packet.into(),
            since: now,
            stamp: datagram.stamp,
            paid,
        };
        self.requests.insert(datagram.from, parked);
        Some(true)
    }

    /// Whether the same request waits already; its client still waits with it.
    pub(super) fn holds(&mut self, datagram: &Datagram<'_>, now: Instant) -> bool {
        let packet = datagram.packet.get(..datagram.len);
        match self.requests.get_mut(&datagram.from) {
            Some(parked) if packet == Some(&*parked.packet) => {
                parked.since = now;
                true
            }
            _ => false,
        }
    }

    pub(super) fn take(&mut self, client: Client) -> Option<Parked> {
        self.requests.remove(&client)
    }
}
