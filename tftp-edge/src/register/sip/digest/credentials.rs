//! What a phone answers to a challenge: `Authorization: Digest username="1001", …`.

use std::borrow::Cow;

use super::algorithm::{Algorithm, Hex};
use crate::register::sip::message::{Values, unquoted};

/// The credentials of one header.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials<'m> {
    pub username: Cow<'m, [u8]>,
    pub realm: Cow<'m, [u8]>,
    pub nonce: &'m [u8],
    /// The bytes between the quotes as they came: what the phone has hashed.
    pub uri: &'m [u8],
    /// Hex digits.
    pub response: &'m [u8],
    pub algorithm: Algorithm,
    /// None in the style of RFC 2069.
    pub qop: Option<Qop<'m>>,
}

/// What is hashed along when the phone counts how often it has used a nonce.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Qop<'m> {
    pub count: u32,
    /// The eight digits as they came.
    pub written: &'m [u8],
    pub cnonce: &'m [u8],
}

/// Why a header holds no credentials that could be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Of another scheme, algorithm or quality of protection than any that was offered.
    Other,
    Malformed,
}

/// Longest response: SHA-256.
const MAX_RESPONSE: usize = 64;

impl<'m> Credentials<'m> {
    pub fn parse(value: &'m [u8]) -> Result<Self, Unreadable> {
        let (scheme, rest) = value
            .trim_ascii()
            .split_at_checked(7)
            .ok_or(Unreadable::Other)?;
        let [scheme @ .., space] = scheme else {
            return Err(Unreadable::Other);
        };
        if !scheme.eq_ignore_ascii_case(b"Digest") || !space.is_ascii_whitespace() {
            return Err(Unreadable::Other);
        }
        let [mut username, mut realm, mut nonce, mut uri, mut response] = [None; 5];
        let [mut algorithm, mut qop, mut nc, mut cnonce] = [None; 4];
        for param in Values::of(rest) {
            let equals = memchr::memchr(b'=', param).ok_or(Unreadable::Malformed)?;
            let (name, value) = (param[..equals].trim_ascii(), &param[equals + 1..]);
            let value = value.trim_ascii();
            let place = match name.to_ascii_lowercase().as_slice() {
                b"username" => &mut username,
                b"realm" => &mut realm,
                b"nonce" => &mut nonce,
                b"uri" => &mut uri,
                b"response" => &mut response,
                b"algorithm" => &mut algorithm,
                b"qop" => &mut qop,
                b"nc" => &mut nc,
                b"cnonce" => &mut cnonce,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Unreadable::Malformed);
            }
        }
        let needed = |value: Option<&'m [u8]>| value.ok_or(Unreadable::Malformed);
        let algorithm = match algorithm {
            None => Algorithm::Md5,
            Some(named) => Algorithm::of(inner(named)).ok_or(Unreadable::Other)?,
        };
        let response = inner(needed(response)?);
        if response.len() > MAX_RESPONSE {
            return Err(Unreadable::Malformed);
        }
        Ok(Self {
            username: unquoted(needed(username)?),
            realm: unquoted(needed(realm)?),
            nonce: inner(needed(nonce)?),
            uri: inner(needed(uri)?),
            response,
            algorithm,
            qop: Qop::of(qop, nc, cnonce)?,
        })
    }

    /// The response that is right.
    pub fn expected(&self, method: &[u8], secret: &str) -> Hex {
        let of = |parts: &[&[u8]]| self.algorithm.of_parts(parts);
        let who = of(&[&self.username, &self.realm, secret.as_bytes()]);
        let what = of(&[method, self.uri]);
        match &self.qop {
            None => of(&[who.as_bytes(), self.nonce, what.as_bytes()]),
            Some(qop) => of(&[
                who.as_bytes(),
                self.nonce,
                qop.written,
                qop.cnonce,
                b"auth",
                what.as_bytes(),
            ]),
        }
    }
}

impl<'m> Qop<'m> {
    fn of(
        qop: Option<&'m [u8]>,
        nc: Option<&'m [u8]>,
        cnonce: Option<&'m [u8]>,
    ) -> Result<Option<Self>, Unreadable> {
        let Some(qop) = qop else {
            return Ok(None);
        };
        if !inner(qop).eq_ignore_ascii_case(b"auth") {
            return Err(Unreadable::Other);
        }
        let (Some(written), Some(cnonce)) = (nc, cnonce) else {
            return Err(Unreadable::Malformed);
        };
        let mut count = [0; 4];
        super::algorithm::read_hex(written, &mut count).ok_or(Unreadable::Malformed)?;
        Ok(Some(Self {
            count: u32::from_be_bytes(count),
            written,
            cnonce: inner(cnonce),
        }))
    }
}

/// The bytes between the quotes, as they are.
fn inner(value: &[u8]) -> &[u8] {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|it| it.strip_suffix(b"\""));
    inner.unwrap_or(value)
}
