//! What a REGISTER changes in the table.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::SystemTime;

use super::bindings::{Granted, Kind, Outcome, Update, departure};
use super::contacts::Wish;
use super::grant::{Grant, grant};
use super::register::Done;
use super::{Known, No, Who};
use crate::inventory::{DeviceName, Protocol};
use crate::register::sip::cisco::{Reason, Wishes};
use crate::register::sip::core::{Core, Exchange};
use crate::register::sip::counts::Event;
use crate::register::sip::message::{Defect, ascii};
use crate::register::{Binding, Edit, Refusal, Registration};

/// What a REGISTER asks for, and how far it may be believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a, 'm> {
    pub(super) wish: &'a Wish<'m>,
    pub(super) wishes: &'a Wishes,
    pub(super) reason: Option<&'a Reason<'m>>,
    pub(super) is_proved: bool,
}

impl Core {
    /// Changes the table.
    pub(super) fn update(
        &self,
        exchange: &Exchange<'_, '_>,
        who: &Who,
        known: &Known,
        asked: &Asked<'_, '_>,
    ) -> Result<Done, No> {
        let Asked {
            wish,
            wishes,
            reason,
            is_proved,
        } = *asked;
        let device = &known.device.name;
        let line = known.line().number.as_str();
        let own = |registration: &Registration| -> Vec<Binding> {
            let live = |it: &&Binding| *it.line == *line && it.expires > exchange.steady;
            registration.bindings.iter().filter(live).cloned().collect()
        };
        if *wish == Wish::Fetch {
            self.tally.event(Event::Fetched);
            let registered = self.desk.table.get(device);
            let bindings = registered.map(|it| own(&it)).unwrap_or_default();
            return Ok(Done::Listed {
                bindings,
                is_change: false,
                is_new: false,
            });
        }
        let request = exchange.request;
        let call_id = ascii(request.call_id).ok_or(Defect::CallId)?;
        let granted = self.granted(exchange, wish)?;
        let update = Update {
            line,
            contacts: &granted,
            removes_all: *wish == Wish::RemoveAll,
            call_id,
            cseq: request.cseq.number,
            all_lines: wishes.all_lines,
            replaces: who.says_name,
            is_primary: known.at == 0 || wishes.all_lines,
            steady: exchange.steady,
        };
        let ordered = || self.orders.follow(device, exchange.now);
        let outcome = self.desk.table.try_edit(device, |before| {
            if let Some(before) = before
                && !is_proved
                && is_elsewhere(before, exchange)
            {
                return (Err(Refusal::Duplicate), Edit::Keep);
            }
            let sip = before.filter(|it| it.protocol == Protocol::Sip);
            let outcome = update.apply(sip.map(Arc::as_ref));
            let edit = match &outcome {
                Ok(Outcome::Stands {
                    bindings, since, ..
                }) => {
                    let news = News {
                        device: *device,
                        type_id: who.type_id,
                        load: reason.and_then(Reason::load),
                    };
                    Edit::Put(news.registration(exchange, sip, bindings.clone(), *since))
                }
                Ok(Outcome::Ends) => Edit::Remove(departure(reason.is_some(), ordered())),
                Ok(Outcome::Nothing) | Err(_) => Edit::Keep,
            };
            (outcome, edit)
        });
        match outcome.and_then(|it| it).map_err(No::Refused)? {
            Outcome::Stands { bindings, kind, .. } => {
                if kind == Kind::New {
                    let alarm = reason.and_then(Reason::alarm);
                    let peer = exchange.incoming.source;
                    tracing::debug!(%device, %peer, line, alarm, "registered over SIP");
                }
                if kind == Kind::Refreshed {
                    self.tell_refreshed(exchange, *device);
                }
                self.tally.event(match kind {
                    Kind::New => Event::Registered,
                    Kind::Added => Event::Added,
                    Kind::Refreshed => Event::Refreshed,
                    Kind::Removed => Event::Unregistered,
                });
                let incoming = exchange.incoming;
                self.registrar
                    .ways
                    .note(device, incoming.local, incoming.connection);
                let listed = bindings.into_iter().filter(|it| *it.line == *line);
                Ok(Done::Listed {
                    bindings: listed.collect(),
                    is_change: true,
                    is_new: kind == Kind::New && update.is_primary && who.says_name,
                })
            }
            Outcome::Ends | Outcome::Nothing => {
                self.tally.event(Event::Unregistered);
                self.registrar.ways.forget(device);
                Ok(Done::Listed {
                    bindings: Vec::new(),
                    is_change: true,
                    is_new: false,
                })
            }
        }
    }

    /// For how long each contact may stay. The cut is the same for a REGISTER that is repeated.
    fn granted<'m>(
        &self,
        exchange: &Exchange<'_, 'm>,
        wish: &Wish<'m>,
    ) -> Result<Vec<Granted<'m>>, No> {
        let request = exchange.request;
        let seed = self.hasher.hash_one((request.call_id, request.cseq.number));
        let granted = wish.contacts().iter().map(|contact| {
            let seconds = match grant(
                &self.registrar.settings.get().expires,
                contact.expires,
                seed,
            ) {
                Grant::Remove => 0,
                Grant::Seconds(seconds) => seconds,
                Grant::TooBrief => return Err(No::TooBrief),
            };
            Ok(Granted {
                uri: contact.uri,
                written: ascii(contact.address.uri).ok_or(Defect::Contact)?,
                seconds,
            })
        });
        granted.collect()
    }
}

/// Whether a device is registered from another address, and alive there: over a connection that
/// still is, or by datagrams that nothing tells the end of.
fn is_elsewhere(registered: &Registration, exchange: &Exchange<'_, '_>) -> bool {
    let here = exchange.incoming.source.ip().to_canonical();
    let is_alive = !registered.transport.has_connections() || registered.connection.is_some();
    registered.source.ip().to_canonical() != here
        && is_alive
        && registered.expires > exchange.steady
}

/// What a REGISTER says of a device.
struct News<'n> {
    device: DeviceName,
    type_id: Option<u32>,
    load: Option<&'n str>,
}

impl News<'_> {
    /// The next version. What a refresh does not repeat stays.
    fn registration(
        &self,
        exchange: &Exchange<'_, '_>,
        before: Option<&Arc<Registration>>,
        bindings: Vec<Binding>,
        since: SystemTime,
    ) -> Registration {
        let incoming = exchange.incoming;
        let before_load = before.and_then(|it| it.load.as_ref());
        let load = match (self.load, before_load) {
            (Some(load), Some(before)) if **before == *load => Some(Arc::clone(before)),
            (Some(load), _) => Some(load.into()),
            (None, before) => before.cloned(),
        };
        let ends = bindings.iter().map(|it| it.expires);
        Registration {
            device: self.device,
            protocol: Protocol::Sip,
            transport: incoming.transport,
            source: incoming.source,
            connection: incoming.connection,
            type_id: self.type_id.or_else(|| before?.type_id),
            load,
            version: 0,
            since,
            expires: ends.max().unwrap_or(exchange.steady),
            bindings,
        }
    }
}
