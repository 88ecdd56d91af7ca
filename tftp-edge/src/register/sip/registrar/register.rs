//! One REGISTER from its first look to its answer.

use std::time::Duration;

use super::contacts::Wish;
use super::told::Told;
use super::update::Asked;
use super::{Known, No, Who};
use crate::inventory::{DeviceName, Protocol};
use crate::register::newcomers::{Newcomer, Offer};
use crate::register::sip::cisco::{Claims, Reason, Wishes};
use crate::register::sip::core::{Core, Exchange};
use crate::register::sip::counts::Event;
use crate::register::sip::message::{Defect, Name};
use crate::register::storm::{Applicant, Decision};
use crate::register::{Binding, Refusal};

/// A device that is being taken into the inventory is in the directory after this.
const PENDING_WAIT: Duration = Duration::from_secs(2);

/// What a REGISTER comes to.
pub(super) enum Done {
    /// 200, with these bindings.
    Listed {
        bindings: Vec<Binding>,
        /// It changed something: what the phone asks for in the body is answered.
        is_change: bool,
        /// It begins a registration, and the phone is to know.
        is_new: bool,
    },
    /// 200 to a phone that looks after its standby server.
    KeptAlive,
}

impl Core {
    /// Answers a REGISTER. None: with silence.
    pub(in crate::register::sip) fn register(
        &self,
        exchange: &Exchange<'_, '_>,
    ) -> Option<Vec<u8>> {
        let mut told = Told::default();
        match self.try_register(exchange, &mut told) {
            Ok(bytes) => Some(bytes),
            Err(no) => {
                self.tell_refused(exchange, &told, no);
                self.refuse(exchange, no)
            }
        }
    }

    pub(in crate::register::sip) fn refuse(
        &self,
        exchange: &Exchange<'_, '_>,
        no: No,
    ) -> Option<Vec<u8>> {
        let registrar = &self.registrar;
        let min_s = registrar.min_expires_s();
        no.answer(exchange, &registrar.digest, min_s, &self.tally)
    }

    fn try_register(&self, exchange: &Exchange<'_, '_>, told: &mut Told) -> Result<Vec<u8>, No> {
        let message = exchange.request.message;
        let wish = Wish::of(message)?;
        let to = exchange.request.to.uri().ok_or(Defect::To)?;
        if !to.is_sip() {
            return Err(No::Refused(Refusal::UnknownDevice));
        }
        let user = to.user_text().ok_or(Defect::To)?;
        if wish == Wish::KeepAlive {
            self.tally.event(Event::KeepAlive);
            return Ok(self.listed(exchange, &wish, &Wishes::default(), &Done::KeptAlive));
        }
        let reason = message.first(Name::Reason).map(Reason::of);
        let claims = wish.contacts().first();
        let claims = claims.map(|it| Claims::of_contact(it.address.params));
        let claims = claims.unwrap_or_default();
        let who = Who::find(&self.desk.directory, &user, &claims, reason.as_ref());
        let is_from_there = self.is_from_there(exchange)?;
        *told = self.told(exchange, &who, &user, is_from_there);
        self.offer(exchange, &who, is_from_there)?;
        // Who says no name and has no line here is asked for like any other.
        let device = who.name.or_else(|| user.parse().ok());
        let device = device.filter(|_| wish.registers());
        let applicant = device.as_ref().map(|it| self.applicant(exchange, it));
        let is_new = applicant.as_ref().is_some_and(|it| !it.is_refresh);
        if is_new {
            self.tell_registering(exchange, told);
        }
        if let Some(applicant) = &applicant {
            if is_from_there || !self.needs_digest(&who) {
                self.admit(exchange, applicant, who.known.is_ok())?;
            } else if self.desk.storm.is_late(applicant, exchange.now) {
                return Err(No::Silence(Refusal::Stale));
            }
        }
        let is_proved = self.authenticate(exchange, &who)?;
        let known = who.known.as_ref().map_err(|&why| No::Refused(why))?;
        self.check_model(known, who.type_id)?;
        // A REGISTER that is repeated says nothing new, and one that unregisters may.
        if let Some(reason) = reason.as_ref().filter(|_| is_new || !wish.registers()) {
            self.tell_reason(exchange, told, reason);
        }
        let wishes = match message.first(Name::ContentType) {
            Some(content_type) => Wishes::of(content_type, exchange.request.body),
            None => Wishes::default(),
        };
        let asked = Asked {
            wish: &wish,
            wishes: &wishes,
            reason: reason.as_ref(),
            is_proved,
        };
        let done = self.update(exchange, &who, known, &asked)?;
        if let Some(applicant) = &applicant {
            self.desk.storm.served(applicant, exchange.now);
        }
        Ok(self.listed(exchange, &wish, &wishes, &done))
    }

