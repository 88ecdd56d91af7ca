//! What the loop and the protocol say to each other: whole messages in, whole messages out.
//!
//! The core has no sockets and no clock. It answers a request at once or not at all, so a
//! retransmitted request is simply answered again (RFC 3261 17.2, stateless UAS of 8.2.7); what it
//! sends on its own account, the loop repeats until it is answered (17.1.2).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Settings;
use crate::register::{ConnectionId, Desk, Order, Registration, Transport};

/// One message, whole: a datagram, or what a stream's `Content-Length` says.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'m> {
    pub bytes: &'m [u8],
    pub transport: Transport,
    pub source: SocketAddr,
    /// The address of ours that it came to.
    pub local: SocketAddr,
    /// None over UDP.
    pub connection: Option<ConnectionId>,
    /// When it reached this host.
    pub arrived: Instant,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    pub transport: Transport,
    pub to: SocketAddr,
    /// The address of ours to send from.
    pub from: SocketAddr,
    /// Over this connection; if it is gone the message is lost. None over UDP.
    pub connection: Option<ConnectionId>,
}

/// One message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub to: Destination,
    pub bytes: Vec<u8>,
    /// The branch of a request of ours, to be repeated until a final answer to it comes; none for
    /// answers.
    pub branch: Option<Box<str>>,
}

/// The registrar behind all transports.
pub struct Core {
    _settings: Settings,
    _desk: Arc<Desk>,
}

impl Core {
    pub fn new(settings: &Settings, desk: Arc<Desk>) -> Self {
        Self {
            _settings: settings.clone(),
            _desk: desk,
        }
    }

    /// Takes one message in. What it has to say to it is pushed to `out`.
    pub fn receive(&self, incoming: &Incoming<'_>, now: Instant, out: &mut Vec<Outgoing>) {
        let _ = (incoming, now, out);
    }

    /// A connection has ended: what was registered over it is not reachable any more.
    pub fn closed(&self, connection: ConnectionId, now: Instant) {
        let _ = (connection, now);
    }

    /// No answer came to a request of ours in time (timer F), or the transport failed.
    pub fn unanswered(&self, branch: &str, now: Instant) {
        let _ = (branch, now);
    }

    /// The request that brings an order to a phone; none if it cannot be reached.
    pub fn order(&self, to: &Registration, order: Order, now: Instant) -> Option<Outgoing> {
        let _ = (to, order, now);
        None
    }
}
