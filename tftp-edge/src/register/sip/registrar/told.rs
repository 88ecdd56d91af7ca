//! What the journal is told of a REGISTER; [`crate::register::told`] has the rules.

use super::No;
use super::who::Who;
use crate::inventory::{DeviceName, Protocol};
use crate::journal::Fact;
use crate::register::Refusal;
use crate::register::sip::cisco::Reason;
use crate::register::sip::core::{Core, Exchange};
use crate::register::told::printable;

/// Who a REGISTER is of, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Told {
    device: Option<DeviceName>,
    type_id: Option<u32>,
    line: String,
    /// It comes from where it says.
    is_believed: bool,
}

impl Core {
    /// Whether the datagram or the connection it came over shows that it is from there, or the
    /// device was last heard of there.
    pub(super) fn told(
        &self,
        exchange: &Exchange<'_, '_>,
        who: &Who,
        line: &str,
        is_from_there: bool,
    ) -> Told {
        let source = exchange.incoming.source.ip();
        let is_there = |device: &DeviceName| self.desk.is_heard_from(device, source);
        Told {
            device: who.name,
            type_id: who.type_id,
            line: line.to_owned(),
            is_believed: is_from_there || who.name.as_ref().is_some_and(is_there),
        }
    }

    pub(super) fn tell_registering(&self, exchange: &Exchange<'_, '_>, told: &Told) {
        let fact = Fact::Registering {
            protocol: Protocol::Sip,
            transport: exchange.incoming.transport,
        };
        self.tell(exchange, told, fact);
    }

    /// Why the phone lost its service before, or leaves.
    pub(super) fn tell_reason(
        &self,
        exchange: &Exchange<'_, '_>,
        told: &Told,
        reason: &Reason<'_>,
    ) {
        let (Some(code), Some(text)) = (reason.alarm(), reason.text()) else {
            return;
        };
        let fact = Fact::Alarm {
            code: code.try_into().ok(),
            text: printable(text),
        };
        self.tell(exchange, told, fact);
    }

    pub(super) fn tell_refused(&self, exchange: &Exchange<'_, '_>, told: &Told, no: No) {
        let (refusal, wait_s, detail) = match no {
            No::Malformed(defect) => (Refusal::Malformed, None, Some(defect.to_string())),
            No::Refused(refusal) | No::Silence(refusal) => {
                (refusal, None, self.detail(told, refusal))
            }
            No::Later(refusal, wait) => {
                let wait_s = super::refuse::whole_seconds(wait);
                (refusal, u32::try_from(wait_s).ok(), None)
            }
            // Parts of every registration.
            No::Challenge | No::Stale(_) | No::TooBrief => return,
        };
        let fact = Fact::Refused {
            protocol: Protocol::Sip,
            refusal,
            wait_s,
            detail: detail.map(|it| printable(&it)),
        };
        self.tell(exchange, told, fact);
    }

    fn detail(&self, told: &Told, refusal: Refusal) -> Option<String> {
        let known = || self.desk.directory.device(told.device.as_ref()?);
        match refusal {
            Refusal::LineMismatch => Some(format!("it asks for line {}", told.line)),
            Refusal::WrongModel => Some(format!(
                "it says it is of type {}, and is a {} in the inventory",
                told.type_id?,
                known()?.model
            )),
            _ => None,
        }
    }

    pub(super) fn tell_refreshed(&self, exchange: &Exchange<'_, '_>, device: DeviceName) {
        let source = exchange.incoming.source;
        self.desk.tell_refreshed(exchange.wall, device, source);
    }

    fn tell(&self, exchange: &Exchange<'_, '_>, told: &Told, fact: Fact) {
        if told.is_believed {
            let source = exchange.incoming.source;
            self.desk.tell(exchange.wall, told.device, source, fact);
        }
    }
}
