//! What the journal is told of registrations, and what it is not.
//!
//! | seen | told |
//! |---|---|
//! | a phone asks to be registered | `Registering`; a challenge is a part of that |
//! | it is refused, or told to wait | `Refused` |
//! | [`Change`] of the table | `Registered`, `Left`: by the table itself, whoever changes it |
//! | a keepalive or a refresh | a sign of life, which is no entry |
//! | an alarm of the phone | `Alarm`, `TrustLists` |
//!
//! A datagram may come from anybody. What it says of a device is told only if it is certain that it
//! comes from where it says, as its nonce or its connection shows, or if it comes from where the
//! device was last heard of: so nobody elsewhere can fill or falsify the timeline of a phone. What is
//! not told is counted all the same.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use super::front::Stage;
use super::table::Change;
use super::{Desk, Registration};
use crate::inventory::DeviceName;
use crate::journal::{Event, Fact, Happening, Journal, unix_ms};

/// A phone behind this host that was heard of from one address within this time is not believed to
/// have another.
const MOVES_AFTER: Duration = Duration::from_secs(120);

impl Desk {
    pub(super) fn tell(
        &self,
        at: SystemTime,
        device: Option<DeviceName>,
        source: SocketAddr,
        fact: Fact,
    ) {
        let what = Happening::Fact(fact);
        self.journal.tell(&Event {
            at,
            device,
            source,
            what,
        });
    }

    pub(super) fn tell_refreshed(&self, at: SystemTime, device: DeviceName, source: SocketAddr) {
        self.journal.tell(&Event {
            at,
            device: Some(device),
            source,
            what: Happening::Refreshed,
        });
    }

    /// Whether a device was last heard of from this address.
    pub(super) fn is_heard_from(&self, device: &DeviceName, source: IpAddr) -> bool {
        let source = source.to_canonical();
        let is_there = |at: SocketAddr| at.ip().to_canonical() == source;
        let registered = self.table.get(device);
        registered.is_some_and(|it| is_there(it.source))
            || self.journal.with(device, |phone| is_there(phone.source)) == Some(true)
    }
}

/// A change of the table; none if it is one of lines alone, or of time.
pub(super) fn change(change: &Change, at: SystemTime) -> Option<Event> {
    let (registration, fact) = match change {
        Change::New(now) => (now, registered(now)),
        Change::Moved { before, now } if has_begun_anew(before, now) => (now, registered(now)),
        Change::Moved { .. } => return None,
        Change::Left { was, why } => (was, Fact::Left(*why)),
    };
    Some(Event {
        at,
        device: Some(registration.device),
        source: registration.source,
        what: Happening::Fact(fact),
    })
}

fn registered(now: &Registration) -> Fact {
    Fact::Registered {
        protocol: now.protocol,
        transport: now.transport,
        load: now.load.as_deref().map(Box::from),
    }
}

fn has_begun_anew(before: &Registration, now: &Registration) -> bool {
    before.since != now.since
        || before.protocol != now.protocol
        || before.transport != now.transport
        || before.source != now.source
        || before.connection != now.connection
        || before.load != now.load
}

/// A packet of a phone or to one, behind this host. The name in a datagram is not believed if the
/// phone was heard of from elsewhere a moment ago.
pub(super) fn seen(
    journal: &Journal,
    (device, phone): (Option<DeviceName>, SocketAddr),
    stage: Stage,
    is_datagram: bool,
    at: SystemTime,
) {
    let is_elsewhere = |device: &DeviceName| {
        let since = unix_ms(at).saturating_sub(MOVES_AFTER.as_millis() as u64);
        let is_other = |it: &crate::journal::Phone| {
            it.source.ip().to_canonical() != phone.ip().to_canonical() && it.heard_ms > since
        };
        journal.with(device, is_other) == Some(true)
    };
    if is_datagram && device.as_ref().is_some_and(is_elsewhere) {
        return;
    }
    journal.tell(&Event {
        at,
        device,
        source: phone,
        what: Happening::Fact(Fact::Seen(stage)),
    });
}

/// What can be shown of a text that came over the network, and no more of it than an entry has room
/// for.
pub(super) fn printable(text: &str) -> Box<str> {
    const MAX_CHARS: usize = 120;
    let clean = text.chars().filter(|it| !it.is_control());
    clean.take(MAX_CHARS).collect::<String>().into()
}
