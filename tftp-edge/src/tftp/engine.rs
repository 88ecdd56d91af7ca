//! All transfers of one worker, without its sockets: datagrams and the time come in, datagrams go
//! to the outbox.
//!
//! This file has the transfers and what belongs to them; [`super::request`] has the request port.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;
use tftp_ebpf::wire::tftp::{ErrorCode, Request, opcode};

use super::parking::{Parking, Ready};
use super::settings::Settings;
use super::sources::Sources;
use super::transfer::{Sent, Sink, Step, Transfer};
use crate::access::Access;
use crate::content::Catalog;
use crate::journal::Journal;
use crate::live::Live;
use crate::misses::Misses;
use crate::stats::{Counters, StageCounter, Unserved};
use crate::udp::{self, Client, Local, Outbox, SocketId};

/// Bytes a datagram is read into: more than the 512 a request may have, so that a longer one is
/// seen to be longer.
pub const PACKET_LEN: usize = 1024;

/// One datagram that came in.
pub type Datagram<'packet> = udp::Datagram<'packet, PACKET_LEN>;

impl Datagram<'_> {
    /// Whether it asks for something, rather than belonging to a transfer.
    pub fn is_request(&self) -> bool {
        matches!(self.word(0), Some(opcode::RRQ | opcode::WRQ))
    }

    /// The 16 bits at an offset, if the datagram has them.
    pub(super) fn word(&self, at: usize) -> Option<u16> {
        (self.len >= at + 2).then(|| u16::from_be_bytes([self.packet[at], self.packet[at + 1]]))
    }
}

/// How large a packet to a client may be; asked for at most once for each request.
pub trait PathMtu {
    /// Bytes, IP header included. `None`: not known, do not clamp.
    fn path_mtu(&mut self, client: Client) -> Option<u32>;
}

/// What all workers share.
pub struct Shared {
    pub settings: Live<Settings>,
    pub access: Live<Access>,
    pub catalog: Arc<dyn Catalog>,
    pub counters: Arc<Counters>,
    pub sources: Arc<Sources>,
    pub misses: Arc<Misses>,
    pub journal: Arc<Journal>,
    /// Transfers of all workers.
    pub running: AtomicUsize,
}

impl Shared {
    /// Gives back the place of a transfer.
    pub(super) fn leave(&self, client: IpAddr) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        self.sources.close(client);
    }
}

/// The sockets answers leave from, unless the port that was asked serves for all.
#[derive(Clone, Debug, Default)]
pub struct TransferSockets {
    pub v4: Vec<SocketId>,
    pub v6: Vec<SocketId>,
}

/// What a client asked for; the same wish again from the same port is a repeated request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Hash of the normalised name.
    pub name: u64,
    pub request: Request,
    pub to: Local,
    /// Another edge asks for a client of its own.
    pub forwarded: bool,
}

pub(super) struct Session {
    pub transfer: Transfer,
    pub socket: SocketId,
    pub wish: Wish,
    /// First-packet tokens to give back with the first ACK.
    pub tokens: u32,
    /// The one timer entry that counts; older ones in the heap are stale.
    pub armed: Instant,
}

/// A transfer whose first packet is in the outbox.
pub(super) struct Begun {
    pub stage: Stage,
    /// The stamp of its request.
    pub arrived: Duration,
}

pub struct Engine {
    pub(super) shared: Arc<Shared>,
    pub(super) sockets: TransferSockets,
    pub(super) sessions: HashMap<Client, Session>,
    /// Each session has one entry that counts. An ACK that moves its deadline later leaves the
    /// entry alone: it is put back when its time comes, so that an ACK costs no heap operation.
    timers: BinaryHeap<Reverse<(Instant, Client)>>,
    ended: Ended,
    pub(super) parking: Parking,
    /// What was begun since [`Self::sent_out`].
    pub(super) begun: Vec<Begun>,
    pub(super) outbox: Outbox,
    pub(super) rng: StdRng,
    pub(super) names: RandomState,
}

