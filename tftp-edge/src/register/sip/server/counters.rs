//! What the transports of SIP have taken in, sent and refused.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::register::Transport;
use crate::register::sip::Counts;
use crate::register::sip::message::Method;
use crate::register::sip::stream::Broken;
use crate::stats::{LOG2_BUCKETS, log2_bucket};

macro_rules! reasons {
    ($(#[doc = $about:literal])+ $kind:ident { $($(#[doc = $doc:literal])+ $name:ident => $label:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl $kind {
            pub const COUNT: usize = [$(Self::$name),+].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

reasons! {
    /// Why something that came in was not looked at as a message.
    Bad {
        /// The source is not on the allow list.
        Denied => "denied",
        /// The source is shut out for a while.
        Banned => "banned",
        /// It does not begin as a message does.
        NotSip => "not_sip",
        /// A head longer than anybody's.
        HeadTooLong => "head_too_long",
        /// A body longer than anybody's.
        BodyTooLong => "body_too_long",
        /// A datagram longer than is taken.
        DatagramTooLong => "datagram_too_long",
        /// A message on a stream that does not say how long it is.
        NoLength => "no_length",
        /// A `Content-Length` that cannot be read.
        Length => "length",
        /// Sent to a broadcast or multicast address.
        Broadcast => "broadcast",
        /// An answer to nothing that was asked, or to what was answered already.
        StrayAnswer => "stray_answer",
    }
}

reasons! {
    /// How a connection came to its end, or did not come about.
    End {
        /// The phone closed it.
        Closed => "closed",
        /// It broke, or nobody acknowledged what was sent over it.
        Lost => "lost",
        /// The source is not on the allow list: closed without a word.
        Denied => "denied",
        /// The source is shut out for a while: closed without a word.
        Banned => "banned",
        /// The bound on connections was reached.
        Connections => "connections",
        /// The bound on one source's connections was reached.
        SourceConnections => "source_connections",
        /// No TLS session came about.
        Handshake => "handshake",
        /// What came over it cannot be read any further; [`Bad`] says why.
        Unreadable => "unreadable",
        /// A message was begun and not ended in time.
        SlowMessage => "slow_message",
        /// The phone took nothing of what was sent to it, and too much or too long.
        SlowReader => "slow_reader",
        /// Nothing came for too long.
        Idle => "idle",
        /// The bound on the memory of all connections was reached.
        Memory => "memory",
    }
}

impl From<Broken> for Bad {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NotSip => Self::NotSip,
            Broken::HeadTooLong => Self::HeadTooLong,
            Broken::BodyTooLong => Self::BodyTooLong,
            Broken::NoLength => Self::NoLength,
            Broken::Length => Self::Length,
        }
    }
}

/// Hundreds of a status code: 1 to 6.
pub const CLASSES: usize = 6;

const METHODS: usize = Method::ALL.len();

type Cells<const N: usize> = [AtomicU64; N];

const fn zeros<const N: usize>() -> Cells<N> {
    [const { AtomicU64::new(0) }; N]
}

/// Live counters.
#[derive(Debug)]
pub(super) struct Counters {
    requests: [Cells<METHODS>; Transport::ALL.len()],
    responses: [Cells<CLASSES>; METHODS],
    sent: Cells<METHODS>,
    answers: Cells<CLASSES>,
    /// Without and with credentials.
    register_us: [Cells<LOG2_BUCKETS>; 2],
    register_us_sum: Cells<2>,
    bad: [Cells<{ Bad::COUNT }>; Transport::ALL.len()],
    ends: Cells<{ End::COUNT }>,
    pub(super) connections: [AtomicU64; Transport::ALL.len()],
    pub(super) keepalives: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) send_errors: AtomicU64,
    pub(super) receive_overflows: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            requests: [const { zeros() }; _],
            responses: [const { zeros() }; _],
            sent: zeros(),
            answers: zeros(),
            register_us: [const { zeros() }; _],
            register_us_sum: zeros(),
            bad: [const { zeros() }; _],
            ends: zeros(),
            connections: zeros(),
            keepalives: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            send_errors: AtomicU64::new(0),
            receive_overflows: AtomicU64::new(0),
        }
    }
}

fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

fn class(status: u16) -> usize {
    usize::from(status / 100).clamp(1, CLASSES) - 1
}

fn read<const N: usize>(cells: &Cells<N>) -> [u64; N] {
    std::array::from_fn(|at| cells[at].load(Ordering::Relaxed))
}

impl Counters {
    pub(super) fn request(&self, transport: Transport, method: Method) {
        count(&self.requests[transport as usize][method as usize]);
    }

    /// An answer of ours to a request of this kind.
    pub(super) fn response(&self, method: Method, status: u16) {
        count(&self.responses[method as usize][class(status)]);
    }

