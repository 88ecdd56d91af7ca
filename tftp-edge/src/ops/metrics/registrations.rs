//! Who is registered: the table, and orders to phones. Who may come in is told in
//! `admission`, what is kept of it in `store`, and what each protocol has taken in, in a
//! file of its name.

use super::family::Family;
use crate::inventory::Protocol;
use crate::ops::sources::Reading;
use crate::register::{Departure, Event, Mode, Order, Refusal};

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let mut families = table(reading);
    families.extend(orders(reading));
    families
}

fn table(reading: &Reading) -> Vec<Family> {
    let table = &reading.register.table;
    let mut registered = Family::gauge("registrations", "Phones that are registered.");
    let mut expected = Family::gauge(
        "registrations_expected",
        "Devices of the inventory: the phones that ought to be registered. None unless phones register \
         here.",
    );
    let mut events = Family::counter(
        "registration_events_total",
        "Registrations taken: of phones that were not registered, again for longer, or again from \
         elsewhere or otherwise.",
    );
    let mut departures = Family::counter(
        "registration_departures_total",
        "Registrations that ended, by reason, as CISCO-CCM-MIB names them.",
    );
    let mut refused = Family::counter(
        "registration_refusals_total",
        "Phones that were not registered, by reason.",
    );
    for protocol in Protocol::ALL {
        let label = ("protocol", protocol.as_str());
        let devices = match (reading.register.mode, protocol) {
            (Mode::Off | Mode::Front, _) => 0,
            (Mode::Registrar, Protocol::Sip) => reading.devices.sip,
            (Mode::Registrar, Protocol::Sccp) => reading.devices.sccp,
        };
        registered.add(&[label], table.registered(protocol) as f64);
        expected.add(&[label], devices as f64);
        for event in Event::ALL {
            let count = table.events(protocol, event);
            events.add(&[label, ("event", event.as_str())], count as f64);
        }
        for why in Refusal::ALL {
            let count = match protocol {
                Protocol::Sip => reading.register.sip.counts.refusal(why),
                Protocol::Sccp => reading.register.sccp.refused(why),
            };
            refused.add(&[label, ("reason", why.as_str())], count as f64);
        }
        for why in Departure::ALL {
            let count = table.departures(protocol, why);
            departures.add(&[label, ("reason", why.as_str())], count as f64);
        }
    }
    vec![
        registered,
        refused,
        expected,
        Family::gauge(
            "registrations_limit",
            "Most phones that may be registered at one time.",
        )
        .with(&[], table.limit as f64),
        Family::gauge(
            "registrations_restored",
            "Phones restored after a restart that have not come back over their connection yet.",
        )
        .with(&[], table.expected as f64),
        Family::gauge(
            "registration_sources",
            "Addresses that phones are registered from.",
        )
        .with(&[], table.sources as f64),
        Family::counter(
            "registrations_without_room_total",
            "Registrations refused because the table was full.",
        )
        .with(&[], table.refused as f64),
        events,
        departures,
    ]
}

fn orders(reading: &Reading) -> Vec<Family> {
    let orders = &reading.register.orders;
    let mut sent = Family::counter("orders_sent_total", "Phones told to do something.");
    for order in Order::ALL {
        let count = orders.sent[order as usize];
        sent.add(&[("order", order.as_str())], count as f64);
    }
    let unsent = Family::counter(
        "orders_unsent_total",
        "Phones not told after all: not needed any more, not to be reached, or too many waited.",
    );
    vec![
        Family::gauge("orders_waiting", "Phones that wait for their order.")
            .with(&[], orders.waiting as f64),
        Family::gauge("orders_waiting_limit", "Most phones that may wait.")
            .with(&[], orders.limit as f64),
        sent,
        unsent
            .with(&[("reason", "superseded")], orders.superseded as f64)
            .with(&[("reason", "unreachable")], orders.failed as f64)
            .with(&[("reason", "no_room")], orders.no_room as f64),
    ]
}