impl Engine {
    pub fn new(shared: Arc<Shared>, sockets: TransferSockets, ready: Arc<Ready>) -> Self {
        Self {
            shared,
            sockets,
            sessions: HashMap::new(),
            timers: BinaryHeap::new(),
            ended: Ended::default(),
            parking: Parking::new(ready),
            begun: Vec::new(),
            outbox: Outbox::default(),
            rng: rand::make_rng(),
            names: RandomState::new(),
        }
    }

    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// What was in the outbox has gone out, at this time of the clock that stamps datagrams.
    pub fn sent_out(&mut self, now: impl FnOnce() -> Duration) {
        if self.begun.is_empty() {
            return;
        }
        let now = now();
        for Begun { stage, arrived } in self.begun.drain(..) {
            // That clock may have been set back meanwhile.
            if let Some(after) = now.checked_sub(arrived) {
                self.shared.counters.first_byte(stage, after);
            }
        }
    }

    /// Whether any transfer runs over this socket.
    pub fn has_transfers(&self, socket: SocketId) -> bool {
        let mut sessions = self.sessions.values();
        sessions.any(|session| session.socket == socket)
    }

    /// When to call [`Self::on_timers`] next.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// A datagram to one of the transfer sockets.
    pub fn on_transfer_packet(&mut self, socket: SocketId, datagram: &Datagram<'_>, now: Instant) {
        if !self.on_session_packet(socket, datagram, now) {
            self.on_stranger(socket, datagram, now);
        }
    }

    /// Returns whether the datagram belongs to a transfer.
    pub(super) fn on_session_packet(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        now: Instant,
    ) -> bool {
        let client = datagram.from;
        let Some(session) = self.sessions.get_mut(&client) else {
            return false;
        };
        if session.socket != socket {
            return false;
        }
        let (Some(opcode), Some(number)) = (datagram.word(0), datagram.word(2)) else {
            self.count(Reason::Short);
            return true;
        };
        match opcode {
            opcode::ACK => self.on_ack(client, number, now),
            opcode::ERROR => {
                let reason = session.transfer.on_error();
                self.end(client, reason, now);
            }
            // It must not disturb the transfer.
            _ => self.count(Reason::Junk),
        }
        true
    }

    fn on_ack(&mut self, client: Client, number: u16, now: Instant) {
        let Some(session) = self.sessions.get_mut(&client) else {
            return;
        };
        let was_proved = session.transfer.is_proved();
        let jitter = self.rng.random();
        let mut line = self.outbox.line(session.socket, client, session.wish.to);
        let step = session.transfer.on_ack(number, now, jitter, &mut line);
        if !was_proved && session.transfer.is_proved() {
            let tokens = std::mem::take(&mut session.tokens);
            self.shared.sources.proved(client.ip, now, tokens);
        }
        let stage = session.transfer.version().stage;
        match step {
            Step::Sent(sent) => {
                self.rearm(client);
                self.count(Reason::Data);
                self.count_sent(stage, sent);
            }
            Step::Ignored(reason) => self.count(reason),
            Step::Ended(reason) => self.end(client, reason, now),
        }
    }

    /// A datagram to a transfer socket from somebody who has no transfer there.
    fn on_stranger(&mut self, socket: SocketId, datagram: &Datagram<'_>, now: Instant) {
        if let Err(reason) = self.may_answer(datagram) {
            return self.count(reason);
        }
        // Never in answer to an ERROR, nor to a late copy of what ended a transfer.
        let worth_an_error = matches!(datagram.word(0), Some(opcode::ACK | opcode::DATA))
            && datagram.len >= 4
            && !self.ended.contains(datagram.from, socket);
        if worth_an_error && self.shared.sources.take_error(datagram.from.ip, now) {
            self.send_error(socket, datagram, ErrorCode::UnknownTid);
            self.count(Reason::UnknownTid);
        } else {
            self.count(Reason::NoTransfer);
        }
    }

    /// The network says that a client is not there.
    pub fn on_unreachable(&mut self, socket: SocketId, client: Client, now: Instant) {
        let has_session = |session: &Session| session.socket == socket;
        if self.sessions.get(&client).is_some_and(has_session) {
            self.end(client, Reason::Unreachable, now);
        }
    }

