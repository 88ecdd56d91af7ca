//! The first line of a message: enough to tell SIP from something else, and to count it. What is
//! wrong with a line that may be SIP is for [`super::super::message`] to say, in an answer.

use crate::register::sip::message::Method;

/// The longest token that is looked at: no method has half of it.
const METHOD_MAX: usize = 32;

/// What a message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstLine {
    Request(Method),
    /// A response, by its status code.
    Status(u16),
}

impl FirstLine {
    /// Reads the first line of a message, which may be followed by anything. None if it is none of
    /// SIP.
    pub fn of(message: &[u8]) -> Option<Self> {
        let end = message.iter().position(|&byte| byte == b'\n')?;
        let line = message[..end].trim_ascii_end();
        let space = line.iter().position(|&byte| byte == b' ')?;
        let (first, rest) = (&line[..space], &line[space..]);
        if is_version(first) {
            return status(rest.trim_ascii_start());
        }
        let version = rest.rsplit(|&byte| byte == b' ').next()?;
        let is_request = may_be_method(first) && is_version(version);
        is_request.then(|| Self::Request(Method::of(first)))
    }

    /// Whether a message may begin with these bytes, of which more are to come.
    pub(super) fn may_begin(bytes: &[u8]) -> bool {
        let token = bytes.split(|&byte| byte == b' ').next().unwrap_or(bytes);
        let is_version = b"SIP/2.0".starts_with(token);
        token.is_empty() || is_version || may_be_method(token)
    }
}

fn status(rest: &[u8]) -> Option<FirstLine> {
    let code = rest.split(|&byte| byte == b' ').next()?;
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    (100..700)
        .contains(&code)
        .then_some(FirstLine::Status(code))
}

/// `SIP/` and a number, of whatever version: a wrong one has an answer of its own.
fn is_version(word: &[u8]) -> bool {
    word.len() > 4 && word[..4].eq_ignore_ascii_case(b"SIP/") && word[4].is_ascii_digit()
}

/// RFC 3261 25.1, `token`.
fn may_be_method(token: &[u8]) -> bool {
    let is_token = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    (1..=METHOD_MAX).contains(&token.len()) && token.iter().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_responses_are_told_by_their_first_line() {
        let request = |method| Some(FirstLine::Request(method));
        for (line, expected) in [
            (
                "REGISTER sip:10.0.0.1 SIP/2.0\r\nVia: x",
                request(Method::Register),
            ),
            ("OPTIONS sip:a b SIP/7.0  \r\n", request(Method::Options)),
            ("NEWMETHOD sip:a SIP/2.0\r\n", request(Method::Unknown)),
            ("REGISTER SIP/2.0\r\n", request(Method::Register)),
            ("SIP/2.0 200 OK\r\n", Some(FirstLine::Status(200))),
            ("SIP/2.0 404\r\n", Some(FirstLine::Status(404))),
            ("SIP/2.0 99 What\r\n", None),
            ("SIP/2.0 OK\r\n", None),
            ("GET / HTTP/1.1\r\n", None),
            ("REGISTER sip:10.0.0.1 SIP/2.0", None),
            ("\x16\x03\x01 SIP/2.0\r\n", None),
        ] {
            assert_eq!(FirstLine::of(line.as_bytes()), expected, "{line}");
        }
    }
}
