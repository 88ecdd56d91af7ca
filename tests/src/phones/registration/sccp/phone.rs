//! The phone between its connection and its questions.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::super::PhoneSpec;
use super::super::{
    Backoff, Boot, Buttons, Ending, Event, Fault, Habits, Setback, Step, Transport,
};
use super::Model;
use super::message::{Message, Stream, Writer, id};
use super::question::{Inquiry, Question};

/// How long the phone waits for an answer before it gives the connection up. No source says it for
/// SCCP; this is what the same maker's SIP firmware waits for its registrar.
const PATIENCE: Duration = Duration::from_secs(32);

/// RegisterReject says no time. Phones wait about so long before they try again.
pub const AFTER_REJECT: Duration = Duration::from_secs(30);

/// How long UnregisterAck is waited for.
const FAREWELL: Duration = Duration::from_secs(2);

/// Keepalives without an answer until the server counts as lost.
const UNANSWERED_MAX: u32 = 3;

/// Intervals of keepalives that servers grant, in seconds.
const KEEPALIVE_S: std::ops::RangeInclusive<u32> = 5..=3600;

/// Reasons of a restart, as alarms number them.
mod last {
    pub const CLOSED: u8 = 14;
    pub const REFUSED: u8 = 16;
    pub const KEEPALIVE: u8 = 17;
    pub const REJECTED: u8 = 24;
    pub const NO_ANSWER: u8 = 28;
}

enum Stage<'site> {
    Off,
    /// Until the deadline; then it connects, or asks again over what is still open.
    Waiting {
        is_open: bool,
    },
    Opening,
    Token,
    Register,
    /// Let in: it waits to be asked for its capabilities.
    Acknowledged(Inquiry<'site>),
    Asking(Inquiry<'site>),
    Registered {
        unanswered: u32,
    },
    Leaving(Option<Boot>),
}

pub(in super::super) struct Phone<'site> {
    spec: &'site PhoneSpec,
    model: Model,
    server: SocketAddr,
    stamp: Box<str>,
    buttons: Option<&'site Buttons>,
    habits: Habits,
    stage: Stage<'site>,
    stream: Stream,
    steps: VecDeque<Step>,
    deadline: Option<Instant>,
    backoff: Backoff,
    last: u8,
    /// It was registered and lost its server without a word: it asks for a token before it comes
    /// back, as phones that come back from a standby server do.
    lost_server: bool,
    local: Option<SocketAddr>,
    /// Of the messages after RegisterAck.
    version: u8,
    keepalive: Duration,
}

impl<'site> Phone<'site> {
    pub(in super::super) fn new(
        spec: &'site PhoneSpec,
        model: Model,
        (server, stamp): (SocketAddr, &str),
        buttons: Option<&'site Buttons>,
        habits: Habits,
        last: u8,
    ) -> Self {
        Self {
            spec,
            model,
            server,
            stamp: stamp.into(),
            buttons,
            habits,
            stage: Stage::Off,
            stream: Stream::default(),
            steps: VecDeque::new(),
            deadline: None,
            backoff: Backoff::default(),
            last,
            lost_server: false,
            local: None,
            version: 0,
            keepalive: Duration::ZERO,
        }
    }

    pub(in super::super) fn step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    pub(in super::super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(in super::super) const fn is_registered(&self) -> bool {
        matches!(self.stage, Stage::Registered { .. })
    }

    pub(in super::super) fn doing(&self) -> &'static str {
        match &self.stage {
            Stage::Off => "is off",
            Stage::Waiting { .. } => "waits to try again",
            Stage::Opening => "connects",
            Stage::Token => "waits for a token",
            Stage::Register => "waits for RegisterAck",
            Stage::Acknowledged(_) => "waits for CapabilitiesReq",
            Stage::Asking(inquiry) => inquiry.asked().map_or("asks", Question::name),
            Stage::Registered { .. } => "is registered",
            Stage::Leaving(_) => "waits for UnregisterAck",
        }
    }

    pub(in super::super) fn start(&mut self, _now: Instant) {
        self.stream = Stream::default();
        self.stage = Stage::Opening;
        // The kernel gives up by itself.
        self.deadline = None;
        self.tell(Event::Knocked);
        self.steps
            .push_back(Step::Open(Transport::Tcp, self.server));
    }

    pub(in super::super) fn on_open(&mut self, now: Instant, local: SocketAddr) {
        self.local = Some(local);
        let alarm = self.model.alarm(&self.spec.device, self.last, local);
        self.send(alarm);
        if self.model.keepalive_first {
            self.send(Writer::new(0, id::KEEP_ALIVE).end());
        }
        self.ask(now);
    }

    /// Sends what asks for a registration.
    fn ask(&mut self, now: Instant) {
        let Some(local) = self.local else { return };
        self.tell(Event::Asked);
        if self.lost_server {
            self.stage = Stage::Token;
            self.send(self.model.token(&self.spec.device, local));
        } else {
            self.register(local);
        }
        self.deadline = Some(now + PATIENCE);
    }

