//! The phone between its transport, its one transaction at a time, and its refreshes.

mod answers;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::credentials::Credentials;
use super::message::{Message, Start, Stream};
use super::orders::{self, Known, Obey};
use super::request::{Firmware, Head, Writer};
use super::transaction::{Due, Transaction};
use crate::phones::PhoneSpec;
use crate::phones::registration::{
    Account, Backoff, Boot, Ending, Event, Fault, Habits, Setback, SipAccount, Step, Transport,
};

/// After a refusal that says no time.
const AFTER_DENIAL: Duration = Duration::from_secs(60);

/// How long the end of a registration waits for its answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Reasons of a restart, as alarms number them.
mod last {
    pub const CLOSED: u8 = 14;
    pub const NO_ANSWER: u8 = 28;
}

/// What a transaction is for; lines by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Token,
    Register(usize),
    Refresh(usize),
    Unregister(usize),
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Off,
    /// Until `due`; then it connects, or asks again over what is still open.
    Waiting {
        is_open: bool,
    },
    Opening,
    Registering,
    Registered,
    Leaving(Option<Boot>),
}

/// One line's registration.
#[derive(Debug)]
struct Binding {
    call_id: String,
    cseq: u32,
    refresh_at: Option<Instant>,
}

pub(in crate::phones::registration) struct Phone<'site> {
    spec: &'site PhoneSpec,
    account: Arc<Account>,
    firmware: Firmware,
    habits: Habits,
    last: u8,
    stage: Stage,
    stream: Stream,
    steps: VecDeque<Step>,
    /// Of [`Stage::Waiting`], and of a farewell.
    due: Option<Instant>,
    transaction: Option<(Purpose, Transaction)>,
    /// The alarm that goes before the first REGISTER.
    alarm: Option<String>,
    bindings: Vec<Binding>,
    backoff: Backoff,
    local: Option<SocketAddr>,
    credentials: Credentials,
    /// It was registered and lost its server without a word.
    lost_server: bool,
}

impl<'site> Phone<'site> {
    pub(in crate::phones::registration) fn new(
        spec: &'site PhoneSpec,
        account: &Arc<Account>,
        habits: Habits,
        last: u8,
    ) -> Self {
        Self {
            spec,
            account: Arc::clone(account),
            firmware: Firmware::of(spec.family),
            habits,
            last,
            stage: Stage::Off,
            stream: Stream::default(),
            steps: VecDeque::new(),
            due: None,
            transaction: None,
            alarm: None,
            bindings: Vec::new(),
            backoff: Backoff::default(),
            local: None,
            credentials: Credentials::default(),
            lost_server: false,
        }
    }

    fn sip(&self) -> &SipAccount {
        match &*self.account {
            Account::Sip(account) => account,
            Account::Sccp(_) => unreachable!("a SIP phone is made of a SIP account"),
        }
    }

    pub(in crate::phones::registration) fn step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    pub(in crate::phones::registration) fn deadline(&self) -> Option<Instant> {
        let transaction = self.transaction.as_ref().map(|(_, it)| it.deadline());
        let refresh = match (self.stage == Stage::Registered, transaction) {
            (true, None) => self.next_refresh().map(|(_, at)| at),
            _ => None,
        };
        [self.due, transaction, refresh].into_iter().flatten().min()
    }

    fn next_refresh(&self) -> Option<(usize, Instant)> {
        let times = self.bindings.iter().enumerate();
        let times = times.filter_map(|(line, it)| Some((line, it.refresh_at?)));
        times.min_by_key(|&(_, at)| at)
    }

    pub(in crate::phones::registration) fn is_registered(&self) -> bool {
        self.stage == Stage::Registered
    }

