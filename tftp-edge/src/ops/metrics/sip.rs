//! What SIP's server has taken in, sent and refused.

use super::family::{Bounds, Family};
use crate::ops::sources::Reading;
use crate::register::Transport;
use crate::register::sip::message::{Defect, Method};
use crate::register::sip::{Bad, CLASSES, End, Event, Snapshot};

/// A REGISTER: 16 µs to 1 s.
const REGISTER: Bounds = Bounds {
    exponents: 4..=20,
    units_per_second: 1e6,
};

/// Hundreds of a status code, in their order.
const CODES: [&str; CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let sip = &reading.register.sip;
    let mut families = messages(sip);
    families.extend(outcomes(sip));
    families.extend(connections(sip));
    families.extend(memory(sip));
    families
}

fn messages(sip: &Snapshot) -> Vec<Family> {
    let traffic = &sip.traffic;
    let mut requests = Family::counter(
        "sip_requests_total",
        "Requests of SIP that came in, repeats included.",
    );
    let mut bad = Family::counter(
        "sip_bad_messages_total",
        "What came over SIP and was not looked at as a message, by reason.",
    );
    for transport in Transport::ALL {
        let over = ("transport", transport.as_str());
        for method in Method::ALL {
            let count = traffic.requests[transport as usize][method as usize];
            requests.add(&[("method", method.as_str()), over], count as f64);
        }
        for what in Bad::ALL {
            let count = traffic.bad[transport as usize][what as usize];
            bad.add(&[over, ("reason", what.as_str())], count as f64);
        }
    }
    let mut responses = Family::counter(
        "sip_responses_total",
        "Answers to requests of SIP, by the hundreds of their status.",
    );
    let mut sent = Family::counter(
        "sip_sent_requests_total",
        "Requests of SIP to phones, each counted once.",
    );
    for method in Method::ALL {
        let of = ("method", method.as_str());
        for (at, code) in CODES.into_iter().enumerate() {
            let count = traffic.responses[method as usize][at];
            responses.add(&[("code", code), of], count as f64);
        }
        sent.add(&[of], traffic.sent[method as usize] as f64);
    }
    let mut answers = Family::counter(
        "sip_received_responses_total",
        "Answers of phones to requests of SIP, by the hundreds of their status.",
    );
    for (at, code) in CODES.into_iter().enumerate() {
        answers.add(&[("code", code)], traffic.answers[at] as f64);
    }
    let mut registers = Family::histogram(
        "sip_register_duration_seconds",
        "Time from the arrival of a REGISTER to its 200, with credentials and without.",
    );
    for (at, auth) in ["no", "yes"].into_iter().enumerate() {
        let sum = Some(traffic.register_us_sum[at]);
        registers.add_log2(&[("auth", auth)], &REGISTER, &traffic.register_us[at], sum);
    }
    let counter = |name, help, value: u64| Family::counter(name, help).with(&[], value as f64);
    vec![
        requests,
        responses,
        registers,
        bad,
        sent,
        answers,
        counter(
            "sip_retransmissions_total",
            "Times a request of SIP to a phone was sent again.",
            traffic.resent,
        ),
        counter(
            "sip_unanswered_total",
            "Requests of SIP to phones that were never answered.",
            traffic.unanswered,
        ),
        counter(
            "sip_keepalives_total",
            "Empty messages of SIP that keep a connection or a NAT open.",
            traffic.keepalives,
        ),
        counter(
            "sip_send_errors_total",
            "Messages of SIP that the system did not take, or for which there was no way.",
            traffic.send_errors,
        ),
    ]
}

/// By the registrar's own account.
fn outcomes(sip: &Snapshot) -> Vec<Family> {
    let mut events = Family::counter(
        "sip_events_total",
        "What became of messages of SIP, other than refusals.",
    );
    for event in Event::ALL {
        events.add(&[("event", event.as_str())], sip.counts.event(event) as f64);
    }
    let mut defects = Family::counter(
        "sip_defects_total",
        "What is wrong with messages of SIP that were looked at.",
    );
    for defect in Defect::ALL {
        let count = sip.counts.defect(defect);
        defects.add(&[("defect", defect.as_str())], count as f64);
    }
    vec![events, defects]
}

fn connections(sip: &Snapshot) -> Vec<Family> {
    let mut open = Family::gauge("sip_connections", "Connections of SIP that are open.");
    for transport in Transport::ALL.into_iter().filter(|it| it.has_connections()) {
        let count = sip.traffic.connections[transport as usize];
        open.add(&[("transport", transport.as_str())], count as f64);
    }
    let mut ended = Family::counter(
        "sip_connections_ended_total",
        "Connections of SIP that ended, or did not come about, by reason.",
    );
    for end in End::ALL {
        let count = sip.traffic.ends[end as usize];
        ended.add(&[("reason", end.as_str())], count as f64);
    }
    let limit = Family::gauge(
        "sip_connections_limit",
        "Most connections of SIP there may be, those over TLS included.",
    );
    let limit = limit.with(&[], sip.connections_limit as f64);
    vec![open, limit, ended]
}

fn memory(sip: &Snapshot) -> Vec<Family> {
    let gauge = |name, help, value: u64| Family::gauge(name, help).with(&[], value as f64);
    vec![
        gauge(
            "sip_buffered_bytes",
            "Half messages of SIP, and answers that phones have not taken yet.",
            sip.buffered_bytes,
        ),
        gauge(
            "sip_buffered_limit_bytes",
            "Most memory for those.",
            sip.buffered_bytes_limit,
        ),
        gauge(
            "sip_transactions",
            "Requests of SIP to phones that are not answered yet.",
            sip.transactions,
        ),
        gauge(
            "sip_transactions_limit",
            "Most of those there may be.",
            sip.transactions_limit,
        ),
    ]
}
