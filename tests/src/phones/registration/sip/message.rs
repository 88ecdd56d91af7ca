//! SIP messages that come to a phone, read as far as phones read them.

use super::super::Fault;

/// Longer than any message a registrar sends to a phone.
const MESSAGE_MAX: usize = 65_536;

/// A message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) start: Start,
    /// Names in lower case, in full.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Request { method: String },
    Response { status: u16, reason: String },
}

impl Message {
    /// Reads the head, which ends with an empty line.
    fn head(head: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(head).map_err(|it| fault(&it.to_string(), head))?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ');
        let (a, b, c) = (words.next(), words.next(), words.next());
        let start = match (a, b, c) {
            (Some("SIP/2.0"), Some(status), Some(reason)) => Start::Response {
                status: status.parse().map_err(|_| fault("no status", head))?,
                reason: reason.to_owned(),
            },
            (Some(method), Some(_), Some("SIP/2.0")) => Start::Request {
                method: method.to_owned(),
            },
            _ => return Err(fault("no start line", head)),
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            // A line that begins with white space goes on with the one before (7.3.1).
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut().ok_or_else(|| fault("a fold", head))?;
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| fault("no colon", head))?;
            headers.push((full(name.trim()), value.trim().to_owned()));
        }
        Ok(Self {
            start,
            headers,
            body: Vec::new(),
        })
    }

    /// One message that fills a datagram.
    pub(super) fn datagram(bytes: &[u8]) -> Result<Self, Fault> {
        let end = head_len(bytes).ok_or_else(|| fault("no end of its head", bytes))?;
        let mut message = Self::head(&bytes[..end])?;
        let len = message.content_length()?.unwrap_or(bytes.len() - end);
        let body = bytes.get(end..end + len);
        message.body = body
            .ok_or_else(|| fault("less than its length", bytes))?
            .to_vec();
        Ok(message)
    }

    fn content_length(&self) -> Result<Option<usize>, Fault> {
        let Some(value) = self.header("content-length") else {
            return Ok(None);
        };
        let len: usize = value
            .parse()
            .map_err(|_| Fault::new(format!("Content-Length {value:?}")))?;
        match len <= MESSAGE_MAX {
            true => Ok(Some(len)),
            false => Err(Fault::new(format!("a body of {len} bytes"))),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(is, _)| is == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every header line of this name.
    pub(super) fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m str> {
        let found = self.headers.iter().filter(move |(is, _)| is == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn expect(&self, name: &str) -> Result<&str, Fault> {
        let missing = || Fault::new(format!("{:?} has no {name}", self.start));
        self.header(name).ok_or_else(missing)
    }

    /// Number and method of CSeq.
    pub(super) fn cseq(&self) -> Result<(u32, &str), Fault> {
        let value = self.expect("cseq")?;
        let (number, method) = value.split_once(' ').unwrap_or((value, ""));
        let number = number.parse();
        Ok((
            number.map_err(|_| Fault::new(format!("CSeq {value:?}")))?,
            method.trim(),
        ))
    }

    /// Of the topmost Via.
    pub(super) fn branch(&self) -> Option<&str> {
        parameter(self.header("via")?.split(',').next()?, "branch")
    }

    pub(super) fn seconds(&self, name: &str) -> Option<u32> {
        // Comments and parameters may follow (20.33).
        let value = self.header(name)?.split([';', '(', ' ']).next()?;
        value.parse().ok()
    }
}

fn fault(what: &str, bytes: &[u8]) -> Fault {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    Fault::new(format!("a SIP message with {what}: {start:?}"))
}

/// Compact forms (20) as what they stand for.
fn full(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let full = match name.as_str() {
        "c" => "content-type",
        "e" => "content-encoding",
        "f" => "from",
        "i" => "call-id",
        "k" => "supported",
        "l" => "content-length",
        "m" => "contact",
        "o" => "event",
        "t" => "to",
        "v" => "via",
        _ => return name,
    };
    full.to_owned()
}

/// The value of `;name=value` behind a header's value, without quotes.
pub(super) fn parameter<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    // What stands in brackets are the URI's own.
    let after = value.rsplit_once('>').map_or(value, |(_, after)| after);
    after.split(';').skip(1).find_map(|parameter| {
        let (is, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        is.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Up to and with the empty line.
fn head_len(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// Cuts a stream into messages (18.3).
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
}

impl Stream {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<Message>, Fault> {
        let lead = self
            .bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        self.bytes.drain(..lead);
        if self.bytes.is_empty() {
            // Thousands of phones wait for hours with nothing in it.
            self.bytes = Vec::new();
            return Ok(None);
        }
        let Some(end) = head_len(&self.bytes) else {
            return match self.bytes.len() <= MESSAGE_MAX {
                true => Ok(None),
                false => Err(fault("no end of its head", &self.bytes)),
            };
        };
        let mut message = Message::head(&self.bytes[..end])?;
        let len = message.content_length()?;
        let len = len.ok_or_else(|| fault("no Content-Length in a stream", &self.bytes))?;
        if self.bytes.len() < end + len {
            return Ok(None);
        }
        message.body = self.bytes[end..end + len].to_vec();
        self.bytes.drain(..end + len);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nv: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1\r\n\
        CSeq: 102 REGISTER\r\nContact: <sip:a@h;expires=9>;expires=120;x-cisco-newreg\r\n\
        Subject: one\r\n  two\r\nRetry-After: 18 (soon)\r\nl: 2\r\n\r\nhi";

    #[test]
    fn a_stream_is_cut_into_messages_wherever_it_was_split() {
        let bytes = [b"\r\n\r\n", ANSWER, ANSWER].concat();
        for at in 0..bytes.len() {
            let mut stream = Stream::default();
            let mut found = Vec::new();
            for part in [&bytes[..at], &bytes[at..]] {
                stream.push(part);
                while let Some(message) = stream.next().expect("well formed") {
                    found.push(message);
                }
            }
            assert_eq!(found.len(), 2, "cut at {at}");
            assert_eq!(found[0], Message::datagram(ANSWER).expect("well formed"));
        }
    }

    #[test]
    fn headers_are_found_by_their_full_names() {
        let message = Message::datagram(ANSWER).expect("well formed");
        assert_eq!(message.branch(), Some("z9hG4bK1"));
        assert_eq!(message.cseq(), Ok((102, "REGISTER")));
        assert_eq!(message.header("subject"), Some("one two"));
        assert_eq!(message.seconds("retry-after"), Some(18));
        let contact = message.header("contact").expect("it has one");
        assert_eq!(parameter(contact, "expires"), Some("120"));
        assert_eq!(parameter(contact, "x-cisco-newreg"), Some(""));
        assert_eq!(message.body, b"hi");
    }

    #[test]
    fn a_stream_needs_lengths() {
        let mut stream = Stream::default();
        stream.push(b"SIP/2.0 200 OK\r\n\r\n");
        assert!(stream.next().is_err());
    }
}
