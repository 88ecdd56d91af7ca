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
//! registration table has of a phone is written when it registers and when it leaves; keepalives
//! move a deadline of the session alone. So that a registration that a restart of the daemon has
//! cut off does not stay for ever, the table's own time is ten keepalives ahead, and is set anew
//! when half of it is over.

mod answer;
mod clock;
mod gate;
mod life;
mod profile;
mod soft_keys;
mod throttle;
mod zones;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gate::{Application, Gate, Verdict};
use life::Registered;
use throttle::Throttle;

use super::counters::{BadFrame, Ending};
use super::registrar::{Moment, Registrar};
use super::settings::seconds;
use super::wire::{
    AlarmCode, Dialect, Frame, Incoming, Outgoing, RegisterReject, RegisterTokenReject, Reply,
    Request, SpcpTokenAck, SpcpTokenReject, TokenReq, UnregisterAck, UnregisterReason, write,
};
use crate::register::bans::Offence;
use crate::register::{ConnectionId, Departure, Order, Refusal};

/// Answers that may wait to be sent before further questions are left unread.
pub(super) const HIGH_WATER: usize = 16 << 10;

/// Keepalive intervals without a sign of life after which a phone is gone (chan-sccp).
const LOST_AFTER: f64 = 1.2;

/// How often the inventory is asked again for a phone that is being taken in, and for how long.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const TAKEN_IN_WITHIN: Duration = Duration::from_secs(5);

/// How long a token counts in the queue.
const TOKEN_LASTS: Duration = Duration::from_secs(60);

/// What a phone without a place in the queue is told to wait for (chan-sccp).
const TOKEN_WAIT: Duration = Duration::from_secs(60);

/// What is to become of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Open,
    /// What was written is still to be sent.
    Close(Ending),
}

#[derive(Debug)]
pub(super) struct Session {
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
    token_until: Option<Instant>,
    /// It asked for a token as phones of the SPA series do.
    is_spcp: bool,
    last_alarm: Option<AlarmCode>,
}

#[derive(Debug)]
enum State {
    /// No phone is registered over the connection.
    New {
        until: Instant,
    },
    /// A phone that nobody knew is being taken in.
    Waiting(Box<Waiting>),
    Registered(Box<Registered>),
}

#[derive(Debug)]
struct Waiting {
    application: Application,
    look_at: Instant,
    until: Instant,
}

/// What goes in with every call: what all sessions share, the time, and where answers go.
pub(super) struct Turn<'t> {
    pub(super) registrar: &'t Registrar,
    pub(super) now: Moment,
    pub(super) out: &'t mut Vec<u8>,
}

impl Turn<'_> {
    fn send(&mut self, reply: &impl Reply, dialect: Dialect) {
        let message = write(reply, dialect, self.out);
        self.registrar.counters.sent(message);
    }
}

