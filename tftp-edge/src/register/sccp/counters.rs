//! What was counted, with closed labels.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::wire::{AlarmCode, BadBody, Incoming, Outgoing, Unframed};
use crate::register::{Departure, Refusal};

macro_rules! labelled {
    ($(#[doc = $docs:literal])+ $type:ident { $($(#[doc = $doc:literal])+ $name:ident => $label:literal,)+ }) => {
        $(#[doc = $docs])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[doc = $doc])+ $name,)+
        }

        impl $type {
            pub const COUNT: usize = [$(Self::$name),+].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

labelled! {
    /// What is wrong with a message.
    BadFrame {
        /// Its length has no room for the message id: the connection ends.
        LengthTooShort => "length_too_short",
        /// Its length is more than any message of a phone has: the connection ends.
        LengthTooLong => "length_too_long",
        /// Its header has a version that cannot be: the connection ends.
        HeaderVersion => "header_version",
        /// Only servers send it: the connection ends.
        WrongDirection => "wrong_direction",
        /// Its body ends before its last field: it is left out; a Register is refused.
        ShortBody => "short_body",
        /// A count in it is more than it has room for: it is left out.
        Count => "count",
    }
}

impl From<Unframed> for BadFrame {
    fn from(unframed: Unframed) -> Self {
        match unframed {
            Unframed::TooShort(_) => Self::LengthTooShort,
            Unframed::TooLong(_) => Self::LengthTooLong,
            Unframed::HeaderVersion(_) => Self::HeaderVersion,
        }
    }
}

impl From<BadBody> for BadFrame {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::Short => Self::ShortBody,
            BadBody::Count => Self::Count,
        }
    }
}

labelled! {
    /// Why a connection ended.
    Ending {
        /// The phone closed it, or it was lost.
        Peer => "peer",
        /// The phone was refused.
        Refused => "refused",
        /// What came is not SCCP.
        BadFrame => "bad_frame",
        /// No phone registered in time.
        NoRegister => "no_register",
        /// A message was begun and not ended in time.
        SlowMessage => "slow_message",
        /// The phone took nothing of what was sent to it.
        SlowReader => "slow_reader",
        /// No keepalive came in time.
        KeepaliveTimeout => "keepalive_timeout",
        /// The phone never told its codecs.
        CapabilitiesTimeout => "capabilities_timeout",
        /// The same phone registered over another connection.
        Superseded => "superseded",
        /// It sent more than any phone does.
        Throttled => "throttled",
        /// The phone is not in the inventory any more, or is another kind of device there.
        Removed => "removed",
    }
}

labelled! {
    /// Why a connection was closed as soon as it was there.
    Rejection {
        /// The source is not on the allow list.
        Denied => "denied",
        /// The source is shut out for a while.
        Banned => "banned",
        /// The bound on connections was reached.
        Connections => "connections",
        /// The bound on one source's connections was reached.
        SourceConnections => "source_connections",
    }
}

type Cells<const N: usize> = [AtomicU64; N];

const fn cells<const N: usize>() -> Cells<N> {
    [const { AtomicU64::new(0) }; N]
}

/// Live counters.
#[derive(Debug)]
pub(super) struct Counters {
    received: Cells<{ Incoming::COUNT }>,
    unknown: AtomicU64,
    sent: Cells<{ Outgoing::COUNT }>,
    refused: Cells<{ Refusal::ALL.len() }>,
    left: Cells<{ Departure::ALL.len() }>,
    bad: Cells<{ BadFrame::COUNT }>,
    ended: Cells<{ Ending::COUNT }>,
    rejected: Cells<{ Rejection::COUNT }>,
    alarms: Cells<{ AlarmCode::COUNT }>,
    accepted: AtomicU64,
    connections: AtomicU64,
    registered: AtomicU64,
    registrations: AtomicU64,
    completed: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            received: cells(),
            unknown: AtomicU64::new(0),
            sent: cells(),
            refused: cells(),
            left: cells(),
            bad: cells(),
            ended: cells(),
            rejected: cells(),
            alarms: cells(),
            accepted: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            registered: AtomicU64::new(0),
            registrations: AtomicU64::new(0),
            completed: AtomicU64::new(0),
        }
    }
}

