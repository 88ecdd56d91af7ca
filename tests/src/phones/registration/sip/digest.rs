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

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 2617 3.5.
    const MUFASA: Answer<'_> = Answer {
        user: "Mufasa",
        password: "Circle Of Life",
        method: "GET",
        uri: "/dir/index.html",
        count: 1,
        cnonce: "0a4f113b",
    };

    fn challenge(qop: &str) -> Challenge {
        let value = format!(
            "Digest realm=\"testrealm@host.com\", {qop}\
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""
        );
        Challenge::parse(&value).expect("a digest")
    }

    #[test]
    fn with_qop_the_response_is_that_of_the_rfc() {
        let challenge = challenge("qop=\"auth,auth-int\", ");
        assert!(challenge.has_auth);
        let response = MUFASA.response(&challenge);
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
        let header = MUFASA.header(&challenge);
        for part in [
            "response=\"6629fae49393a05397450978507c4ef1\"",
            "qop=auth",
            "nc=00000001",
            "opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        ] {
            assert!(header.contains(part), "{header}");
        }
    }

    /// The same request to a server of RFC 2069, which knows no qop.
    #[test]
    fn without_qop_the_response_is_that_of_rfc_2069() {
        let challenge = challenge("");
        assert!(!challenge.has_auth);
        let response = MUFASA.response(&challenge);
        assert_eq!(response, "670fd8c2df070c60b045671b8b24ff02");
        let header = MUFASA.header(&challenge);
        assert!(
            !header.contains("qop") && !header.contains("nc="),
            "{header}"
        );
    }

    #[test]
    fn quotes_are_taken_off_and_a_hash_the_phone_does_not_know_is_not_answered() {
        let value = "Digest realm=\"a \\\"b\\\", c\",nonce=\"n\",stale=TRUE,algorithm=md5";
        let challenge = Challenge::parse(value).expect("a digest");
        assert_eq!(challenge.realm, "a \"b\", c");
        assert!(challenge.is_stale && !challenge.has_auth);
        for value in [
            "Digest realm=\"r\",nonce=\"n\",algorithm=SHA-256",
            "Digest realm=\"r\"",
            "Basic realm=\"r\"",
        ] {
            assert_eq!(Challenge::parse(value), None, "{value}");
        }
    }
}