    /// A request of our own.
    pub(super) fn sent(&self, method: Method) {
        count(&self.sent[method as usize]);
    }

    /// An answer to a request of our own.
    pub(super) fn answer(&self, status: u16) {
        count(&self.answers[class(status)]);
    }

    /// A REGISTER was answered with 200, so long after it had arrived.
    pub(super) fn registered(&self, has_credentials: bool, after: Duration) {
        let (at, us) = (usize::from(has_credentials), after.as_micros());
        let us = u64::try_from(us).unwrap_or(u64::MAX);
        count(&self.register_us[at][log2_bucket(us)]);
        self.register_us_sum[at].fetch_add(us, Ordering::Relaxed);
    }

    pub(super) fn bad(&self, transport: Transport, bad: Bad) {
        count(&self.bad[transport as usize][bad as usize]);
    }

    pub(super) fn end(&self, end: End) {
        count(&self.ends[end as usize]);
    }

    pub(super) fn traffic(&self) -> Traffic {
        let one = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Traffic {
            requests: std::array::from_fn(|at| read(&self.requests[at])),
            responses: std::array::from_fn(|at| read(&self.responses[at])),
            sent: read(&self.sent),
            answers: read(&self.answers),
            register_us: std::array::from_fn(|at| read(&self.register_us[at])),
            register_us_sum: read(&self.register_us_sum),
            bad: std::array::from_fn(|at| read(&self.bad[at])),
            ends: read(&self.ends),
            connections: read(&self.connections),
            keepalives: one(&self.keepalives),
            resent: one(&self.resent),
            unanswered: one(&self.unanswered),
            send_errors: one(&self.send_errors),
            receive_overflows: one(&self.receive_overflows),
        }
    }
}

/// What was counted, at one moment. Tables are by [`Transport::ALL`], [`Method::ALL`],
/// [`Bad::ALL`], [`End::ALL`] and the hundreds of a status code.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Requests that came in.
    pub requests: [[u64; METHODS]; Transport::ALL.len()],
    /// Our answers to them.
    pub responses: [[u64; CLASSES]; METHODS],
    /// Requests of our own, each counted once.
    pub sent: [u64; METHODS],
    /// The answers to those.
    pub answers: [u64; CLASSES],
    /// Microseconds from the arrival of a REGISTER to its 200, without and with credentials.
    pub register_us: [[u64; LOG2_BUCKETS]; 2],
    pub register_us_sum: [u64; 2],
    pub bad: [[u64; Bad::COUNT]; Transport::ALL.len()],
    pub ends: [u64; End::COUNT],
    /// Open now.
    pub connections: [u64; Transport::ALL.len()],
    /// Pings over streams, and empty datagrams.
    pub keepalives: u64,
    /// Sends that repeated a request of ours.
    pub resent: u64,
    pub unanswered: u64,
    /// Messages the system did not take, or for which there was no way.
    pub send_errors: u64,
    /// Datagrams the kernel dropped because a receive buffer was full.
    pub receive_overflows: u64,
}

/// What the server looks like at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Addresses messages are taken on, by [`Transport::ALL`].
    pub bound: [Vec<SocketAddr>; Transport::ALL.len()],
    /// Threads and listeners that have ended although the server runs.
    pub ended: usize,
    pub traffic: Traffic,
    /// What became of the messages, by the registrar's own account.
    pub counts: Counts,
    pub connections_limit: u64,
    /// Half messages and answers that are not taken, in bytes.
    pub buffered_bytes: u64,
    pub buffered_bytes_limit: u64,
    /// Requests of our own under way.
    pub transactions: u64,
    pub transactions_limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_in_the_order_of_the_numbers() {
        for (number, bad) in Bad::ALL.into_iter().enumerate() {
            assert_eq!(bad as usize, number);
        }
        for (number, end) in End::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, number);
        }
        for (number, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport as usize, number);
        }
        let (mut bad, mut ends) = (Bad::ALL.map(Bad::as_str), End::ALL.map(End::as_str));
        bad.sort_unstable();
        ends.sort_unstable();
        assert!(bad.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(ends.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn registers_are_timed_apart_by_their_credentials() {
        let counters = Counters::default();
        counters.registered(false, Duration::from_micros(100));
        counters.registered(true, Duration::from_micros(300));
        counters.registered(true, Duration::from_micros(500));
        let traffic = counters.traffic();
        assert_eq!(traffic.register_us.map(|it| it.iter().sum::<u64>()), [1, 2]);
        assert_eq!(traffic.register_us_sum, [100, 800]);
    }

    #[test]
    fn responses_are_counted_by_their_hundreds() {
        let counters = Counters::default();
        for status in [100, 200, 299, 401, 699] {
            counters.response(Method::Register, status);
        }
        let counted = counters.traffic().responses[Method::Register as usize];
        assert_eq!(counted, [1, 2, 0, 1, 0, 1]);
    }
}