    /// A device that nobody knows is taken in where its site says so. A datagram has to show first
    /// that it is from that site: a number is given away for it.
    fn offer(&self, exchange: &Exchange<'_, '_>, who: &Who, is_from_there: bool) -> Result<(), No> {
        let (Some(device), Err(Refusal::UnknownDevice)) = (who.name, &who.known) else {
            return Ok(());
        };
        let source = exchange.incoming.source.ip().to_canonical();
        if !is_from_there {
            return match self.desk.newcomers.takes_in_at(source) {
                true => Err(No::Challenge),
                false => Ok(()),
            };
        }
        let newcomer = Newcomer {
            device,
            type_id: who.type_id,
            protocol: Protocol::Sip,
            source,
        };
        match self.desk.newcomers.offer(&newcomer) {
            Offer::Pending => Err(No::Later(Refusal::AutoRegistration, PENDING_WAIT)),
            // Whoever does not know the password learns nothing more than that.
            Offer::Refused(_) => Ok(()),
        }
    }

    /// A refresh has the Call-ID of what it refreshes (RFC 3261 10.2.4): a phone that has started
    /// anew has another one, and after a power cut that is all of them.
    pub(in crate::register::sip) fn applicant<'d>(
        &self,
        exchange: &Exchange<'_, '_>,
        device: &'d DeviceName,
    ) -> Applicant<'d> {
        let source = exchange.incoming.source.ip().to_canonical();
        let call_id = exchange.request.call_id;
        let registered = self.desk.table.get(device);
        Applicant {
            device,
            protocol: Protocol::Sip,
            is_refresh: registered.is_some_and(|it| {
                let mut bindings = it.bindings.iter();
                it.protocol == Protocol::Sip
                    && it.source.ip().to_canonical() == source
                    && bindings.any(|it| it.call_id.as_bytes() == call_id)
            }),
            arrived: exchange.incoming.arrived,
        }
    }

    /// Whether there is room for it now.
    pub(in crate::register::sip) fn admit(
        &self,
        exchange: &Exchange<'_, '_>,
        applicant: &Applicant<'_>,
        is_known: bool,
    ) -> Result<(), No> {
        let storm = &self.desk.storm;
        let decision = match is_known {
            true => storm.ask(applicant, exchange.now),
            // A name that nobody has must not take the place of a phone.
            false => storm.glance(applicant, exchange.now),
        };
        match decision {
            Decision::Admit => Ok(()),
            Decision::Wait(wait) => Err(No::Later(Refusal::Storm, wait)),
            Decision::Stale => Err(No::Silence(Refusal::Stale)),
        }
    }

    /// Of two models of one name one is wrong; what has no number cannot be told apart.
    fn check_model(&self, known: &Known, said: Option<u32>) -> Result<(), No> {
        let snapshot = self.desk.directory.snapshot();
        let model = snapshot
            .as_ref()
            .and_then(|it| it.models.find(&known.device.model));
        match (said, model.and_then(|it| it.type_id)) {
            (Some(said), Some(expected)) if said != expected => {
                tracing::debug!(device = %known.device.name, said, expected, "another model");
                Err(No::Refused(Refusal::WrongModel))
            }
            _ => Ok(()),
        }
    }
}
