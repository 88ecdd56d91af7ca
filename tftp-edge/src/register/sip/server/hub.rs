//! What all threads and connections share: the core, and every way a message can leave.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::counters::{Bad, Counters, End};
use super::ports::Ports;
use super::registry::Registry;
use super::room::Room;
use crate::live::Live;
use crate::register::bans::Offence;
use crate::register::sip::message::Method;
use crate::register::sip::stream::FirstLine;
use crate::register::sip::transaction::{Answer, Due, Heard, Transactions};
use crate::register::sip::{Core, Incoming, Outgoing, Settings};
use crate::register::{Desk, NotSent, Transport};

/// Requests of our own under way at one time: every phone of a large edge is told something, and
/// does not answer.
const TRANSACTIONS: usize = 65_536;

/// See the module.
pub(super) struct Hub {
    pub(super) settings: Live<Settings>,
    pub(super) core: Core,
    pub(super) desk: Arc<Desk>,
    pub(super) counters: Counters,
    pub(super) registry: Registry,
    pub(super) room: Arc<Room>,
    pub(super) ports: Ports,
    pub(super) transactions: Mutex<Transactions>,
    /// A transaction has begun: there may be an earlier deadline.
    pub(super) begun: Notify,
}

/// What a message is, and what was to be counted of it.
enum Kind {
    Request(Method),
    /// The answer to a request of ours, for the core to know of.
    Answer,
    /// Nothing for the core.
    Nothing,
}

impl Hub {
    pub(super) fn new(settings: Live<Settings>, desk: Arc<Desk>) -> Self {
        let memory = settings.get().tcp.memory_limit.0;
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        Self {
            core: Core::new(settings.clone(), Arc::clone(&desk)),
            settings,
            desk,
            counters: Counters::default(),
            registry: Registry::default(),
            room: Arc::new(Room::new(memory)),
            ports: Ports::default(),
            transactions: Mutex::new(Transactions::new(TRANSACTIONS)),
            begun: Notify::new(),
        }
    }

    /// Why nothing is taken from a source, if that is so.
    pub(super) fn shut_out(&self, source: IpAddr, now: Instant) -> Option<Bad> {
        if !self.desk.access.get().allows(source) {
            Some(Bad::Denied)
        } else if self.desk.bans.is_banned(source, now) {
            Some(Bad::Banned)
        } else {
            None
        }
    }

    /// Takes in one message. Each one that is to be sent for it goes to `send`.
    pub(super) fn receive(
        &self,
        incoming: &Incoming<'_>,
        now: Instant,
        out: &mut Vec<Outgoing>,
        mut send: impl FnMut(&Outgoing),
    ) {
        let method = match self.kind(incoming, now) {
            Kind::Request(method) => Some(method),
            Kind::Answer => None,
            Kind::Nothing => return,
        };
        self.core.receive(incoming, now, out);
        for outgoing in out.drain(..) {
            match (&outgoing.branch, method) {
                (Some(branch), _) if self.begin(branch, &outgoing, now).is_err() => continue,
                (Some(_), _) | (None, None) => {}
                (None, Some(method)) => {
                    if let Some(FirstLine::Status(status)) = FirstLine::of(&outgoing.bytes) {
                        self.counters.response(method, status);
                        if method == Method::Register && status / 100 == 2 {
                            let after = incoming.arrived.elapsed();
                            let has_credentials = has_credentials(incoming.bytes);
                            self.counters.registered(has_credentials, after);
                        }
                    }
                }
            }
            send(&outgoing);
        }
    }

    fn kind(&self, incoming: &Incoming<'_>, now: Instant) -> Kind {
        match FirstLine::of(incoming.bytes) {
            Some(FirstLine::Request(method)) => {
                self.counters.request(incoming.transport, method);
                Kind::Request(method)
            }
            Some(FirstLine::Status(status)) => {
                self.counters.answer(status);
                self.answered(incoming)
            }
            None => {
                self.garbage(incoming, Bad::NotSip, now);
                Kind::Nothing
            }
        }
    }

    fn answered(&self, incoming: &Incoming<'_>) -> Kind {
        let answer = Answer::of(incoming.bytes);
        let heard = answer.map(|answer| self.transactions.lock().heard(&answer));
        match heard {
            Some(Heard::Final(_)) => Kind::Answer,
            Some(Heard::Provisional) => Kind::Nothing,
            Some(Heard::Stray) | None => {
                self.counters.bad(incoming.transport, Bad::StrayAnswer);
                Kind::Nothing
            }
        }
    }

