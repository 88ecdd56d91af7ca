//! One connection of a phone: bytes and time in, bytes and deadlines out.
//!
//! ```text
//! phone                                server
//!   Register ─────────────────────────▶   checks: gate
//!   ◀─────────────── RegisterAck, CapabilitiesReq
//!   CapabilitiesRes, ButtonTemplateReq, SoftKeyTemplateReq, SoftKeySetReq, ConfigStatReq,
//!   LineStatReq …, TimeDateReq ───────▶
//!   ◀──────────────────── an answer to each; the clock ends the registration
//!   KeepAlive ────────────────────────▶   every interval granted in RegisterAck
//!   ◀────────────────────────── KeepAliveAck
//! ```
//!
//! Phones may ask in another order, and leave out what their firmware does not know. What the
//! registration table has of a phone is written when it registers and when it leaves; a keepalive
//! moves the deadline of the session, and the end that the table knows. That is three keepalives
//! ahead, so that a registration that a restart of the daemon has cut off does not stay for ever.

mod answer;
mod clock;
mod dispatch;
mod gate;
mod life;
mod profile;
mod soft_keys;
mod throttle;
mod told;
mod zones;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gate::{Application, Gate};
use life::Registered;
use throttle::Throttle;
use told::Applicant;

use super::counters::{BadFrame, Ending};
use super::registrar::{Moment, Registrar};
use super::settings::seconds;
use super::wire::{AlarmCode, Dialect, Frame, Reply, write};
use crate::inventory::DeviceName;
use crate::register::bans::Offence;
use crate::register::{ConnectionId, Order, Refusal};

/// Answers that may wait to be sent before further questions are left unread.
pub const HIGH_WATER: usize = 16 << 10;

/// How often the inventory is asked again for a phone that is being taken in, and for how long.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const TAKEN_IN_WITHIN: Duration = Duration::from_secs(5);

/// What is to become of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// What was written is still to be sent.
    Close(Ending),
}

#[derive(Debug)]
pub struct Session {
    connection: ConnectionId,
    peer: SocketAddr,
    /// Our side of the connection.
    local: SocketAddr,
    /// A message that is not whole, or messages that wait until answers have gone out.
    inbox: Vec<u8>,
    /// Since when a message is not whole.
    partial_since: Option<Instant>,
    is_held_up: bool,
    state: State,
    throttle: Throttle,
    /// Who got a token, and until when it counts.
    token: Option<(DeviceName, Instant)>,
    /// It asked for a token as phones of the SPA series do.
    is_spcp: bool,
    last_alarm: Option<AlarmCode>,
    /// Who asked to be registered last.
    applicant: Option<Applicant>,
}

#[derive(Debug)]
enum State {
    /// No phone is registered over the connection.
    New {
        until: Instant,
    },
    /// A phone that wants to register, and is not answered yet.
    Waiting(Box<Waiting>),
    Registered(Box<Registered>),
}

#[derive(Debug)]
struct Waiting {
    application: Application,
    what_for: WhatFor,
    look_at: Instant,
    /// Then it is refused.
    until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhatFor {
    /// Nobody knew it, and it is being taken into the inventory.
    Intake,
    /// It has a place in the queue of a storm. A rejection has no room for a time: the phone would
    /// come again when it likes, and its place would be lost.
    Turn,
}

/// What goes in with every call: what all sessions share, the time, and where answers go.
pub struct Turn<'t> {
    pub registrar: &'t Registrar,
    pub now: Moment,
    pub out: &'t mut Vec<u8>,
}

impl Turn<'_> {
    fn send(&mut self, reply: &impl Reply, dialect: Dialect) {
        let message = write(reply, dialect, self.out);
        self.registrar.counters.sent(message);
    }
}

impl Session {
    pub fn new(
        registrar: &Registrar,
        connection: ConnectionId,
        peer: SocketAddr,
        local: SocketAddr,
        now: Instant,
    ) -> Self {
        let unmapped =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self {
            connection,
            peer: unmapped(peer),
            local: unmapped(local),
            inbox: Vec::new(),
            partial_since: None,
            is_held_up: false,
            state: State::New {
                until: now + seconds(registrar.settings.get().register_timeout_s),
            },
            throttle: Throttle::new(now),
            token: None,
            is_spcp: false,
            last_alarm: None,
            applicant: None,
        }
    }

