//! The first line of a message.

use super::Defect;
use super::number::decimal;
use super::text::is_token;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Ack,
    Bye,
    Cancel,
    Info,
    Invite,
    Message,
    Notify,
    Options,
    Prack,
    Publish,
    Refer,
    Register,
    Subscribe,
    Update,
    /// One that no RFC we know has.
    Unknown,
}

impl Method {
    pub const ALL: [Self; 15] = [
        Self::Ack,
        Self::Bye,
        Self::Cancel,
        Self::Info,
        Self::Invite,
        Self::Message,
        Self::Notify,
        Self::Options,
        Self::Prack,
        Self::Publish,
        Self::Refer,
        Self::Register,
        Self::Subscribe,
        Self::Update,
        Self::Unknown,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Info => "INFO",
            Self::Invite => "INVITE",
            Self::Message => "MESSAGE",
            Self::Notify => "NOTIFY",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Update => "UPDATE",
            Self::Unknown => "unknown",
        }
    }

    /// Methods are told apart by case (RFC 3261 7.1).
    pub fn of(written: &[u8]) -> Self {
        let known = Self::ALL[..Self::ALL.len() - 1].iter();
        let mut known = known.copied();
        known
            .find(|it| it.as_str().as_bytes() == written)
            .unwrap_or(Self::Unknown)
    }
}

/// The first line, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'m> {
    Request {
        method: Method,
        /// As it was written.
        name: &'m [u8],
        /// The bytes of the Request-URI: no white space and no brackets in it.
        uri: &'m [u8],
    },
    Response {
        code: u16,
        reason: &'m [u8],
    },
}

const VERSION: &[u8] = b"SIP/2.0";

/// Whether a token says that this is SIP, of whatever version.
fn is_sip(version: &[u8]) -> bool {
    version.len() > 4 && version[..4].eq_ignore_ascii_case(b"SIP/")
}

impl<'m> StartLine<'m> {
    pub fn parse(line: &'m [u8]) -> Result<Self, Defect> {
        if is_sip(line) {
            return Self::response(line);
        }
        let mut words = line.split(|&byte| byte == b' ');
        let last = line.trim_ascii().rsplit(|&byte| byte == b' ').next();
        if !last.is_some_and(is_sip) {
            return Err(Defect::NotSip);
        }
        // Exactly one space between them (RFC 3261 7.1).
        let (Some(name), Some(uri), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Defect::StartLine);
        };
        if !is_token(name) {
            return Err(Defect::StartLine);
        }
        if !version.eq_ignore_ascii_case(VERSION) {
            return Err(Defect::Version);
        }
        if uri.is_empty() || uri.first() == Some(&b'<') {
            return Err(Defect::RequestUri);
        }
        Ok(Self::Request {
            method: Method::of(name),
            name,
            uri,
        })
    }

    fn response(line: &'m [u8]) -> Result<Self, Defect> {
        let (version, rest) = line
            .split_at_checked(VERSION.len())
            .ok_or(Defect::StartLine)?;
        if !version.eq_ignore_ascii_case(VERSION) {
            return Err(Defect::Version);
        }
        let (code, reason) = rest.split_at_checked(4).ok_or(Defect::StartLine)?;
        let code = code.strip_prefix(b" ").and_then(decimal);
        let code = code.and_then(|code| u16::try_from(code).ok());
        match code {
            Some(code @ 100..=699) if matches!(reason.first(), None | Some(b' ')) => {
                Ok(Self::Response {
                    code,
                    reason: reason.trim_ascii(),
                })
            }
            _ => Err(Defect::StartLine),
        }
    }
}