    /// Does what is due; stops early when the outbox is full. Returns whether there is more to do.
    pub fn on_timers(&mut self, now: Instant) -> bool {
        while let Some(&Reverse((at, client))) = self.timers.peek() {
            if at > now {
                return false;
            }
            if self.outbox.is_full() {
                return true;
            }
            self.timers.pop();
            let Some(session) = self.sessions.get_mut(&client) else {
                continue;
            };
            if session.armed != at {
                continue;
            }
            if session.transfer.deadline() > now {
                self.arm(client);
                continue;
            }
            let jitter = self.rng.random();
            let mut line = self.outbox.line(session.socket, client, session.wish.to);
            let stage = session.transfer.version().stage;
            match session.transfer.on_timer(now, jitter, &mut line) {
                Step::Sent(sent) => {
                    self.arm(client);
                    self.count_sent(stage, sent);
                }
                Step::Ended(reason) => self.end(client, reason, now),
                Step::Ignored(reason) => self.count(reason),
            }
        }
        false
    }

    /// Puts an entry for the session's deadline into the heap.
    pub(super) fn arm(&mut self, client: Client) {
        if let Some(session) = self.sessions.get_mut(&client) {
            session.armed = session.transfer.deadline();
            self.timers.push(Reverse((session.armed, client)));
        }
    }

    /// The deadline has moved: only an earlier one needs an entry of its own.
    pub(super) fn rearm(&mut self, client: Client) {
        let earlier = |session: &Session| session.transfer.deadline() < session.armed;
        if self.sessions.get(&client).is_some_and(earlier) {
            self.arm(client);
        }
    }

    pub(super) fn end(&mut self, client: Client, reason: Reason, now: Instant) {
        let Some(session) = self.sessions.remove(&client) else {
            return;
        };
        self.shared.leave(client.ip);
        self.ended.insert(client, session.socket);
        self.count(reason);
        if !session.wish.forwarded {
            self.tell_ended(client, &session, reason, now);
        }
        let transfer = &session.transfer;
        let (stage, took) = (transfer.version().stage, transfer.age(now));
        let unconfirmed = reason == Reason::TimedOut && transfer.is_unconfirmed();
        match reason {
            Reason::Complete => {
                self.shared.counters.completed(stage, took);
                self.shared.sources.proved(client.ip, now, 0);
            }
            Reason::Probe | Reason::Superseded => {}
            _ if unconfirmed => {}
            Reason::TimedOut => self.shared.counters.ended(stage, Unserved::TimedOut),
            _ => self.shared.counters.add(stage, StageCounter::Aborted, 1),
        }
        tracing::debug!(
            peer = %std::net::SocketAddr::from(client),
            file = %transfer.version().name,
            reason = reason.as_str(),
            unconfirmed,
            took_ms = took.as_millis() as u64,
            "transfer ended"
        );
    }

    pub(super) fn send_error(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        code: ErrorCode,
    ) {
        let text = code.text().as_bytes();
        self.outbox
            .line(socket, datagram.from, datagram.to)
            .datagram(5 + text.len(), |out| {
                out.extend_from_slice(&opcode::ERROR.to_be_bytes());
                out.extend_from_slice(&(code as u16).to_be_bytes());
                out.extend_from_slice(text);
                out.push(0);
            });
    }

    pub(super) fn count(&self, reason: Reason) {
        self.shared.counters.count(reason);
    }

    pub(super) fn count_sent(&self, stage: Stage, sent: Sent) {
        let counters = &self.shared.counters;
        for (counter, amount) in [
            (StageCounter::Blocks, sent.blocks),
            (StageCounter::Bytes, sent.bytes),
            (StageCounter::Resent, sent.resent),
        ] {
            if amount > 0 {
                counters.add(stage, counter, amount);
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for client in self.sessions.keys() {
            self.shared.leave(client.ip);
        }
    }
}

/// Transfers that ended lately, as hashes; a newer one takes an older one's place. Good enough to
/// tell a late copy of a packet from a stranger.
struct Ended {
    hasher: RandomState,
    slots: Box<[u64]>,
}

impl Default for Ended {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            slots: vec![0; 4096].into(),
        }
    }
}

impl Ended {
    fn insert(&mut self, client: Client, socket: SocketId) {
        let (slot, hash) = self.place(client, socket);
        self.slots[slot] = hash;
    }

    fn contains(&self, client: Client, socket: SocketId) -> bool {
        let (slot, hash) = self.place(client, socket);
        self.slots[slot] == hash
    }

    fn place(&self, client: Client, socket: SocketId) -> (usize, u64) {
        let hash = self.hasher.hash_one((client, socket));
        (hash as usize % self.slots.len(), hash)
    }
}

#[cfg(test)]
mod tests;
