//! What the loop and the protocol say to each other: whole messages in, whole messages out.
//!
//! The core has no sockets and no timers. It answers a request at once or not at all, so a
//! retransmitted request is simply answered again (RFC 3261 17.2, stateless UAS of 8.2.7); what it
//! sends on its own account, the loop repeats until it is answered (17.1.2).

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Settings;
use super::counts::{Counts, Event, Tally};
use super::digest::Digest;
use super::message::{Defect, Message, Method, Name, Reply, Request, StartLine};
use super::orders::Orders;
use super::registrar::Registrar;
use crate::clock::Reading;
use crate::inventory::DeviceName;
use crate::live::Live;
use crate::register::bans::Offence;
use crate::register::{ConnectionId, Desk, Order, Refusal, Registration, Transport};

/// One message, whole: a datagram, or what a stream's `Content-Length` says.
#[derive(Clone, Copy)]
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

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what is in it: that may be credentials.
        formatter
            .debug_struct("Incoming")
            .field("len_bytes", &self.bytes.len())
            .field("transport", &self.transport)
            .field("source", &self.source)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
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

/// Whether a message was the core's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Dealt with: what there was to say is said.
    Done,
    /// It is for the PBX, if the core was told that there is one: nothing was answered.
    Relay,
}

/// The registrar behind all transports.
pub struct Core {
    pub(super) desk: Arc<Desk>,
    pub(super) tally: Tally,
    pub(super) registrar: Registrar,
    pub(super) orders: Orders,
    /// Calls and the like go to a PBX.
    relays: bool,
    /// For what only has to be the same when the same message comes again.
    pub(super) hasher: RandomState,
}

/// One request, and all that is needed to answer it.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a, 'm> {
    pub(super) incoming: &'a Incoming<'m>,
    pub(super) request: &'a Request<'a, 'm>,
    pub(super) reply: &'a Reply<'a, 'm>,
    pub(super) now: Instant,
    pub(super) wall: SystemTime,
    pub(super) steady: SystemTime,
}

impl Core {
    pub fn new(settings: impl Into<Live<Settings>>, desk: Arc<Desk>) -> Self {
        let settings = settings.into();
        let digest = Digest::new(settings.get().digest.parameters(), Instant::now());
        Self {
            desk,
            tally: Tally::default(),
            registrar: Registrar::new(settings, digest),
            orders: Orders::default(),
            relays: false,
            hasher: RandomState::new(),
        }
    }

    /// Has [`Self::receive`] leave to a PBX what is not the registrar's.
    pub fn relaying(mut self, relays: bool) -> Self {
        self.relays = relays;
        self
    }

    pub fn counts(&self) -> Counts {
        self.tally.read()
    }

    /// Takes one message in. What it has to say to it is pushed to `out`.
    ///
    /// The time of day is read here, once a message: phones set their clocks by it, and it may be
    /// set while the daemon runs.
    pub fn receive(
        &self,
        incoming: &Incoming<'_>,
        now: Instant,
        out: &mut Vec<Outgoing>,
    ) -> Received {
        self.receive_at(incoming, now, Reading::now(), out)
    }

