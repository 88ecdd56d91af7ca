//! From RegisterAck to the departure.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rand::RngExt;

use super::gate::{Admitted, Application, connection_of};
use super::profile::Profile;
use super::{Flow, Session, State, Turn};
use crate::inventory::{DeviceName, Protocol};
use crate::register::sccp::counters::Ending;
use crate::register::sccp::registrar::Moment;
use crate::register::sccp::settings::{LOST_AFTER, Settings, seconds};
use crate::register::sccp::wire::{Dialect, Outgoing, RegisterAck, Reset};
use crate::register::{ConnectionId, Departure, Edit, Order, Refusal, Registration, Transport};

/// The least part of the keepalive interval that a phone is granted (chan-sccp).
const SHORTEST_KEEPALIVE: f64 = 0.75;

/// How many keepalives the table is told ahead.
const TABLE_KEEPALIVES: u32 = 3;

/// How long a departure counts as what an order has led to.
const ORDER_LASTS: Duration = Duration::from_secs(60);

/// The oldest version whose phones know how to apply a configuration; others restart.
const APPLY_CONFIG_SINCE: u8 = 17;

/// A phone that is registered over this connection.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) device: DeviceName,
    pub(super) dialect: Dialect,
    pub(super) load: Option<Arc<str>>,
    /// It is of the SPA series, whose registrations end differently.
    pub(super) is_spcp: bool,
    /// Without a sign of life for so long it has left.
    lost_after: Duration,
    heard: Instant,
    /// When the journal was told last that it is alive.
    pub(super) told: Instant,
    /// Until when it has to tell its codecs.
    capabilities_by: Option<Instant>,
    ordered: Option<(Departure, Instant)>,
    is_complete: bool,
    /// Kept as long as the phone asks for its parts.
    pub(super) profile: Option<Box<Profile>>,
}

impl Registered {
    pub(super) fn heard(&mut self, turn: &Turn<'_>) {
        self.heard = turn.now.instant;
    }

    pub(super) fn told_capabilities(&mut self) {
        self.capabilities_by = None;
    }

    /// The registration is complete: what was looked up for it is not needed any more.
    pub(super) fn complete(&mut self, turn: &Turn<'_>) {
        if !std::mem::replace(&mut self.is_complete, true) {
            turn.registrar.counters.completed();
        }
        self.profile = None;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) fn order(&mut self, order: Order, turn: &mut Turn<'_>) {
        self.ordered = Some((order.departure(), turn.now.instant));
        let understood = match order {
            Order::ApplyConfig if self.dialect.version.number() < APPLY_CONFIG_SINCE => {
                Order::Restart
            }
            order => order,
        };
        turn.send(&Reset(understood), self.dialect);
    }

    /// The reason it leaves for, if it leaves now because it was told to.
    pub(super) fn ordered(&self, now: Instant) -> Option<Departure> {
        let (departure, at) = self.ordered?;
        (now.saturating_duration_since(at) < ORDER_LASTS).then_some(departure)
    }

    fn lost_at(&self) -> Instant {
        self.heard + self.lost_after
    }

    pub(super) fn deadline(&self) -> Instant {
        let capabilities = self.capabilities_by.unwrap_or(self.lost_at());
        capabilities.min(self.lost_at())
    }

    /// What its deadline was for.
    pub(super) fn overdue(&self, now: Instant) -> Ending {
        match self.capabilities_by {
            Some(by) if by <= now && self.lost_at() > now => Ending::CapabilitiesTimeout,
            _ => Ending::KeepaliveTimeout,
        }
    }
}

/// A random interval, so that phones that registered together do not stay together.
fn grant(keepalive_s: u32) -> u32 {
    let shortest = (f64::from(keepalive_s) * SHORTEST_KEEPALIVE).ceil() as u32;
    rand::rng().random_range(shortest.min(keepalive_s)..=keepalive_s)
}

/// When the table may forget a phone that nothing is heard of: never before its session does.
fn expires(settings: &Settings, now: Moment) -> SystemTime {
    let ahead = seconds(settings.keepalive_s) * TABLE_KEEPALIVES;
    now.steady + ahead.max(settings.lost_after())
}

