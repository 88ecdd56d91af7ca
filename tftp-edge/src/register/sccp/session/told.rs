//! What the journal is told of a session. The phone is on the other end of a connection, so what it
//! says comes from where it says.

use std::time::Duration;

use super::gate::Application;
use super::{Session, State, Turn};
use crate::inventory::{DeviceName, Protocol};
use crate::journal::Fact;
use crate::register::sccp::wire::Alarm;
use crate::register::sip::XmlAlarm;
use crate::register::told::printable;
use crate::register::{Refusal, Transport};

/// Keepalives of one phone closer than this are told as one.
const ALIVE_EVERY: Duration = Duration::from_secs(20);

/// Who asks to be registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applicant {
    device: DeviceName,
    type_id: u32,
}

impl Applicant {
    pub(super) fn of(application: &Application) -> Self {
        Self {
            device: application.device,
            type_id: application.type_id,
        }
    }
}

impl Session {
    pub(super) fn tell_registering(&mut self, application: &Application, turn: &Turn<'_>) {
        self.applicant = Some(Applicant::of(application));
        let fact = Fact::Registering {
            protocol: Protocol::Sccp,
            transport: Transport::Tcp,
        };
        self.tell(Some(application.device), fact, turn);
    }

    pub(super) fn tell_refused(&self, refusal: Refusal, wait_s: Option<u32>, turn: &Turn<'_>) {
        let fact = Fact::Refused {
            protocol: Protocol::Sccp,
            refusal,
            wait_s,
            detail: self.detail(refusal, turn),
        };
        self.tell(self.device(), fact, turn);
    }

    fn detail(&self, refusal: Refusal, turn: &Turn<'_>) -> Option<Box<str>> {
        let applicant = self.applicant.filter(|_| refusal == Refusal::WrongModel)?;
        let device = turn.registrar.desk.directory.device(&applicant.device)?;
        let detail = format!(
            "it says it is of type {}, and is a {} in the inventory",
            applicant.type_id, device.model
        );
        Some(detail.into())
    }

    pub(super) fn tell_alive(&mut self, turn: &Turn<'_>) {
        let State::Registered(registered) = &mut self.state else {
            return;
        };
        let now = turn.now;
        if now.instant.saturating_duration_since(registered.told) >= ALIVE_EVERY {
            registered.told = now.instant;
            let desk = &turn.registrar.desk;
            desk.tell_refreshed(now.wall, registered.device, self.peer);
        }
    }

    pub(super) fn tell_alarm(&self, alarm: &Alarm<'_>, turn: &Turn<'_>) {
        let text = printable(&String::from_utf8_lossy(alarm.text()));
        let named = text.split_once("Name=").map(|(_, rest)| rest);
        let named = named.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        let fact = Fact::Alarm {
            code: Some(alarm.code().number().into()),
            text,
        };
        self.tell(named.or_else(|| self.device()), fact, turn);
    }

    pub(super) fn tell_xml_alarm(&self, body: &[u8], turn: &Turn<'_>) {
        let end = memchr::memchr(0, body).unwrap_or(body.len());
        let Some(alarm) = XmlAlarm::of(&body[..end]) else {
            return;
        };
        let device = alarm.device().or_else(|| self.device());
        if let Some(fact) = alarm.fact() {
            self.tell(device, fact, turn);
        }
    }

    /// Who the phone is, as it says.
    fn device(&self) -> Option<DeviceName> {
        match &self.state {
            State::Registered(registered) => Some(registered.device),
            State::New { .. } | State::Waiting(_) => self.applicant.map(|it| it.device),
        }
    }

    fn tell(&self, device: Option<DeviceName>, fact: Fact, turn: &Turn<'_>) {
        let desk = &turn.registrar.desk;
        desk.tell(turn.now.wall, device, self.peer, fact);
    }
}
