//! The first line of a message: enough to tell SIP from something else, and to count it.

macro_rules! methods {
    ($($name:ident => $token:literal, $label:literal;)+) => {
        /// What a request asks for. The label value `method` of the metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($name,)+
            /// Anything else that may be a method.
            Unknown,
        }

        impl Method {
            pub const COUNT: usize = [$(Self::$name,)+ Self::Unknown].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name,)+ Self::Unknown];

            /// Methods are case-sensitive (RFC 3261 7.1).
            pub fn of(token: &[u8]) -> Self {
                $(if token == $token { return Self::$name; })+
                Self::Unknown
            }

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ Self::Unknown => "unknown" }
            }
        }
    };
}

methods! {
    Register => b"REGISTER", "register";
    Options => b"OPTIONS", "options";
    Refer => b"REFER", "refer";
    Notify => b"NOTIFY", "notify";
    Subscribe => b"SUBSCRIBE", "subscribe";
    Publish => b"PUBLISH", "publish";
    Invite => b"INVITE", "invite";
    Ack => b"ACK", "ack";
    Bye => b"BYE", "bye";
    Cancel => b"CANCEL", "cancel";
    Prack => b"PRACK", "prack";
    Update => b"UPDATE", "update";
    Info => b"INFO", "info";
    Message => b"MESSAGE", "message";
}

/// The longest token that is looked at: no method has half of it.
pub(super) const METHOD_MAX: usize = 32;

/// What a message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    Request(Method),
    /// A response, by its status code.
    Status(u16),
}

impl StartLine {
    /// Reads the first line of a message, which may be followed by anything. It is none of SIP if
    /// this is none; whether it is right in every detail is for others to say.
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
        let is_version = "SIP/2.0".as_bytes().starts_with(token);
        token.is_empty() || is_version || may_be_method(token)
    }
}

fn status(rest: &[u8]) -> Option<StartLine> {
    let code = rest.split(|&byte| byte == b' ').next()?;
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    (100..700)
        .contains(&code)
        .then_some(StartLine::Status(code))
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
        for (line, expected) in [
            (
                "REGISTER sip:10.0.0.1 SIP/2.0\r\nVia: x",
                Some(StartLine::Request(Method::Register)),
            ),
            (
                "OPTIONS sip:a b SIP/7.0  \r\n",
                Some(StartLine::Request(Method::Options)),
            ),
            (
                "NEWMETHOD sip:a SIP/2.0\r\n",
                Some(StartLine::Request(Method::Unknown)),
            ),
            ("SIP/2.0 200 OK\r\n", Some(StartLine::Status(200))),
            ("SIP/2.0 404\r\n", Some(StartLine::Status(404))),
            ("SIP/2.0 99 What\r\n", None),
            ("SIP/2.0 OK\r\n", None),
            ("GET / HTTP/1.1\r\n", None),
            (
                "REGISTER SIP/2.0\r\n",
                Some(StartLine::Request(Method::Register)),
            ),
            ("REGISTER sip:10.0.0.1 SIP/2.0", None),
            ("\x16\x03\x01 SIP/2.0\r\n", None),
        ] {
            assert_eq!(StartLine::of(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn methods_have_labels_of_their_own_in_the_order_of_their_numbers() {
        let mut labels = Method::ALL.map(Method::as_str);
        for (place, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, place);
        }
        labels.sort_unstable();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(Method::of(b"register"), Method::Unknown);
    }
}
