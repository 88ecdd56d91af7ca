//! Telling a phone to restart: NOTIFY outside of any dialog, as call managers send it.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hashlink::LinkedHashMap;
use parking_lot::Mutex;

use super::cisco::{Action, service_control};
use super::core::{Core, Destination, Outgoing};
use super::counts::Event;
use super::message::{Uri, Writer};
use crate::inventory::{DeviceName, NameKind};
use crate::register::{Binding, Departure, Edit, Order, Registration, Transport};

/// Begins every branch of ours: the cookie of RFC 3261 8.1.1.7, and a mark.
const BRANCH: &str = "z9hG4bKedge-";

/// A phone that leaves within so long of an order follows it. It first ends its calls.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(300);

/// Orders remembered; the oldest go first.
const MAX_ORDERS: usize = 65_536;

/// What was ordered lately, in the order of its time.
#[derive(Debug, Default)]
pub struct Orders {
    sent: Mutex<LinkedHashMap<DeviceName, Sent>>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    order: Order,
    at: Instant,
    serial: u64,
    /// The phone's last REGISTER then: another one is a sign of life.
    heard: u64,
}

impl Orders {
    fn note(&self, device: DeviceName, sent: Sent) {
        let mut all = self.sent.lock();
        let is_over = |it: &Sent| sent.at.saturating_duration_since(it.at) > FOLLOWED_WITHIN;
        while all.len() >= MAX_ORDERS || all.front().is_some_and(|(_, it)| is_over(it)) {
            all.pop_front();
        }
        all.remove(&device);
        all.insert(device, sent);
    }

    /// Why a device leaves that was told to. It is told once.
    pub fn follow(&self, device: &DeviceName, now: Instant) -> Option<Departure> {
        let sent = self.sent.lock().remove(device)?;
        let age = now.saturating_duration_since(sent.at);
        (age <= FOLLOWED_WITHIN).then(|| sent.order.departure())
    }

    /// Whether a branch is of a request of ours.
    pub fn is_ours(branch: &[u8]) -> bool {
        branch.starts_with(BRANCH.as_bytes())
    }

    /// The order with that branch, if no other was sent to the device since.
    fn of_branch(&self, branch: &str) -> Option<(DeviceName, Sent)> {
        let (device, serial) = branch.strip_prefix(BRANCH)?.rsplit_once('-')?;
        let device = device.parse().ok()?;
        let serial = u64::from_str_radix(serial, 16).ok()?;
        let sent = *self.sent.lock().get(&device)?;
        (sent.serial == serial).then_some((device, sent))
    }
}

impl Core {
    pub(super) fn write_order(
        &self,
        to: &Registration,
        order: Order,
        towards: impl FnOnce(SocketAddr) -> Option<SocketAddr>,
        now: Instant,
    ) -> Option<Outgoing> {
        let binding = to.bindings.first()?;
        let target = target(to, binding)?;
        let local = match self.registrar.ways.local(&to.device) {
            Some(local) => local,
            None if to.transport == Transport::Udp => towards(target)?,
            None => return None,
        };
        let local = canonical(local);
        let destination = Destination {
            transport: to.transport,
            to: target,
            from: local,
            connection: to.connection,
        };
        let serial = rand::random();
        let branch = format!("{BRANCH}{}-{serial:016x}", to.device);
        let notify = Notify {
            contact: &binding.contact,
            call_id: &binding.call_id,
            transport: to.transport,
            local,
            branch: &branch,
            serial,
        };
        let bytes = match is_legacy(to) {
            true => notify.check_sync(),
            false => notify.service_control(order),
        };
        let sent = Sent {
            order,
            at: now,
            serial,
            heard: heard(to),
        };
        self.orders.note(to.device, sent);
        self.tally.event(Event::Ordered);
        Some(Outgoing {
            to: destination,
            bytes,
            branch: Some(branch.into()),
        })
    }