impl Session {
    pub(super) fn new(
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
                until: now + seconds(registrar.settings.register_timeout_s),
            },
            throttle: Throttle::new(now),
            token_until: None,
            is_spcp: false,
            last_alarm: None,
        }
    }

    /// Takes what came in; nothing to go on with messages that were held up.
    pub(super) fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Flow {
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
    pub(super) fn is_held_up(&self) -> bool {
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

    fn take(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Flow {
        let counters = &turn.registrar.counters;
        if self.throttle.is_exceeded(turn.now.instant) {
            return self.throttled(turn);
        }
        let Some(message) = Incoming::of_id(frame.id) else {
            if Outgoing::of_id(frame.id).is_some() {
                return self.end_on(BadFrame::WrongDirection, turn);
            }
            counters.unknown();
            return Flow::Open;
        };
        counters.received(message);
        if let State::Registered(registered) = &mut self.state {
            registered.heard(turn);
        }
        match Request::parse(message, frame.body) {
            Ok(request) => self.answer(&request, turn),
            Err(bad) => {
                counters.bad(bad.into());
                self.offended(Offence::Garbage, turn);
                match message {
                    Incoming::Register => self.refuse(Refusal::Malformed, None, turn),
                    _ => Flow::Open,
                }
            }
        }
    }

    fn answer(&mut self, request: &Request<'_>, turn: &mut Turn<'_>) -> Flow {
        match request {
            Request::KeepAlive => {
                turn.send(&Outgoing::KeepAliveAck, self.dialect());
                return self.keepalive(turn);
            }
            Request::Register(register) => {
                let gate = self.gate(turn);
                let min_version = turn.registrar.settings.min_version;
                let application = gate
                    .check_source(turn.now)
                    .and_then(|()| Application::read(register, min_version));
                return match application {
                    Ok(application) => self.apply(application, turn),
                    Err(refusal) => self.refuse(refusal, None, turn),
                };
            }
            Request::Token(token) => match self.token(token, turn) {
                Ok(()) => turn.send(&Outgoing::RegisterTokenAck, self.dialect()),
                Err(wait_s) => turn.send(&RegisterTokenReject { wait_s }, self.dialect()),
            },
            Request::SpcpToken(token) => {
                self.is_spcp = true;
                match self.token(token, turn) {
                    Ok(()) => turn.send(&SpcpTokenAck, self.dialect()),
                    Err(wait_s) => turn.send(&SpcpTokenReject { wait_s }, self.dialect()),
                }
            }
            Request::Alarm(alarm) => {
                let registrar = turn.registrar;
                let code = registrar
                    .alarms
                    .record(alarm, self.peer.ip(), turn.now.wall);
                registrar.counters.alarm(code);
                self.last_alarm = Some(code);
            }
            Request::Unregister(reason) => {
                turn.send(&UnregisterAck, self.dialect());
                self.leave(self.departure(*reason, turn.now.instant), turn);
            }
            Request::Report => {}
            request => return self.ask(request, turn),
        }
        Flow::Open
    }

    /// Questions and reports that only a registered phone has.
    fn ask(&mut self, request: &Request<'_>, turn: &mut Turn<'_>) -> Flow {
        match &mut self.state {
            State::Registered(registered) => {
                registered.answer(request, self.local, turn);
                Flow::Open
            }
            // It can wait: the phone asks again.
            State::Waiting(_) => Flow::Open,
            State::New { .. } => match request {
                Request::Capabilities(_)
                | Request::UpdateCapabilities
                | Request::AvailableLines(_) => Flow::Open,
                _ => self.refuse(Refusal::Sequence, None, turn),
            },
        }
    }

    fn apply(&mut self, application: Application, turn: &mut Turn<'_>) -> Flow {
        if let State::Registered(registered) = &self.state
            && registered.device != application.device
        {
            self.leave(Departure::SequenceError, turn);
        }
        match self.gate(turn).judge(&application, turn.now) {
            Verdict::Admit(admitted) => match self.register(&application, admitted, turn) {
                Ok(()) => Flow::Open,
                Err(refusal) => self.refuse(refusal, None, turn),
            },
            Verdict::Pending => {
                let now = turn.now.instant;
                self.state = State::Waiting(Box::new(Waiting {
                    application,
                    look_at: now + LOOK_AGAIN,
                    until: now + TAKEN_IN_WITHIN,
                }));
                Flow::Open
            }
            Verdict::Refuse(refusal, wait) => {
                if refusal == Refusal::UnknownDevice {
                    let (bans, name) = (&turn.registrar.desk.bans, application.device.as_str());
                    bans.guessed(self.peer.ip(), name, true, turn.now.instant);
                }
                self.refuse(refusal, wait, turn)
            }
        }
    }

    /// A place in the queue for later, or in how many seconds to ask again.
    fn token(&mut self, token: &TokenReq<'_>, turn: &mut Turn<'_>) -> Result<(), u32> {
        let gate = self.gate(turn);
        let verdict = gate
            .check_source(turn.now)
            .and_then(|()| Application::of_token(token))
            .map(|application| gate.judge(&application, turn.now));
        let (refusal, wait) = match verdict {
            // A phone that is still being taken in may come: it will be known by then.
            Ok(Verdict::Admit(_) | Verdict::Pending) => {
                self.token_until = Some(turn.now.instant + TOKEN_LASTS);
                return Ok(());
            }
            Ok(Verdict::Refuse(refusal, wait)) => (refusal, wait),
            Err(refusal) => (refusal, None),
        };
        turn.registrar.counters.refused(refusal);
        let at_least = turn.registrar.settings.token_wait_min_s;
        Err(gate::wait_s(wait.unwrap_or(TOKEN_WAIT)).max(at_least))
    }

    /// The phone hears why, and the connection ends: phones begin anew over another one.
    fn refuse(&mut self, refusal: Refusal, wait: Option<Duration>, turn: &mut Turn<'_>) -> Flow {
        turn.registrar.counters.refused(refusal);
        // Who waited too long does not wait for an answer any more.
        if refusal != Refusal::Stale {
            let text = gate::text(refusal, wait);
            turn.send(&RegisterReject { text: &text }, self.dialect());
        }
        let departure = match refusal {
            Refusal::UnknownDevice | Refusal::ProtocolMismatch | Refusal::WrongModel => {
                Departure::ConfigurationMismatch
            }
            Refusal::Duplicate => Departure::Duplicate,
            _ => Departure::SequenceError,
        };
        self.leave(departure, turn);
        Flow::Close(Ending::Refused)
    }

    fn gate<'r>(&self, turn: &Turn<'r>) -> Gate<'r> {
        let now = turn.now.instant;
        Gate {
            registrar: turn.registrar,
            peer: self.peer,
            connection: self.connection,
            is_registered: matches!(self.state, State::Registered(_)),
            has_token: self.token_until.is_some_and(|until| now < until),
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

    fn departure(&self, reason: UnregisterReason, now: Instant) -> Departure {
        if let State::Registered(registered) = &self.state
            && let Some(departure) = registered.ordered(now)
        {
            return departure;
        }
        match (reason, self.last_alarm) {
            (UnregisterReason::PowerSave, _) => Departure::PowerSave,
            (UnregisterReason::Unknown, Some(code)) if code.is_restart() => Departure::DeviceReset,
            (UnregisterReason::Unknown, _) => Departure::Unregistered,
        }
    }

    /// An order for the phone; nothing if none is registered.
    pub(super) fn order(&mut self, order: Order, turn: &mut Turn<'_>) {
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
        let patience = seconds(registrar.settings.message_timeout_s);
        self.partial_since.map(|since| since + patience)
    }

    /// The moment to call [`Self::expire`] at.
    pub(super) fn next(&self, registrar: &Registrar) -> Instant {
        let partial = self.partial_deadline(registrar);
        partial.map_or(self.deadline(), |partial| partial.min(self.deadline()))
    }

    /// Does what the time has come for.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) -> Flow {
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
            State::Waiting(waiting) if waiting.until <= now => {
                self.refuse(Refusal::AutoRegistration, None, turn)
            }
            State::Waiting(waiting) => {
                waiting.look_at = now + LOOK_AGAIN;
                let application = waiting.application.clone();
                self.look_again(application, turn)
            }
            State::Registered(registered) => {
                let ending = registered.overdue(now);
                self.end(ending, turn)
            }
        }
    }

    fn look_again(&mut self, application: Application, turn: &mut Turn<'_>) -> Flow {
        let directory = &turn.registrar.desk.directory;
        if directory.device(&application.device).is_none() {
            return Flow::Open;
        }
        self.apply(application, turn)
    }
}