    /// The same, with the time of day, and the one that registrations last by.
    pub(super) fn receive_at(
        &self,
        incoming: &Incoming<'_>,
        now: Instant,
        clocks: Reading,
        out: &mut Vec<Outgoing>,
    ) -> Received {
        let source = incoming.source.ip();
        if !self.desk.access.get().allows(source) {
            self.tally.refusal(Refusal::Denied);
            return Received::Done;
        }
        if self.desk.bans.is_banned(source, now) {
            self.tally.refusal(Refusal::Banned);
            return Received::Done;
        }
        if incoming
            .bytes
            .iter()
            .all(|byte| matches!(byte, b'\r' | b'\n' | 0))
        {
            // A keepalive of RFC 5626, or what keeps a NAT open.
            self.tally.event(Event::Ignored);
            return Received::Done;
        }
        let message = match Message::scan(incoming.bytes) {
            Ok(message) => message,
            Err(defect) => {
                self.garbage(incoming, defect, now);
                return Received::Done;
            }
        };
        if let Ok(StartLine::Response { .. }) = message.start() {
            return self.response(&message);
        }
        let tag = self.tag(&message);
        let Some(reply) = Reply::new(&message, incoming.source, tag) else {
            let defect = match message.first(Name::Via) {
                Some(_) => Defect::Via,
                None => Defect::NoVia,
            };
            self.tally.event(Event::Unanswerable);
            self.garbage(incoming, defect, now);
            return Received::Done;
        };
        let request = match Request::check(&message) {
            Ok(request) => request,
            Err(defect) => {
                self.tally.defect(defect);
                self.tally.refusal(Refusal::Malformed);
                let is_ack = matches!(
                    message.start(),
                    Ok(StartLine::Request {
                        method: Method::Ack,
                        ..
                    })
                );
                if !is_ack {
                    let bytes = reply.begin(defect.code(), &defect.to_string()).finish();
                    out.push(answer_to(incoming, &reply, bytes));
                }
                return Received::Done;
            }
        };
        self.tally.request(request.method);
        let exchange = Exchange {
            incoming,
            request: &request,
            reply: &reply,
            now,
            wall: clocks.wall,
            steady: clocks.steady,
        };
        self.dispatch(&exchange, out)
    }

    /// Bytes that nobody is told about.
    fn garbage(&self, incoming: &Incoming<'_>, defect: Defect, now: Instant) {
        self.tally.defect(defect);
        let has_proved = incoming.transport.has_connections();
        let source = incoming.source.ip();
        self.desk
            .bans
            .offended(source, Offence::Garbage, has_proved, now);
    }

    /// The loop has matched those to requests of ours already.
    fn response(&self, message: &Message<'_>) -> Received {
        let branch = message
            .values(Name::Via)
            .next()
            .and_then(super::message::Via::parse)
            .and_then(|it| it.branch());
        if self.relays && !branch.is_some_and(Orders::is_ours) {
            self.tally.event(Event::Relayed);
            return Received::Relay;
        }
        self.tally.event(Event::Ignored);
        Received::Done
    }

    /// The tag of ours in the answers to a request: the same whenever it comes.
    fn tag(&self, message: &Message<'_>) -> u64 {
        let of = |name| message.first(name);
        self.hasher
            .hash_one((of(Name::CallId), of(Name::From), of(Name::CSeq)))
    }

    pub(super) fn is_relaying(&self) -> bool {
        self.relays
    }

    /// A connection has ended: what was registered over it is not reachable any more.
    pub fn closed(&self, connection: ConnectionId, now: Instant) {
        let ordered = |device: &DeviceName| self.orders.follow(device, now);
        self.registrar.closed(&self.desk, connection, ordered);
    }

    /// Whether a phone is registered over a connection: it may be still for as long as that holds.
    pub fn is_registered_over(&self, connection: ConnectionId) -> bool {
        let devices = self.registrar.ways.over(connection);
        devices.iter().any(|device| {
            let known = self.desk.table.get(device);
            known.is_some_and(|it| it.connection == Some(connection))
        })
    }

    /// No answer came to a request of ours in time (timer F), or the transport failed.
    pub fn unanswered(&self, branch: &str, now: Instant) {
        let _ = now;
        self.unanswered_order(branch);
    }

    /// The request that brings an order to a phone; none if it cannot be reached. `towards` has the
    /// address of ours from which datagrams go to another: it is asked for phones that have not
    /// registered since the daemon was restarted.
    pub fn order(
        &self,
        to: &Registration,
        order: Order,
        towards: impl FnOnce(SocketAddr) -> Option<SocketAddr>,
        now: Instant,
    ) -> Option<Outgoing> {
        self.write_order(to, order, towards, now)
    }
}

/// An answer, on its way back.
pub(super) fn answer_to(
    incoming: &Incoming<'_>,
    reply: &Reply<'_, '_>,
    bytes: Vec<u8>,
) -> Outgoing {
    let to = match incoming.transport {
        Transport::Udp => reply.via().answer_to(incoming.source),
        Transport::Tcp | Transport::Tls => incoming.source,
    };
    Outgoing {
        to: Destination {
            transport: incoming.transport,
            to,
            from: incoming.local,
            connection: incoming.connection,
        },
        bytes,
        branch: None,
    }
}