    pub(in crate::phones::registration) fn doing(&self) -> &'static str {
        match (&self.stage, &self.transaction) {
            (Stage::Off, _) => "is off",
            (Stage::Waiting { .. }, _) => "waits to try again",
            (Stage::Opening, _) => "connects",
            (Stage::Registering, Some((Purpose::Token, _))) => "waits for a token",
            (Stage::Registering, _) => "waits for an answer to REGISTER",
            (Stage::Registered, _) => "is registered",
            (Stage::Leaving(_), _) => "waits for an answer to the end of its registration",
        }
    }

    pub(in crate::phones::registration) fn start(&mut self, _now: Instant) {
        let (transport, server) = (self.sip().transport, self.sip().server);
        self.stage = Stage::Opening;
        self.due = None;
        self.stream = Stream::default();
        if transport == Transport::Tcp {
            self.tell(Event::Knocked);
        }
        self.steps.push_back(Step::Open(transport, server));
    }

    pub(in crate::phones::registration) fn on_open(&mut self, now: Instant, local: SocketAddr) {
        self.local = Some(local);
        self.ask(now);
    }

    /// Begins a registration from its beginning.
    fn ask(&mut self, now: Instant) {
        let Some(writer) = self.writer() else { return };
        self.stage = Stage::Registering;
        self.credentials.begin();
        let lines = if self.firmware.is_bulk {
            1
        } else {
            self.sip().lines.len()
        };
        // Asked to come again, it goes on with the call it began.
        let is_again = self.bindings.len() == lines;
        if !is_again {
            let binding = || Binding {
                call_id: writer.call_id(),
                cseq: 100,
                refresh_at: None,
            };
            self.bindings = (0..lines).map(|_| binding()).collect();
        }
        if self.firmware.is_bulk && !is_again {
            let branch = branch();
            let call_id = writer.call_id();
            let head = self.head(0, &call_id, 1000, &branch, None);
            let alarm = writer.alarm(&head);
            self.alarm = Some(branch);
            self.steps.push_back(Step::Send(alarm));
        }
        self.tell(Event::Asked);
        match self.firmware.is_bulk && self.lost_server {
            true => self.request(now, Purpose::Token),
            false => self.request(now, Purpose::Register(0)),
        }
    }

    fn writer(&self) -> Option<Writer<'site>> {
        Some(Writer {
            device: &self.spec.device,
            family: self.spec.family,
            local: self.local?,
            server: self.sip().server,
            transport: self.sip().transport,
        })
    }

    fn head<'h>(
        &'h self,
        line: usize,
        call_id: &'h str,
        cseq: u32,
        branch: &'h str,
        authorization: Option<&'h str>,
    ) -> Head<'h> {
        Head {
            user: &self.sip().lines[line].name,
            call_id,
            cseq,
            branch,
            authorization,
        }
    }

    /// Sends a request for `purpose`.
    fn request(&mut self, now: Instant, purpose: Purpose) {
        let Some(writer) = self.writer() else { return };
        let branch = branch();
        let (bytes, cseq) = match purpose {
            Purpose::Token => {
                let call_id = writer.call_id();
                let head = self.head(0, &call_id, 1000, &branch, None);
                (writer.token(&head), 1000)
            }
            Purpose::Register(line) | Purpose::Refresh(line) | Purpose::Unregister(line) => {
                self.bindings[line].cseq += 1;
                let (call_id, cseq) = (
                    self.bindings[line].call_id.clone(),
                    self.bindings[line].cseq,
                );
                let Account::Sip(account) = &*self.account else {
                    return;
                };
                let own = &account.lines[line];
                let authorization = self.credentials.header(own, &writer.uri());
                let head = self.head(line, &call_id, cseq, &branch, authorization.as_deref());
                let expires_s = match purpose {
                    Purpose::Unregister(_) => 0,
                    _ => self.sip().timers.register_expires_s,
                };
                let first = matches!(purpose, Purpose::Register(_)).then_some(self.last);
                (writer.register(&head, expires_s, first), cseq)
            }
        };
        let (transport, timers) = (self.sip().transport, self.sip().timers);
        let transaction = Transaction::new((branch, cseq), &bytes, transport, timers, now);
        self.transaction = Some((purpose, transaction));
        self.steps.push_back(Step::Send(bytes));
    }

    pub(in crate::phones::registration) fn on_bytes(
        &mut self,
        now: Instant,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        if self.sip().transport == Transport::Udp {
            return self.on_message(now, &Message::datagram(bytes)?);
        }
        self.stream.push(bytes);
        while let Some(message) = self.stream.next()? {
            self.on_message(now, &message)?;
        }
        Ok(())
    }

    fn on_message(&mut self, now: Instant, message: &Message) -> Result<(), Fault> {
        match &message.start {
            Start::Request { .. } => self.on_request(now, message),
            Start::Response { status, reason } => self.on_response(now, *status, reason, message),
        }
    }

    fn on_request(&mut self, now: Instant, request: &Message) -> Result<(), Fault> {
        let Account::Sip(account) = &*self.account else {
            return Ok(());
        };
        let call_id = self.bindings.first().map_or("", |it| &it.call_id);
        let known = Known {
            call_id,
            stamp: &account.stamp,
        };
        let (answer, obey) = orders::read(request, known)?;
        self.steps.push_back(Step::Send(answer));
        if let (Obey::Boot(boot), Stage::Registered) = (obey, &self.stage) {
            self.tell(Event::Ordered);
            self.unregister(now, Some(boot));
        }
        Ok(())
    }

    pub(in crate::phones::registration) fn on_end(&mut self, now: Instant, ending: Ending) {
        if self.sip().transport == Transport::Udp {
            // ICMP: timer E goes on.
            return;
        }
        self.local = None;
        self.transaction = None;
        let why = match (&mut self.stage, ending) {
            (Stage::Off, _) => return,
            (Stage::Leaving(_), _) => return self.left(),
            // It knows when to come again; that it has to connect again is no news.
            (Stage::Waiting { is_open }, _) => {
                *is_open = false;
                return;
            }
            (Stage::Opening, Ending::Refused) => Setback::Refused,
            (Stage::Opening, Ending::TimedOut) => Setback::ConnectTimeout,
            _ => Setback::Closed,
        };
        self.lose(now, why, last::CLOSED);
    }

    /// What it had with the server is gone.
    fn lose(&mut self, now: Instant, why: Setback, last: u8) {
        self.lost_server |= self.is_registered();
        self.last = last;
        self.bindings.clear();
        let wait = self.backoff.after_failure();
        let is_open = self.local.is_some();
        self.set_back(now, why, wait, None, is_open);
    }

    pub(in crate::phones::registration) fn on_deadline(
        &mut self,
        now: Instant,
    ) -> Result<(), Fault> {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            match self.stage {
                Stage::Waiting { is_open: true } => self.ask(now),
                Stage::Waiting { is_open: false } => self.start(now),
                Stage::Leaving(_) => self.left(),
                _ => {}
            }
            return Ok(());
        }
        if let Some((_, transaction)) = &mut self.transaction {
            match transaction.due(now) {
                Due::Nothing => {}
                Due::Resend => {
                    let bytes = transaction.bytes().to_vec();
                    self.steps.push_back(Step::Send(bytes));
                    self.tell(Event::Resent);
                }
                Due::GivenUp => {
                    self.transaction = None;
                    if let Stage::Leaving(_) = self.stage {
                        self.left();
                    } else {
                        self.lose(now, Setback::NoAnswer, last::NO_ANSWER);
                    }
                }
            }
            return Ok(());
        }
        if self.stage == Stage::Registered
            && let Some((line, at)) = self.next_refresh()
            && at <= now
        {
            self.bindings[line].refresh_at = None;
            self.request(now, Purpose::Refresh(line));
        }
        Ok(())
    }

    fn set_back(
        &mut self,
        now: Instant,
        why: Setback,
        wait: Duration,
        text: Option<Box<str>>,
        is_open: bool,
    ) {
        self.tell(Event::SetBack(why, wait, text));
        self.stage = Stage::Waiting { is_open };
        self.transaction = None;
        self.due = Some(now + wait);
    }

    pub(in crate::phones::registration) fn leave(&mut self, now: Instant) {
        match self.stage {
            Stage::Registered => self.unregister(now, None),
            Stage::Leaving(_) => {}
            _ => {
                self.stage = Stage::Leaving(None);
                self.left();
            }
        }
    }

    fn unregister(&mut self, now: Instant, boot: Option<Boot>) {
        self.stage = Stage::Leaving(boot);
        self.due = Some(now + FAREWELL);
        self.credentials.begin();
        self.next_farewell(now, 0);
    }

    fn next_farewell(&mut self, now: Instant, line: usize) {
        match line < self.bindings.len() {
            true => self.request(now, Purpose::Unregister(line)),
            false => self.left(),
        }
    }

    fn left(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Off);
        self.transaction = None;
        self.due = None;
        self.bindings.clear();
        self.steps.push_back(match stage {
            Stage::Leaving(Some(boot)) => Step::Boot(boot),
            _ => Step::Close,
        });
        if stage == Stage::Leaving(None) {
            self.tell(Event::Left);
        }
    }

    fn tell(&mut self, event: Event) {
        self.steps.push_back(Step::Tell(event));
    }
}

/// With the cookie of RFC 3261 8.1.1.7.
fn branch() -> String {
    format!("z9hG4bK{:016x}", rand::random::<u64>())
}