    fn register(&mut self, local: SocketAddr) {
        self.stage = Stage::Register;
        self.send(self.model.register(&self.spec.device, local, &self.stamp));
    }

    pub(in super::super) fn on_bytes(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Fault> {
        self.stream.push(bytes);
        while let Some(message) = self.stream.next()? {
            self.on_message(now, &message)?;
        }
        Ok(())
    }

    fn on_message(&mut self, now: Instant, message: &Message) -> Result<(), Fault> {
        match (message.id, &mut self.stage) {
            (id::REGISTER_TOKEN_ACK, Stage::Token) => {
                self.lost_server = false;
                self.deadline = Some(now + PATIENCE);
                if let Some(local) = self.local {
                    self.register(local);
                }
            }
            (id::REGISTER_TOKEN_REJECT, Stage::Token) => {
                let wait = Duration::from_secs(message.u32(0, "wait")?.into());
                self.set_back(now, Setback::TokenRejected, wait, None, true);
            }
            (id::REGISTER_ACK, Stage::Register) => self.acknowledged(now, message)?,
            (id::REGISTER_REJECT, Stage::Register) => {
                let text = String::from_utf8_lossy(message.body());
                let text = text.trim_end_matches('\0').into();
                self.last = last::REJECTED;
                self.steps.push_back(Step::Close);
                let wait = self.habits.after_reject.unwrap_or(AFTER_REJECT);
                self.set_back(now, Setback::Rejected, wait, Some(text), false);
            }
            (id::CAPABILITIES_REQ, _) => self.capabilities(now),
            (id::KEEP_ALIVE_ACK, Stage::Registered { unanswered }) if *unanswered > 0 => {
                *unanswered = 0;
                self.tell(Event::Refreshed);
            }
            (id::RESET, Stage::Registered { .. } | Stage::Acknowledged(_) | Stage::Asking(_)) => {
                let boot = match message.u32(0, "kind of reset")? {
                    1 => Boot::Hard,
                    // A phone that is to apply its configuration reads it, and finds it changed.
                    2 | 3 => Boot::Soft,
                    kind => return Err(Fault::new(format!("there is no reset {kind}"))),
                };
                self.tell(Event::Ordered);
                self.unregister(now, Some(boot));
            }
            (id::UNREGISTER_ACK, Stage::Leaving(_)) => {
                let status = message.u32(0, "status")?;
                if status != 0 {
                    return Err(Fault::new(format!("may not unregister: status {status}")));
                }
                self.left();
            }
            (_, Stage::Asking(inquiry)) => {
                let is_answered = inquiry.answer(message)?;
                if is_answered
                    || inquiry
                        .asked()
                        .is_some_and(|it| it.is_answered_by(message.id))
                {
                    self.check_header(message)?;
                }
                if is_answered {
                    self.next_question(now);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn acknowledged(&mut self, now: Instant, message: &Message) -> Result<(), Fault> {
        let keepalive_s = message.u32(0, "keepalive interval")?;
        let format = message.text(4, 7, "date format")?;
        let version = message.field(16, 4, "version and features")?[0];
        if !KEEPALIVE_S.contains(&keepalive_s) {
            return Err(Fault::new(format!("a keepalive every {keepalive_s} s")));
        }
        if !(3..=self.model.version).contains(&version) {
            let ours = self.model.version;
            return Err(Fault::new(format!(
                "version {version} for a phone that has {ours}"
            )));
        }
        if !format.contains(['D', 'M', 'Y']) {
            return Err(Fault::new(format!("{format:?} is no date format")));
        }
        if message.version != 0 {
            let header = message.version;
            return Err(Fault::new(format!(
                "RegisterAck has version {header} in its header"
            )));
        }
        self.version = version;
        self.keepalive = Duration::from_secs(keepalive_s.into());
        let asks_servers = self.model.asks_servers;
        let inquiry = Inquiry::new(&self.spec.device, version, self.buttons, asks_servers);
        self.stage = Stage::Acknowledged(inquiry);
        self.deadline = Some(now + PATIENCE);
        Ok(())
    }

    /// Before version 10 the header has none.
    fn check_header(&self, message: &Message) -> Result<(), Fault> {
        let expected = u32::from(self.header());
        match message.version == expected {
            true => Ok(()),
            false => Err(Fault::new(format!(
                "message {:#06x} has version {} in its header, expected {expected}",
                message.id, message.version
            ))),
        }
    }

    const fn header(&self) -> u8 {
        if self.version < 10 { 0 } else { self.version }
    }

    fn capabilities(&mut self, now: Instant) {
        let header = self.header();
        // G.711 µ-law and A-law, G.729 and G.729A; frames in a packet.
        let codecs = [(4, 40), (2, 40), (11, 60), (12, 60)];
        let mut writer = Writer::new(header, id::CAPABILITIES_RES).u32(codecs.len() as u32);
        for (codec, frames) in codecs {
            writer = writer.u32(codec).u32(frames).bytes(&[0; 8]);
        }
        self.send(writer.end());
        match std::mem::replace(&mut self.stage, Stage::Off) {
            Stage::Acknowledged(inquiry) => {
                match self.model.tells_headset {
                    true => self.send(Writer::new(header, id::HEADSET_STATUS).u32(2).end()),
                    // Where its media will come from: the first of the usual ports.
                    false => self.send(Writer::new(header, id::IP_PORT).u32(16_384).end()),
                }
                self.stage = Stage::Asking(inquiry);
                self.next_question(now);
            }
            stage => self.stage = stage,
        }
    }

    fn next_question(&mut self, now: Instant) {
        let header = self.header();
        let Stage::Asking(inquiry) = &mut self.stage else {
            return;
        };
        let (question, lines) = (inquiry.next(), inquiry.lines());
        match question {
            Some(question) => {
                if question == Question::TimeDate {
                    let lines = Writer::new(header, id::REGISTER_AVAILABLE_LINES).u32(lines);
                    self.send(lines.end());
                }
                self.send(question.request(header));
                self.deadline = Some(now + PATIENCE);
            }
            None => {
                self.stage = Stage::Registered { unanswered: 0 };
                self.backoff.reset();
                self.deadline = Some(now + self.next_keepalive());
                self.tell(Event::Registered(Transport::Tcp));
            }
        }
    }

    fn next_keepalive(&self) -> Duration {
        self.keepalive
            .min(self.habits.hurry.unwrap_or(Duration::MAX))
    }

    pub(in super::super) fn on_end(&mut self, now: Instant, ending: Ending) {
        self.local = None;
        self.stream = Stream::default();
        let (why, last) = match (&mut self.stage, ending) {
            (Stage::Leaving(_), _) => return self.left(),
            // It knows when to come again; that it has to connect again is no news.
            (Stage::Waiting { is_open }, _) => {
                *is_open = false;
                return;
            }
            (Stage::Off, _) => return,
            (Stage::Opening, Ending::Refused) => (Setback::Refused, last::REFUSED),
            (Stage::Opening, Ending::TimedOut) => (Setback::ConnectTimeout, last::NO_ANSWER),
            _ => (Setback::Closed, last::CLOSED),
        };
        self.lost_server |= self.is_registered();
        self.last = last;
        let wait = self.backoff.after_failure();
        self.set_back(now, why, wait, None, false);
    }

    pub(in super::super) fn on_deadline(&mut self, now: Instant) -> Result<(), Fault> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        self.deadline = None;
        let (why, last) = match &mut self.stage {
            Stage::Off | Stage::Opening => return Ok(()),
            Stage::Waiting { is_open: true } => {
                self.ask(now);
                return Ok(());
            }
            Stage::Waiting { is_open: false } => {
                self.start(now);
                return Ok(());
            }
            Stage::Leaving(_) => {
                self.left();
                return Ok(());
            }
            Stage::Registered { unanswered } if *unanswered < UNANSWERED_MAX => {
                *unanswered += 1;
                self.send(Writer::new(self.header(), id::KEEP_ALIVE).end());
                self.deadline = Some(now + self.next_keepalive());
                return Ok(());
            }
            Stage::Registered { .. } => (Setback::KeepaliveLost, last::KEEPALIVE),
            _ => (Setback::NoAnswer, last::NO_ANSWER),
        };
        self.lost_server |= self.is_registered();
        self.last = last;
        self.steps.push_back(Step::Close);
        self.local = None;
        let wait = self.backoff.after_failure();
        self.set_back(now, why, wait, None, false);
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
        self.deadline = Some(now + wait);
    }

    pub(in super::super) fn leave(&mut self, now: Instant) {
        match self.stage {
            Stage::Registered { .. } => self.unregister(now, None),
            Stage::Leaving(_) => {}
            _ => {
                self.stage = Stage::Leaving(None);
                self.left();
            }
        }
    }

    fn unregister(&mut self, now: Instant, boot: Option<Boot>) {
        self.stage = Stage::Leaving(boot);
        self.send(Writer::new(self.header(), id::UNREGISTER).u32(0).end());
        self.deadline = Some(now + FAREWELL);
    }

    /// The connection is of no use any more.
    fn left(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Off);
        self.deadline = None;
        self.steps.push_back(match stage {
            Stage::Leaving(Some(boot)) => Step::Boot(boot),
            _ => Step::Close,
        });
        if let Stage::Leaving(None) = stage {
            self.tell(Event::Left);
        }
    }

    fn send(&mut self, message: Vec<u8>) {
        self.steps.push_back(Step::Send(message));
    }

    fn tell(&mut self, event: Event) {
        self.steps.push_back(Step::Tell(event));
    }
}