    /// What came in is no message.
    pub(super) fn garbage(&self, incoming: &Incoming<'_>, bad: Bad, now: Instant) {
        self.counters.bad(incoming.transport, bad);
        let has_proved = incoming.transport.has_connections();
        let source = incoming.source.ip();
        let bans = &self.desk.bans;
        bans.offended(source, Offence::Garbage, has_proved, now);
    }

    /// A request of our own goes out.
    fn begin(&self, branch: &str, request: &Outgoing, now: Instant) -> Result<(), NotSent> {
        let begun = self.transactions.lock().begin(branch, request, now);
        if begun.is_err() {
            self.core.unanswered(branch, now);
            return Err(NotSent::Busy);
        }
        if let Some(FirstLine::Request(method)) = FirstLine::of(&request.bytes) {
            self.counters.sent(method);
        }
        self.begun.notify_one();
        Ok(())
    }

    /// Sends a request of our own, of which the core hears when it is not answered.
    pub(super) fn request(&self, request: &Outgoing, now: Instant) -> Result<(), NotSent> {
        if let Some(branch) = &request.branch {
            self.begin(branch, request, now)?;
        }
        let sent = self.send(request);
        if sent.is_err()
            && let Some(branch) = &request.branch
        {
            self.transactions.lock().forget(branch);
            self.core.unanswered(branch, now);
        }
        sent
    }

    /// Sends a message by the way it says. Never waits.
    pub(super) fn send(&self, outgoing: &Outgoing) -> Result<(), NotSent> {
        let sent = match outgoing.to.transport {
            Transport::Udp => self.ports.send(&outgoing.to, &outgoing.bytes),
            Transport::Tcp | Transport::Tls => {
                let id = outgoing.to.connection.ok_or(NotSent::NotConnected);
                let link = id.and_then(|id| self.registry.get(id).ok_or(NotSent::NotConnected));
                link.and_then(|link| link.push(&outgoing.bytes))
            }
        };
        if sent.is_err() {
            self.counters.send_errors.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Repeats and gives up what is due. Returns when to look again, if nothing begins before.
    pub(super) fn run_timers(&self, now: Instant) -> Option<Instant> {
        loop {
            let mut transactions = self.transactions.lock();
            let Some(due) = transactions.due(now) else {
                return transactions.deadline();
            };
            // The core may have something to send, and what is sent may fail.
            drop(transactions);
            match due {
                Due::Resend(to, bytes) => {
                    self.counters.resent.fetch_add(1, Ordering::Relaxed);
                    if self.ports.send(&to, &bytes).is_err() {
                        self.counters.send_errors.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Due::Unanswered(branch) => {
                    self.counters.unanswered.fetch_add(1, Ordering::Relaxed);
                    self.core.unanswered(&branch, now);
                }
            }
        }
    }

    /// Ends connections that are too slow or too still.
    pub(super) fn sweep(&self, now: Instant) {
        let tcp = &self.settings.get().tcp;
        let (idle, message) = (tcp.idle_timeout(), tcp.message_timeout());
        let write = tcp.write_timeout();
        self.registry.each(|link| {
            let since = link.since();
            let passed = |at: Instant| now.saturating_duration_since(at);
            if let Some(at) = since.stalled {
                // What it sends waits as well: it is judged by this alone.
                if passed(at) > write {
                    link.end(End::SlowReader);
                }
            } else if since.inside.is_some_and(|at| passed(at) > message) {
                link.end(End::SlowMessage);
            } else if passed(since.heard) > idle && !self.core.is_registered_over(link.id) {
                link.end(End::Idle);
            }
        });
    }
}

/// Whether a request has `Authorization` (RFC 3261 20.7), which has no short form.
fn has_credentials(message: &[u8]) -> bool {
    const NAME: &[u8] = b"authorization";
    let mut lines = message.split(|&byte| byte == b'\n');
    lines.any(|line| {
        line.get(..NAME.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(NAME))
    })
}

#[cfg(test)]
mod tests {
    use super::has_credentials;

    #[test]
    fn credentials_are_a_header_and_nothing_else() {
        let request = |header: &str| format!("REGISTER sip:a SIP/2.0\r\n{header}\r\n\r\n");
        assert!(has_credentials(request("AUTHORIZATION: Digest").as_bytes()));
        for other in [
            "Proxy-Authorization: Digest",
            "Contact: <sip:authorization@a>",
        ] {
            assert!(!has_credentials(request(other).as_bytes()), "{other}");
        }
    }
}
