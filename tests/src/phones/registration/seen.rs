//! What a phone lives through, in words that can be counted.

use std::time::Duration;

use super::Transport;

/// Something the server did that no phone would put up with: the test has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl Fault {
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Why a phone is not registered and tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Setback {
    /// Nobody listens.
    Refused,
    /// No answer to SYNs.
    ConnectTimeout,
    /// The server closed the connection.
    Closed,
    /// No answer to what was asked.
    NoAnswer,
    /// SCCP RegisterReject.
    Rejected,
    /// SCCP RegisterTokenReject, with a wait.
    TokenRejected,
    /// SIP 503 with Retry-After.
    RetryAfter,
    /// Another final answer of SIP than success.
    Denied,
    /// No answer to keepalives.
    KeepaliveLost,
}

impl Setback {
    pub const ALL: [Self; 9] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::Closed,
        Self::NoAnswer,
        Self::Rejected,
        Self::TokenRejected,
        Self::RetryAfter,
        Self::Denied,
        Self::KeepaliveLost,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect timeout",
            Self::Closed => "closed",
            Self::NoAnswer => "no answer",
            Self::Rejected => "rejected",
            Self::TokenRejected => "token rejected",
            Self::RetryAfter => "503 with Retry-After",
            Self::Denied => "denied",
            Self::KeepaliveLost => "keepalive lost",
        }
    }
}

/// Told by a phone as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It opens a connection.
    Knocked,
    /// It asks to be registered: the first Register, REGISTER or token request of an attempt.
    Asked,
    /// It sends something again that was not answered.
    Resent,
    Registered(Transport),
    /// A keepalive or a refresh was answered.
    Refreshed,
    /// It is not registered for now, and tries again after this time; with what the server said.
    SetBack(Setback, Duration, Option<Box<str>>),
    /// It was ordered to boot.
    Ordered,
    /// It has unregistered, and is off.
    Left,
}

/// What one phone has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub knocks: u32,
    pub asks: u32,
    pub resends: u32,
    pub refreshes: u32,
    /// By [`Setback`].
    pub setbacks: [u32; Setback::ALL.len()],
}

impl Seen {
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Knocked => self.knocks += 1,
            Event::Asked => self.asks += 1,
            Event::Resent => self.resends += 1,
            Event::Refreshed => self.refreshes += 1,
            Event::SetBack(why, ..) => self.setbacks[*why as usize] += 1,
            Event::Registered(_) | Event::Ordered | Event::Left => {}
        }
    }
}