impl Session {
    /// Writes a phone that may register into the table and tells it so.
    pub(super) fn register(
        &mut self,
        application: &Application,
        admitted: Admitted,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        let (registrar, now) = (turn.registrar, turn.now);
        let settings = &registrar.settings.take();
        let was_registered = matches!(self.state, State::Registered(_));
        let keepalive_s = grant(settings.keepalive_s);
        let registration = Registration {
            device: application.device,
            protocol: Protocol::Sccp,
            transport: Transport::Tcp,
            source: self.peer,
            connection: Some(self.connection),
            type_id: Some(application.type_id),
            load: application.load.clone(),
            version: application.dialect.version.number(),
            since: now.steady,
            expires: expires(settings, now),
            bindings: Vec::new(),
        };
        let gate = self.gate(turn);
        let put = registrar.desk.table.try_edit(&application.device, |there| {
            // Somebody may have been quicker since it was looked at.
            if there.is_some_and(|there| gate.is_duplicate(there)) {
                return (Err(Refusal::Duplicate), Edit::Keep);
            }
            let before = there.and_then(|it| connection_of(it));
            (Ok(before), Edit::Put(registration))
        });
        let before = put??;
        if let Some(before) = before.filter(|it| *it != self.connection) {
            registrar.connections.supersede(before);
        }
        registrar.counters.registered(!was_registered);
        let is_refresh = before == Some(self.connection);
        tracing::debug!(
            device = %application.device,
            peer = %self.peer,
            load = application.load.as_deref(),
            "registered over SCCP"
        );
        let applicant = gate.applicant(application, is_refresh, now);
        registrar.desk.storm.served(&applicant, now.instant);
        self.token = None;

        let dialect = application.dialect;
        let ack = RegisterAck {
            keepalive_s,
            secondary_keepalive_s: settings.secondary_keepalive_s,
            date_template: &admitted.settings.phone.date_template,
        };
        turn.send(&ack, dialect);
        turn.send(&Outgoing::CapabilitiesReq, dialect);
        let lost_after = seconds(keepalive_s).mul_f64(LOST_AFTER);
        let profile = Profile::new(
            admitted.device,
            admitted.settings,
            &admitted.snapshot,
            dialect,
        );
        self.state = State::Registered(Box::new(Registered {
            device: application.device,
            dialect,
            load: application.load.clone(),
            is_spcp: self.is_spcp,
            lost_after: lost_after + seconds(settings.keepalive_grace_s),
            heard: now.instant,
            told: now.instant,
            capabilities_by: Some(now.instant + seconds(settings.capabilities_timeout_s)),
            ordered: None,
            is_complete: false,
            profile: Some(Box::new(profile)),
        }));
        Ok(())
    }

    /// A keepalive of a registered phone: the table is told, and the inventory asked whether the
    /// phone is still in it.
    pub(super) fn keepalive(&mut self, turn: &mut Turn<'_>) -> Flow {
        let State::Registered(registered) = &mut self.state else {
            return Flow::Open;
        };
        let (desk, now) = (&turn.registrar.desk, turn.now);
        let device = desk.directory.device(&registered.device);
        if device.is_none_or(|it| it.protocol != Protocol::Sccp) {
            registered.order(Order::Reset, turn);
            return self.end(Ending::Removed, turn);
        }
        let expires = expires(&turn.registrar.settings.get(), now);
        let own = Some(self.connection);
        if desk.table.touch(&registered.device, own, expires) {
            self.tell_alive(turn);
            return Flow::Open;
        }
        // The phone begins anew, and is in the table again: else nobody could reach it.
        match desk.table.get(&registered.device) {
            Some(_) => self.end(Ending::Superseded, turn),
            None => self.end(Ending::KeepaliveTimeout, turn),
        }
    }

    pub(super) fn throttled(&mut self, turn: &mut Turn<'_>) -> Flow {
        if let State::Registered(registered) = &self.state {
            turn.send(&Reset(Order::Restart), registered.dialect);
        }
        self.end(Ending::Throttled, turn)
    }

    /// The connection ends, whoever ends it; the phone leaves if one is registered.
    pub(in super::super) fn end(&mut self, ending: Ending, turn: &mut Turn<'_>) -> Flow {
        if let State::Registered(registered) = &self.state {
            let ordered = registered.ordered(turn.now.instant);
            let departure = match ending {
                Ending::Peer => ordered.unwrap_or(Departure::Connectivity),
                Ending::KeepaliveTimeout => Departure::KeepaliveTimeout,
                Ending::CapabilitiesTimeout => Departure::CapabilitiesTimeout,
                Ending::Superseded => Departure::Duplicate,
                Ending::Throttled => Departure::Throttled,
                Ending::Removed => Departure::ConfigurationMismatch,
                Ending::SlowReader => Departure::NoResponse,
                Ending::BadFrame | Ending::SlowMessage => Departure::SequenceError,
                Ending::Refused | Ending::NoRegister => Departure::SequenceError,
            };
            self.leave(departure, turn);
        }
        Flow::Close(ending)
    }

    /// The phone is not registered any more; nothing if none was.
    pub(super) fn leave(&mut self, why: Departure, turn: &mut Turn<'_>) {
        let registrar = turn.registrar;
        let until = turn.now.instant + seconds(registrar.settings.get().register_timeout_s);
        let State::Registered(registered) =
            std::mem::replace(&mut self.state, State::New { until })
        else {
            return;
        };
        let (device, peer) = (&registered.device, self.peer);
        tracing::debug!(%device, %peer, reason = why.as_str(), "left over SCCP");
        remove(registrar, device, self.connection, why);
        registrar.counters.left(why);
    }
}

/// Another connection may have the device by now.
fn remove(registrar: &super::Registrar, device: &DeviceName, own: ConnectionId, why: Departure) {
    registrar.desk.table.edit(device, |there| match there {
        Some(there) if connection_of(there) == Some(own) => ((), Edit::Remove(why)),
        _ => ((), Edit::Keep),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_spread_over_a_quarter() {
        let granted: std::collections::BTreeSet<_> = (0..1000).map(|_| grant(30)).collect();
        assert_eq!(granted.first(), Some(&23));
        assert_eq!(granted.last(), Some(&30));
    }
}
