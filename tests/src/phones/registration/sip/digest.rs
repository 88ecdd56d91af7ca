//! Digest authentication (RFC 2617, RFC 7616) with MD5, the one algorithm these phones know.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

/// `WWW-Authenticate`, as far as a phone reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    /// It offers `qop="auth"`.
    pub has_auth: bool,
    pub is_stale: bool,
}

impl Challenge {
    /// None if it is no digest, or one with an algorithm that the phone does not know.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let mut challenge = Self::default();
        let mut has_nonce = false;
        for (name, value) in parameters(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => challenge.realm = value,
                "nonce" => {
                    has_nonce = !value.is_empty();
                    challenge.nonce = value;
                }
                "opaque" => challenge.opaque = Some(value),
                "qop" => challenge.has_auth = value.split(',').any(|it| it.trim() == "auth"),
                "stale" => challenge.is_stale = value.eq_ignore_ascii_case("true"),
                "algorithm" if !value.eq_ignore_ascii_case("md5") => return None,
                _ => {}
            }
        }
        has_nonce.then_some(challenge)
    }
}

/// `name=value` and `name="value"`, with commas between.
fn parameters(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, behind) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        found.push((name.trim().trim_start_matches(',').trim(), value));
        rest = behind.trim_start().trim_start_matches(',');
    }
    found
}

/// What is between quotes, and what is behind them.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            _ => value.push(c),
        }
    }
    (value, "")
}

/// Whom a phone says it is, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub method: &'a str,
    pub uri: &'a str,
    /// How often this nonce was used, this time included.
    pub count: u32,
    pub cnonce: &'a str,
}

impl Answer<'_> {
    /// 32 hexadecimal digits.
    pub fn response(&self, challenge: &Challenge) -> String {
        let secret = hash(&[self.user, &challenge.realm, self.password]);
        let request = hash(&[self.method, self.uri]);
        match challenge.has_auth {
            true => {
                let count = format!("{:08x}", self.count);
                let nonce = &challenge.nonce;
                hash(&[&secret, nonce, &count, self.cnonce, "auth", &request])
            }
            false => hash(&[&secret, &challenge.nonce, &request]),
        }
    }

    /// The value of `Authorization`.
    pub fn header(&self, challenge: &Challenge) -> String {
        let mut value = format!(
            "Digest username=\"{}\",realm=\"{}\",uri=\"{}\",response=\"{}\",nonce=\"{}\"",
            self.user,
            challenge.realm,
            self.uri,
            self.response(challenge),
            challenge.nonce,
        );
        if let Some(opaque) = &challenge.opaque {
            let _ = write!(value, ",opaque=\"{opaque}\"");
        }
        if challenge.has_auth {
            let (cnonce, count) = (self.cnonce, self.count);
            let _ = write!(value, ",cnonce=\"{cnonce}\",qop=auth,nc={count:08x}");
        }
        value.push_str(",algorithm=MD5");
        value
    }
}

/// MD5 of the parts with colons between.
fn hash(parts: &[&str]) -> String {
    let mut digits = String::with_capacity(32);
    for byte in Md5::digest(parts.join(":")) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
