//! SIP URIs (RFC 3261 section 19.1): `sip:user:password@host:port;params?headers`.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Params;
use super::number::decimal;
use super::text::Kind;

static SCHEME: Kind = Kind::alphanumeric_and(b"+-.");
static HOST: Kind = Kind::alphanumeric_and(b"-._");
static VISIBLE: Kind = Kind::graphic_but(b"<>\"\\^`{|}");

/// What a URI begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Sip,
    Sips,
    /// Anything else: what follows is not looked at.
    Other,
}

/// A URI, checked. Of another scheme than SIP's, all parts are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'m> {
    pub scheme: Scheme,
    /// With its escapes, without a password.
    pub user: Option<&'m [u8]>,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'m [u8],
    pub port: Option<u16>,
    pub params: Params<'m>,
    /// What follows the `?`.
    pub headers: Option<&'m [u8]>,
}

impl<'m> Uri<'m> {
    /// None if this is no URI.
    pub fn parse(raw: &'m [u8]) -> Option<Self> {
        let colon = memchr::memchr(b':', raw)?;
        let (scheme, rest) = (&raw[..colon], &raw[colon + 1..]);
        if !scheme.first()?.is_ascii_alphabetic()
            || !SCHEME.has_all(scheme)
            || rest.is_empty()
            || !VISIBLE.has_all(rest)
        {
            return None;
        }
        let scheme = if scheme.eq_ignore_ascii_case(b"sip") {
            Scheme::Sip
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            Scheme::Sips
        } else {
            return Some(Self {
                scheme: Scheme::Other,
                user: None,
                host: b"",
                port: None,
                params: Params::default(),
                headers: None,
            });
        };
        // No other part can hold an @ that is not escaped.
        let (user, rest) = match memchr::memchr(b'@', rest) {
            Some(at) => (Some(user(&rest[..at])?), &rest[at + 1..]),
            None => (None, rest),
        };
        let (rest, headers) = match memchr::memchr(b'?', rest) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (host, port) = host_port(&rest[..end])?;
        Some(Self {
            scheme,
            user,
            host,
            port,
            params: Params::parse(&rest[end..])?,
            headers,
        })
    }

    pub fn is_sip(&self) -> bool {
        self.scheme != Scheme::Other
    }

    /// The user without escapes (RFC 3261 10.3, step 5); none if it is no text.
    pub fn user_text(&self) -> Option<Cow<'m, str>> {
        text(self.user?)
    }

    /// The host, if it is an address.
    pub fn address(&self) -> Option<IpAddr> {
        address(self.host)
    }

    /// Whether both mean the same (RFC 3261 19.1.4).
    pub fn is_same(&self, other: &Uri<'_>) -> bool {
        let decoded = |user: Option<&'_ [u8]>| user.map(|it| text(it).map(Cow::into_owned));
        self.scheme == other.scheme
            && self.is_sip()
            && self.port == other.port
            && self.host.eq_ignore_ascii_case(other.host)
            && (self.user == other.user || decoded(self.user) == decoded(other.user))
            && self.headers == other.headers
            && have_same(self.params, other.params)
            && have_same(other.params, self.params)
    }
}

/// Whether the parameters of one stand in the other too, where that matters: these four always,
/// others only if both have them.
fn have_same(of: Params<'_>, other: Params<'_>) -> bool {
    const ALWAYS: [&str; 4] = ["user", "ttl", "method", "maddr"];
    of.iter().all(|param| {
        let is_named = |name: &[u8]| param.name.eq_ignore_ascii_case(name);
        let mut there = other.iter().filter(|it| is_named(it.name)).peekable();
        if there.peek().is_none() {
            return !ALWAYS.iter().any(|it| is_named(it.as_bytes()));
        }
        // A name that stands twice is against the rules, and the URI is the same as itself.
        there.any(|it| match (param.value, it.value) {
            (Some(one), Some(two)) => one.eq_ignore_ascii_case(two),
            (one, two) => one == two,
        })
    })
}

/// The user before its password; none if it is empty or an escape in it is none.
fn user(raw: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b':', raw).unwrap_or(raw.len());
    let user = &raw[..end];
    let is_escape = |at: usize| {
        let digits = user.get(at + 1..at + 3);
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    };
    let is_sound = memchr::memchr_iter(b'%', user).all(is_escape);
    (!user.is_empty() && is_sound).then_some(user)
}

/// A user without escapes; none if that is no text, or has a control character in it.
fn text(user: &[u8]) -> Option<Cow<'_, str>> {
    let text = percent_encoding::percent_decode(user).decode_utf8().ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// `host[:port]`, with the brackets of an IPv6 address.
pub(super) fn host_port(raw: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let end = match raw.first()? {
        b'[' => memchr::memchr(b']', raw)? + 1,
        _ => memchr::memchr(b':', raw).unwrap_or(raw.len()),
    };
    let (host, port) = raw.split_at(end);
    let (host, port) = (host.trim_ascii(), port.trim_ascii());
    let is_named = |host: &[u8]| !host.is_empty() && HOST.has_all(host);
    if !(is_named(host) || host.first() == Some(&b'[') && address(host).is_some()) {
        return None;
    }
    let port = match port.strip_prefix(b":").map(<[u8]>::trim_ascii) {
        None if port.is_empty() => None,
        None => return None,
        Some(digits) => Some(u16::try_from(decimal(digits)?).ok()?),
    };
    Some((host, port))
}

/// A host that is an address, with or without brackets.
pub(super) fn address(host: &[u8]) -> Option<IpAddr> {
    let inner = host.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]"));
    match inner {
        Some(inner) => std::str::from_utf8(inner)
            .ok()?
            .parse()
            .ok()
            .map(IpAddr::V6),
        None => std::str::from_utf8(host).ok()?.parse().ok(),
    }
}