fn add(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn received(&self, message: Incoming) {
        add(&self.received[message as usize]);
    }

    /// A message with an id that nothing is made of.
    pub(super) fn unknown(&self) {
        add(&self.unknown);
    }

    pub(super) fn sent(&self, message: Outgoing) {
        add(&self.sent[message as usize]);
    }

    pub(super) fn refused(&self, why: Refusal) {
        add(&self.refused[why as usize]);
    }

    /// A phone that was registered over its connection is not any more.
    pub(super) fn left(&self, why: Departure) {
        self.registered.fetch_sub(1, Ordering::Relaxed);
        add(&self.left[why as usize]);
    }

    pub(super) fn bad(&self, what: BadFrame) {
        add(&self.bad[what as usize]);
    }

    pub(super) fn alarm(&self, code: AlarmCode) {
        add(&self.alarms[code as usize]);
    }

    pub(super) fn rejected(&self, why: Rejection) {
        add(&self.rejected[why as usize]);
    }

    pub(super) fn opened(&self) {
        add(&self.accepted);
        add(&self.connections);
    }

    /// A connection ended; without a reason if the server stops.
    pub(super) fn closed(&self, why: Option<Ending>) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(why) = why {
            add(&self.ended[why as usize]);
        }
    }

    /// A phone was told that it is registered; `is_new` over its connection.
    pub(super) fn registered(&self, is_new: bool) {
        add(&self.registrations);
        if is_new {
            add(&self.registered);
        }
    }

    pub(super) fn completed(&self) {
        add(&self.completed);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let one = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Snapshot {
            received: self.received.each_ref().map(one),
            unknown: one(&self.unknown),
            sent: self.sent.each_ref().map(one),
            refused: self.refused.each_ref().map(one),
            left: self.left.each_ref().map(one),
            bad: self.bad.each_ref().map(one),
            ended: self.ended.each_ref().map(one),
            rejected: self.rejected.each_ref().map(one),
            alarms: self.alarms.each_ref().map(one),
            accepted: one(&self.accepted),
            connections: one(&self.connections),
            registered: one(&self.registered),
            registrations: one(&self.registrations),
            completed: one(&self.completed),
            ..Snapshot::default()
        }
    }
}

/// What the server looks like at one moment; counts since it started but where it says "now".
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Addresses connections are taken on.
    pub bound: Vec<SocketAddr>,
    /// Addresses on which nobody takes connections any more, although the server runs.
    pub listeners_ended: usize,
    /// In the order of [`Incoming::ALL`].
    pub received: [u64; Incoming::COUNT],
    /// Messages with an id that nothing is made of.
    pub unknown: u64,
    /// In the order of [`Outgoing::ALL`].
    pub sent: [u64; Outgoing::COUNT],
    /// In the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
    /// In the order of [`Departure::ALL`].
    pub left: [u64; Departure::ALL.len()],
    pub bad: [u64; BadFrame::COUNT],
    pub ended: [u64; Ending::COUNT],
    pub rejected: [u64; Rejection::COUNT],
    pub alarms: [u64; AlarmCode::COUNT],
    /// Connections that were taken.
    pub accepted: u64,
    /// Connections now.
    pub connections: u64,
    pub connections_limit: u64,
    /// Phones registered now.
    pub registered: u64,
    /// RegisterAcks.
    pub registrations: u64,
    /// Registrations whose last step was taken: the clock was told.
    pub completed: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            bound: Vec::new(),
            listeners_ended: 0,
            received: [0; Incoming::COUNT],
            unknown: 0,
            sent: [0; Outgoing::COUNT],
            refused: [0; Refusal::ALL.len()],
            left: [0; Departure::ALL.len()],
            bad: [0; BadFrame::COUNT],
            ended: [0; Ending::COUNT],
            rejected: [0; Rejection::COUNT],
            alarms: [0; AlarmCode::COUNT],
            accepted: 0,
            connections: 0,
            connections_limit: 0,
            registered: 0,
            registrations: 0,
            completed: 0,
        }
    }
}

impl Snapshot {
    pub fn received(&self, message: Incoming) -> u64 {
        self.received[message as usize]
    }

    pub fn sent(&self, message: Outgoing) -> u64 {
        self.sent[message as usize]
    }

    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize]
    }

    pub fn left(&self, why: Departure) -> u64 {
        self.left[why as usize]
    }

    pub fn bad(&self, what: BadFrame) -> u64 {
        self.bad[what as usize]
    }

    pub fn ended(&self, why: Ending) -> u64 {
        self.ended[why as usize]
    }

    pub fn rejected(&self, why: Rejection) -> u64 {
        self.rejected[why as usize]
    }

    pub fn alarms(&self, code: AlarmCode) -> u64 {
        self.alarms[code as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_in_the_order_of_the_numbers() {
        fn check(labels: &[&str]) {
            let mut sorted = labels.to_vec();
            sorted.sort_unstable();
            assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]));
        }
        check(&BadFrame::ALL.map(BadFrame::as_str));
        check(&Ending::ALL.map(Ending::as_str));
        check(&Rejection::ALL.map(Rejection::as_str));
        for (place, it) in Departure::ALL.into_iter().enumerate() {
            assert_eq!(it as usize, place);
        }
    }
}