    /// A phone that does not answer, and gave no other sign of life since, is not there any more.
    pub(super) fn unanswered_order(&self, branch: &str) {
        self.tally.event(Event::Unanswered);
        let Some((device, sent)) = self.orders.of_branch(branch) else {
            return;
        };
        self.desk.table.edit(&device, |before| {
            let is_silent = before.is_some_and(|it| heard(it) == sent.heard);
            let edit = match is_silent {
                true => Edit::Remove(Departure::NoResponse),
                false => Edit::Keep,
            };
            ((), edit)
        });
    }
}

/// What tells the REGISTERs of a phone apart. Not when they expire: that is partly chance, and may be
/// the same again.
fn heard(from: &Registration) -> u64 {
    let mut hasher = DefaultHasher::new();
    for binding in &from.bindings {
        (&binding.call_id, binding.cseq).hash(&mut hasher);
    }
    hasher.finish()
}

/// 7940 and 7960 know only the event that all SIP phones of their time knew.
fn is_legacy(to: &Registration) -> bool {
    const TYPE_7960: u32 = 7;
    const TYPE_7940: u32 = 8;
    to.device.kind() == NameKind::Sip || matches!(to.type_id, Some(TYPE_7960 | TYPE_7940))
}

/// Over its connection; or to where its contact is, unless that is not where its packets come from:
/// then it is behind NAT, and reached there.
fn target(to: &Registration, binding: &Binding) -> Option<SocketAddr> {
    let source = canonical(to.source);
    match to.transport {
        Transport::Udp => {
            let uri = Uri::parse(binding.contact.as_bytes())?;
            let is_there = uri
                .address()
                .is_some_and(|it| it.to_canonical() == source.ip());
            Some(match is_there {
                true => SocketAddr::new(source.ip(), uri.port.unwrap_or(5060)),
                false => source,
            })
        }
        Transport::Tcp | Transport::Tls => to.connection.map(|_| source),
    }
}

pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// An address as the host of a URI.
pub(super) struct Host(pub(super) IpAddr);

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            IpAddr::V4(ip) => ip.fmt(formatter),
            IpAddr::V6(ip) => write!(formatter, "[{ip}]"),
        }
    }
}

/// One NOTIFY.
struct Notify<'n> {
    contact: &'n str,
    call_id: &'n str,
    transport: Transport,
    local: SocketAddr,
    branch: &'n str,
    serial: u64,
}

impl Notify<'_> {
    fn begin(&self, event: &str, state: &str) -> Writer {
        let Self {
            contact,
            transport,
            local,
            branch,
            serial,
            ..
        } = self;
        let (protocol, host) = (transport.as_str().to_ascii_uppercase(), Host(local.ip()));
        let mut notify = Writer::new(format_args!("NOTIFY {contact} SIP/2.0"));
        notify.header(
            "Via",
            format_args!("SIP/2.0/{protocol} {local};branch={branch};rport"),
        );
        notify.header("Max-Forwards", format_args!("70"));
        notify.header("From", format_args!("<sip:{host}>;tag={serial:016x}"));
        notify.header("To", format_args!("<{contact}>"));
        notify.header("Call-ID", format_args!("{serial:016x}@{host}"));
        notify.header("CSeq", format_args!("101 NOTIFY"));
        notify.header(
            "Contact",
            format_args!("<sip:{local};transport={transport}>"),
        );
        notify.header("Event", format_args!("{event}"));
        notify.header("Subscription-State", format_args!("{state}"));
        notify
    }

    fn service_control(&self, order: Order) -> Vec<u8> {
        let action = match order {
            Order::Reset => Action::Reset,
            Order::Restart => Action::Restart,
            Order::ApplyConfig => Action::ApplyConfig,
        };
        let body = service_control(action, self.call_id);
        self.begin("service-control", "active")
            .finish_with("text/plain", body.as_bytes())
    }

    /// The phone reads its configuration and restarts if it says so.
    fn check_sync(&self) -> Vec<u8> {
        self.begin("check-sync", "terminated").finish()
    }
}