    /// Takes what came in; nothing to go on with messages that were held up.
    pub fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Flow {
        if self.inbox.is_empty() {
            let (used, flow) = self.consume(bytes, turn);
            // Nothing is kept while nothing is missing.
            self.inbox.extend_from_slice(&bytes[used..]);
            return flow;
        }
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.extend_from_slice(bytes);
        let (used, flow) = self.consume(&inbox, turn);
        if used < inbox.len() {
            inbox.drain(..used);
            self.inbox = inbox;
        }
        flow
    }

    /// Whether whole messages wait until what was written has gone out.
    pub fn is_held_up(&self) -> bool {
        self.is_held_up
    }

    /// Answers the whole messages at the front; says how many bytes they have.
    fn consume(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> (usize, Flow) {
        let mut used = 0;
        self.is_held_up = false;
        loop {
            let rest = &bytes[used..];
            let (frame, len) = match Frame::first(rest) {
                Ok(Some(first)) => first,
                Ok(None) => {
                    self.partial_since = match (rest.is_empty(), used) {
                        (true, _) => None,
                        (false, 0) => self.partial_since.or(Some(turn.now.instant)),
                        (false, _) => Some(turn.now.instant),
                    };
                    return (used, Flow::Open);
                }
                Err(unframed) => {
                    tracing::debug!(peer = %self.peer, %unframed, "not SCCP");
                    return (bytes.len(), self.end_on(unframed.into(), turn));
                }
            };
            if turn.out.len() >= HIGH_WATER {
                self.is_held_up = true;
                self.partial_since = None;
                return (used, Flow::Open);
            }
            used += len;
            let flow = self.take(&frame, turn);
            if flow != Flow::Open {
                return (bytes.len(), flow);
            }
        }
    }

    fn gate<'r>(&self, turn: &Turn<'r>) -> Gate<'r> {
        let now = turn.now.instant;
        let token = self.token.filter(|(_, until)| now < *until);
        Gate {
            registrar: turn.registrar,
            peer: self.peer,
            connection: self.connection,
            token_of: token.map(|(device, _)| device),
        }
    }

    fn dialect(&self) -> Dialect {
        match &self.state {
            State::Registered(registered) => registered.dialect,
            State::New { .. } | State::Waiting(_) => Dialect::UNKNOWN,
        }
    }

    fn offended(&self, offence: Offence, turn: &Turn<'_>) {
        // Over TCP, the address is certainly its own.
        let bans = &turn.registrar.desk.bans;
        bans.offended(self.peer.ip(), offence, true, turn.now.instant);
    }

    fn end_on(&mut self, bad: BadFrame, turn: &mut Turn<'_>) -> Flow {
        turn.registrar.counters.bad(bad);
        self.offended(Offence::Garbage, turn);
        self.end(Ending::BadFrame, turn)
    }

    /// An order for the phone; nothing if none is registered.
    pub fn order(&mut self, order: Order, turn: &mut Turn<'_>) {
        if let State::Registered(registered) = &mut self.state {
            registered.order(order, turn);
        }
    }

    /// The deadline of the state.
    fn deadline(&self) -> Instant {
        match &self.state {
            State::New { until } => *until,
            State::Waiting(waiting) => waiting.look_at,
            State::Registered(registered) => registered.deadline(),
        }
    }

    /// The moment by which a message must be whole.
    fn partial_deadline(&self, registrar: &Registrar) -> Option<Instant> {
        let patience = seconds(registrar.settings.get().message_timeout_s);
        self.partial_since.map(|since| since + patience)
    }

    /// The moment to call [`Self::expire`] at.
    pub fn next(&self, registrar: &Registrar) -> Instant {
        let partial = self.partial_deadline(registrar);
        partial.map_or(self.deadline(), |partial| partial.min(self.deadline()))
    }

    /// Does what the time has come for.
    pub fn expire(&mut self, turn: &mut Turn<'_>) -> Flow {
        let now = turn.now.instant;
        if self
            .partial_deadline(turn.registrar)
            .is_some_and(|at| at <= now)
        {
            return self.end(Ending::SlowMessage, turn);
        }
        if self.deadline() > now {
            return Flow::Open;
        }
        match &mut self.state {
            State::New { .. } => self.end(Ending::NoRegister, turn),
            State::Waiting(waiting) => {
                waiting.look_at = now + LOOK_AGAIN;
                let application = waiting.application.clone();
                match waiting.what_for {
                    WhatFor::Turn => self.apply(application, turn),
                    WhatFor::Intake if waiting.until <= now => {
                        self.refuse(Refusal::AutoRegistration, None, turn)
                    }
                    WhatFor::Intake => self.look_again(application, turn),
                }
            }
            State::Registered(registered) => {
                let ending = registered.overdue(now);
                self.end(ending, turn)
            }
        }
    }
}
