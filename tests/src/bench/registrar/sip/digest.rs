//! Digest authentication of a phone: MD5, with or without `qop` (RFC 2617 section 3.2.2).

use std::io::Write as _;

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};

use super::Answer;

/// Any will do: what it is good for is not measured here.
const CNONCE: &str = "7e1d2c3b";

/// What a registrar asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    qop: bool,
}

/// What a phone answers, with the count of the requests that used the nonce.
#[derive(Debug)]
pub struct Credentials {
    challenge: Challenge,
    user: String,
    /// The hashes of user and password, and of method and URI, which no request changes.
    user_hash: String,
    uri_hash: String,
    count: u32,
}

impl Challenge {
    /// The first one of an answer that a phone understands.
    pub fn parse(answer: &Answer<'_>) -> Result<Self> {
        answer
            .headers("WWW-Authenticate")
            .find_map(Self::read)
            .context("a 401 without a challenge for MD5")
    }

    fn read(header: &str) -> Option<Self> {
        let header = header.strip_prefix("Digest ")?;
        let mut challenge = Self {
            realm: String::new(),
            nonce: String::new(),
            opaque: None,
            qop: false,
        };
        for (name, value) in parameters(header) {
            match name {
                "realm" => value.clone_into(&mut challenge.realm),
                "nonce" => value.clone_into(&mut challenge.nonce),
                "opaque" => challenge.opaque = Some(value.to_owned()),
                "qop" => challenge.qop = value.split(',').any(|it| it.trim() == "auth"),
                "algorithm" if !value.eq_ignore_ascii_case("MD5") => return None,
                _ => {}
            }
        }
        Some(challenge)
    }
}

/// `name=value` and `name="value"`, with commas between them; none of our peers' values has an
/// escaped quote in it.
fn parameters(mut text: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        let (name, rest) = text.trim_start_matches([' ', ',']).split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        text = rest;
        Some((name.trim(), value.trim()))
    })
}

impl Credentials {
    pub fn new(challenge: Challenge, user: String, secret: &str, registrar: &str) -> Self {
        Self {
            user_hash: hash(&[&user, &challenge.realm, secret]),
            uri_hash: hash(&["REGISTER", &format!("sip:{registrar}")]),
            challenge,
            user,
            count: 1,
        }
    }

    /// Counts one more request.
    pub fn next(&mut self) {
        self.count += 1;
    }

    /// Writes the header.
    pub fn write(&self, registrar: &str, out: &mut Vec<u8>) {
        let Self {
            challenge, user, ..
        } = self;
        let Challenge { realm, nonce, .. } = challenge;
        let count = format!("{:08x}", self.count);
        let (user_hash, uri_hash) = (&*self.user_hash, &*self.uri_hash);
        let response = match challenge.qop {
            true => hash(&[user_hash, nonce, &count, CNONCE, "auth", uri_hash]),
            false => hash(&[user_hash, nonce, uri_hash]),
        };
        let mut write = || -> std::io::Result<()> {
            write!(
                out,
                "Authorization: Digest username=\"{user}\",realm=\"{realm}\",\
                 uri=\"sip:{registrar}\",response=\"{response}\",nonce=\"{nonce}\",algorithm=MD5"
            )?;
            if let Some(opaque) = &challenge.opaque {
                write!(out, ",opaque=\"{opaque}\"")?;
            }
            if challenge.qop {
                write!(out, ",cnonce=\"{CNONCE}\",qop=auth,nc={count}")?;
            }
            out.write_all(b"\r\n")
        };
        write().expect("writing to a vector cannot fail");
    }
}

/// MD5 of the parts with colons between them, in hexadecimal.
fn hash(parts: &[&str]) -> String {
    let mut md5 = Md5::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            md5.update(b":");
        }
        md5.update(part.as_bytes());
    }
    let digits = |byte: u8| [byte >> 4, byte & 15];
    let text = md5.finalize().into_iter().flat_map(digits);
    text.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2617 section 3.5, with its own nonce and count.
    #[test]
    fn the_response_is_the_one_of_the_rfc() {
        let user = hash(&["Mufasa", "testrealm@host.com", "Circle Of Life"]);
        assert_eq!(user, "939e7578ed9e3c518a452acee763bce9");
        let uri = hash(&["GET", "/dir/index.html"]);
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let response = hash(&[&user, nonce, "00000001", "0a4f113b", "auth", &uri]);
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn a_challenge_for_another_algorithm_is_passed_over() {
        let read = Challenge::read("Digest algorithm=SHA-256, realm=\"a\", nonce=\"b\"");
        assert_eq!(read, None);
        let read = Challenge::read("Digest realm=\"a, b\",nonce=\"c=\", qop=\"auth,auth-int\"");
        let challenge = read.unwrap();
        assert_eq!((&*challenge.realm, &*challenge.nonce), ("a, b", "c="));
        assert!(challenge.qop);
    }
}
