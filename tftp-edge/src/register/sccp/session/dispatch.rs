//! What becomes of each message.

use std::time::{Duration, Instant};

use super::gate::{self, Application, Verdict};
use super::told::Applicant;
use super::{Flow, LOOK_AGAIN, Session, State, TAKEN_IN_WITHIN, Turn, Waiting, WhatFor};
use crate::inventory::DeviceName;
use crate::register::bans::Offence;
use crate::register::sccp::counters::{BadFrame, Ending};
use crate::register::sccp::settings::seconds;
use crate::register::sccp::wire::{
    Frame, Incoming, Outgoing, RegisterReject, RegisterTokenReject, Request, SpcpTokenAck,
    SpcpTokenReject, TokenReq, UnregisterAck, UnregisterReason,
};
use crate::register::{Departure, Refusal};

/// How long a token counts in the queue.
const TOKEN_LASTS: Duration = Duration::from_secs(60);

/// What a phone without a place in the queue is told to wait for (chan-sccp).
const TOKEN_WAIT: Duration = Duration::from_secs(60);

impl Session {
    pub(super) fn take(&mut self, frame: &Frame<'_>, turn: &mut Turn<'_>) -> Flow {
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
        tracing::trace!(peer = %self.peer, request = message.as_str(), "over SCCP");
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
                let min_version = turn.registrar.settings.get().min_version;
                let application = gate
                    .check_source(turn.now)
                    .and_then(|()| Application::read(register, min_version));
                return match application {
                    Ok(application) => {
                        self.tell_registering(&application, turn);
                        self.apply(application, turn)
                    }
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
                let code = alarm.code();
                turn.registrar.counters.alarm(code);
                self.last_alarm = Some(code);
                self.tell_alarm(alarm, turn);
            }
            Request::XmlAlarm(xml) => self.tell_xml_alarm(xml, turn),
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

    pub(super) fn apply(&mut self, application: Application, turn: &mut Turn<'_>) -> Flow {
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
                // If it was registered, then as a device that is not there any more.
                self.leave(Departure::ConfigurationMismatch, turn);
                let now = turn.now.instant;
                self.state = State::Waiting(Box::new(Waiting {
                    application,
                    what_for: WhatFor::Intake,
                    look_at: now + LOOK_AGAIN,
                    until: now + TAKEN_IN_WITHIN,
                }));
                Flow::Open
            }
            Verdict::Refuse(Refusal::Storm, Some(wait)) => self.hold(application, wait, turn),
            Verdict::Refuse(refusal, wait) => {
                if refusal == Refusal::UnknownDevice {
                    let (bans, name) = (&turn.registrar.desk.bans, application.device.as_str());
                    bans.guessed(self.peer.ip(), name, true, turn.now.instant);
                }
                self.refuse(refusal, wait, turn)
            }
        }
    }

    /// Its turn comes after `wait`: soon enough to be answered then, or too late to wait for.
    fn hold(&mut self, application: Application, wait: Duration, turn: &mut Turn<'_>) -> Flow {
        let now = turn.now.instant;
        let until = match &self.state {
            State::Waiting(waiting) if waiting.what_for == WhatFor::Turn => waiting.until,
            _ => now + seconds(turn.registrar.settings.get().hold_s),
        };
        if now + wait > until {
            return self.refuse(Refusal::Storm, Some(wait), turn);
        }
        self.state = State::Waiting(Box::new(Waiting {
            application,
            what_for: WhatFor::Turn,
            look_at: now + wait,
            until,
        }));
        Flow::Open
    }

    /// A place in the queue for later, or in how many seconds to ask again.
    fn token(&mut self, token: &TokenReq<'_>, turn: &mut Turn<'_>) -> Result<(), u32> {
        let gate = self.gate(turn);
        let application = gate
            .check_source(turn.now)
            .and_then(|()| Application::of_token(token));
        self.applicant = application.as_ref().ok().map(Applicant::of);
        let verdict =
            application.map(|application| (application.device, gate.judge(&application, turn.now)));
        let table = &turn.registrar.desk.table;
        let is_full = |device: &DeviceName| !table.has_room() && table.get(device).is_none();
        let (refusal, wait) = match verdict {
            // It would be sent away from both servers.
            Ok((device, Verdict::Admit(_))) if is_full(&device) => (Refusal::Capacity, None),
            Ok((device, Verdict::Admit(_))) => {
                self.token = Some((device, turn.now.instant + TOKEN_LASTS));
                return Ok(());
            }
            // A phone that is still being taken in may come: it will be known by then, and asks for
            // its place like any other.
            Ok((_, Verdict::Pending)) => return Ok(()),
            Ok((_, Verdict::Refuse(refusal, wait))) => (refusal, wait),
            Err(refusal) => (refusal, None),
        };
        turn.registrar.counters.refused(refusal);
        let at_least = turn.registrar.settings.get().token_wait_min_s;
        let wait_s = gate::wait_s(wait.unwrap_or(TOKEN_WAIT)).max(at_least);
        self.tell_refused(refusal, Some(wait_s), turn);
        Err(wait_s)
    }

    /// The phone hears why, and the connection ends: phones begin anew over another one.
    pub(super) fn refuse(
        &mut self,
        refusal: Refusal,
        wait: Option<Duration>,
        turn: &mut Turn<'_>,
    ) -> Flow {
        turn.registrar.counters.refused(refusal);
        tracing::debug!(peer = %self.peer, reason = refusal.as_str(), "refused over SCCP");
        self.tell_refused(refusal, wait.map(gate::wait_s), turn);
        // Who waited too long does not wait for an answer any more.
        if refusal != Refusal::Stale {
            let text = gate::text(refusal, wait);
            turn.send(&RegisterReject { text: &text }, self.dialect());
        }
        let departure = match refusal {
            Refusal::UnknownDevice | Refusal::ProtocolMismatch | Refusal::WrongModel => {
                Departure::ConfigurationMismatch
            }
            // It has begun anew, and is not let in at the moment.
            Refusal::Duplicate | Refusal::Capacity | Refusal::Storm | Refusal::Stale => {
                Departure::Duplicate
            }
            _ => Departure::SequenceError,
        };
        self.leave(departure, turn);
        Flow::Close(Ending::Refused)
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

    pub(super) fn look_again(&mut self, application: Application, turn: &mut Turn<'_>) -> Flow {
        let directory = &turn.registrar.desk.directory;
        if directory.device(&application.device).is_none() {
            return Flow::Open;
        }
        self.apply(application, turn)
    }
}
