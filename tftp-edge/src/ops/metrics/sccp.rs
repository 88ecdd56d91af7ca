//! What SCCP's server has taken in, sent and refused.

use super::family::Family;
use crate::ops::sources::Reading;
use crate::register::sccp::wire::{AlarmCode, Incoming, Outgoing};
use crate::register::sccp::{BadFrame, Ending, Rejection};

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let sccp = &reading.register.sccp;
    let mut messages = Family::counter("sccp_messages_total", "Messages of SCCP by their type.");
    let (received, sent) = (("direction", "in"), ("direction", "out"));
    for message in Incoming::ALL {
        let count = sccp.received(message) as f64;
        messages.add(&[received, ("type", message.as_str())], count);
    }
    messages.add(&[received, ("type", "unknown")], sccp.unknown as f64);
    for message in Outgoing::ALL {
        let count = sccp.sent(message) as f64;
        messages.add(&[sent, ("type", message.as_str())], count);
    }
    let mut bad = Family::counter(
        "sccp_bad_frames_total",
        "What came over SCCP and is no message of a phone, by what is wrong with it.",
    );
    for what in BadFrame::ALL {
        bad.add(&[("reason", what.as_str())], sccp.bad(what) as f64);
    }
    let mut ended = Family::counter(
        "sccp_sessions_ended_total",
        "Connections of SCCP that ended, by reason.",
    );
    for why in Ending::ALL {
        ended.add(&[("reason", why.as_str())], sccp.ended(why) as f64);
    }
    let mut rejected = Family::counter(
        "sccp_connections_rejected_total",
        "Connections of SCCP that were closed as soon as they were there, by reason.",
    );
    for why in Rejection::ALL {
        rejected.add(&[("reason", why.as_str())], sccp.rejected(why) as f64);
    }
    let mut alarms = Family::counter(
        "sccp_alarms_total",
        "Why phones say that they were out of service.",
    );
    for code in AlarmCode::ALL {
        alarms.add(&[("code", code.as_str())], sccp.alarms(code) as f64);
    }
    let gauge = |name, help, value: u64| Family::gauge(name, help).with(&[], value as f64);
    vec![
        messages,
        bad,
        ended,
        rejected,
        alarms,
        gauge(
            "sccp_sessions",
            "Connections of SCCP that are open.",
            sccp.connections,
        ),
        gauge(
            "sccp_sessions_limit",
            "Most connections of SCCP there may be.",
            sccp.connections_limit,
        ),
        Family::counter(
            "sccp_sessions_total",
            "Connections of SCCP that were taken.",
        )
        .with(&[], sccp.accepted as f64),
    ]
}
