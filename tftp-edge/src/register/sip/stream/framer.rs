//! Cutting a stream into messages.
//!
//! A message on a stream is as long as its `Content-Length` says; without one its end is unknown,
//! and so is the beginning of everything after it (RFC 3261 18.3). Between messages there may be
//! empty lines (7.5); two in a row are a phone's question whether the connection still holds, which
//! is answered with one (RFC 5626 3.5.1).

use super::first_line::FirstLine;
use crate::register::sip::message::{Defect, Message, Name, decimal};

/// The longest first line, the longest head, the longest body. A phone's REGISTER has a kilobyte or
/// two of head, and its largest bodies are some kilobytes of XML.
const START_LINE_MAX: usize = 4 << 10;
const HEAD_MAX: usize = 16 << 10;
const BODY_MAX: usize = 64 << 10;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Why nothing after this place of a stream can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// What stands where a message should begin is none.
    NotSip,
    HeadTooLong,
    BodyTooLong,
    /// No `Content-Length`.
    NoLength,
    /// A `Content-Length` that is no number, or two of them.
    Length,
}

/// What was found in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'m> {
    Message(&'m [u8]),
    /// Two empty lines.
    Ping,
}

/// Cuts one stream. Holds no memory between messages.
#[derive(Debug, Default)]
pub struct Framer {
    /// The beginning of a message whose rest has not come.
    partial: Vec<u8>,
    progress: Progress,
}

/// How far the message that is coming in is understood.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Empty lines before it, since the last ping.
    empty_lines: u8,
    /// Its bytes in which the end of the head was looked for in vain.
    searched: usize,
    /// Its length, once the head is whole.
    len: Option<usize>,
}

/// What comes next.
enum Next {
    /// So many bytes are done with.
    Skip(usize),
    Ping(usize),
    Message(usize),
    /// The rest has not come.
    Incomplete,
}

impl Framer {
    /// Takes in what was read, and shows what has become whole by it. After an error the stream
    /// cannot be read any further.
    pub fn feed(&mut self, bytes: &[u8], mut show: impl FnMut(Event<'_>)) -> Result<(), Broken> {
        if self.partial.is_empty() {
            let used = self.progress.cut(bytes, &mut show)?;
            self.partial.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        self.partial.extend_from_slice(bytes);
        let used = self.progress.cut(&self.partial, &mut show)?;
        if used == self.partial.len() {
            self.partial = Vec::new();
        } else {
            self.partial.drain(..used);
        }
        Ok(())
    }

    /// Whether a message has begun whose rest has not come.
    pub fn is_inside(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Memory held, in bytes.
    pub fn held(&self) -> usize {
        self.partial.capacity()
    }
}

impl Progress {
    /// Returns how many bytes are done with.
    fn cut(&mut self, bytes: &[u8], show: &mut impl FnMut(Event<'_>)) -> Result<usize, Broken> {
        let mut at = 0;
        while at < bytes.len() {
            match self.next(&bytes[at..])? {
                Next::Skip(len) => at += len,
                Next::Ping(len) => {
                    show(Event::Ping);
                    at += len;
                }
                Next::Message(len) => {
                    *self = Self::default();
                    show(Event::Message(&bytes[at..at + len]));
                    at += len;
                }
                Next::Incomplete => break,
            }
        }
        Ok(at)
    }

    fn next(&mut self, bytes: &[u8]) -> Result<Next, Broken> {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.empty_lines += 1;
                if self.empty_lines < 2 {
                    return Ok(Next::Skip(2));
                }
                self.empty_lines = 0;
                return Ok(Next::Ping(2));
            }
            [b'\r'] => return Ok(Next::Incomplete),
            _ => {}
        }
        let Some(len) = self.measure(bytes)? else {
            return Ok(Next::Incomplete);
        };
        match len <= bytes.len() {
            true => Ok(Next::Message(len)),
            false => Ok(Next::Incomplete),
        }
    }

    /// The length of the message that begins here, if its head is whole.
    fn measure(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        if self.len.is_some() {
            return Ok(self.len);
        }
        if self.searched == 0 && !FirstLine::may_begin(bytes) {
            return Err(Broken::NotSip);
        }
        // The end may begin in the last three bytes that were looked at.
        let from = self.searched.saturating_sub(3);
        let Some(end) = memchr::memmem::find(&bytes[from..], END_OF_HEAD) else {
            self.searched = bytes.len();
            return self.check_unfinished(bytes).map(|()| None);
        };
        let head = &bytes[..from + end + END_OF_HEAD.len()];
        if FirstLine::of(head).is_none() {
            return Err(Broken::NotSip);
        }
        if head.len() > HEAD_MAX {
            return Err(Broken::HeadTooLong);
        }
        let body = content_length(head)?;
        if body > BODY_MAX {
            return Err(Broken::BodyTooLong);
        }
        self.len = Some(head.len() + body);
        Ok(self.len)
    }

    fn check_unfinished(&self, bytes: &[u8]) -> Result<(), Broken> {
        let has_line = bytes.iter().take(START_LINE_MAX).any(|&it| it == b'\n');
        if has_line && FirstLine::of(bytes).is_none() {
            return Err(Broken::NotSip);
        }
        if !has_line && (bytes.len() >= START_LINE_MAX || !FirstLine::may_begin(bytes)) {
            return Err(Broken::NotSip);
        }
        match bytes.len() > HEAD_MAX {
            true => Err(Broken::HeadTooLong),
            false => Ok(()),
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize, Broken> {
    let message = Message::scan(head).map_err(|defect| match defect {
        Defect::NotSip => Broken::NotSip,
        _ => Broken::HeadTooLong,
    })?;
    // Two lengths are how messages are smuggled past whoever reads the other one.
    let length = message.only(Name::ContentLength);
    let length = length.map_err(|_| Broken::Length)?;
    let length = length.ok_or(Broken::NoLength)?;
    decimal(length).map_or(Err(Broken::Length), |length| Ok(length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Clone)]
    enum Seen {
        Message(Vec<u8>),
        Ping,
    }

    fn feed(framer: &mut Framer, bytes: &[u8], seen: &mut Vec<Seen>) -> Result<(), Broken> {
        framer.feed(bytes, |event| {
            seen.push(match event {
                Event::Message(message) => Seen::Message(message.to_vec()),
                Event::Ping => Seen::Ping,
            });
        })
    }

    fn message(method: &str, body: &str) -> Vec<u8> {
        format!(
            "{method} sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bK1\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// Three messages, one of them with a body that looks like a message, and pings between them.
    fn stream() -> (Vec<u8>, Vec<Seen>) {
        let inner = String::from_utf8(message("BYE", "")).unwrap();
        let messages = [
            message("REGISTER", ""),
            message("REFER", &format!("\r\n\r\n{inner}")),
            b"SIP/2.0 200 OK\r\nCSeq: 1 NOTIFY\r\nl: 2\r\n\r\n\r\n".to_vec(),
        ];
        let [first, second, third] = messages.clone();
        let stream = [
            &b"\r\n"[..],
            &first,
            b"\r\n\r\n",
            &second,
            &third,
            b"\r\n\r\n\r\n\r\n",
        ]
        .concat();
        let [first, second, third] = messages.map(Seen::Message);
        let seen = vec![first, Seen::Ping, second, third, Seen::Ping, Seen::Ping];
        (stream, seen)
    }

    #[test]
    fn a_stream_reads_the_same_wherever_it_is_cut() {
        let (stream, expected) = stream();
        for cut in 0..=stream.len() {
            let (mut framer, mut seen) = (Framer::default(), Vec::new());
            feed(&mut framer, &stream[..cut], &mut seen).unwrap();
            feed(&mut framer, &stream[cut..], &mut seen).unwrap();
            assert_eq!(seen, expected, "cut at {cut}");
        }
        let (mut framer, mut seen) = (Framer::default(), Vec::new());
        for byte in &stream {
            feed(&mut framer, std::slice::from_ref(byte), &mut seen).unwrap();
        }
        assert_eq!(seen, expected, "byte by byte");
    }

    #[test]
    fn between_messages_no_memory_is_held() {
        let (stream, _) = stream();
        let (mut framer, mut seen) = (Framer::default(), Vec::new());
        for piece in stream.chunks(7) {
            feed(&mut framer, piece, &mut seen).unwrap();
        }
        assert!(!framer.is_inside());
        assert_eq!(framer.held(), 0);
    }

    fn broken(pieces: &[&[u8]]) -> Option<Broken> {
        let (mut framer, mut seen) = (Framer::default(), Vec::new());
        let mut fed = pieces.iter().map(|it| feed(&mut framer, it, &mut seen));
        fed.find_map(Result::err)
    }

    #[test]
    fn what_is_no_message_is_told_as_soon_as_it_can_be_seen() {
        // The hello of TLS, a request of HTTP, and a token that does not end.
        assert_eq!(broken(&[b"\x16\x03\x01"]), Some(Broken::NotSip));
        assert_eq!(broken(&[b"GET / HT", b"TP/1.1\r\n"]), Some(Broken::NotSip));
        assert_eq!(broken(&[&[b'A'; 33]]), Some(Broken::NotSip));
        let endless = [b"INVITE ".as_slice(), &[b'x'; START_LINE_MAX]].concat();
        assert_eq!(broken(&[&endless]), Some(Broken::NotSip));
        assert_eq!(broken(&[b"\n"]), Some(Broken::NotSip));
        assert_eq!(broken(&[b"INVITE sip:a SI"]), None);
    }

    #[test]
    fn a_length_must_be_there_and_must_be_bearable() {
        let head = |fields: &str| format!("INVITE sip:a SIP/2.0\r\n{fields}\r\n");
        let broken = |fields: &str| broken(&[head(fields).as_bytes()]);
        assert_eq!(broken("Via: x\r\n"), Some(Broken::NoLength));
        assert_eq!(broken("l: x\r\n"), Some(Broken::Length));
        assert_eq!(broken("l: -1\r\n"), Some(Broken::Length));
        assert_eq!(broken("l: 99999999999\r\n"), Some(Broken::Length));
        assert_eq!(
            broken("l: 1\r\nContent-Length: 2\r\n"),
            Some(Broken::Length)
        );
        assert_eq!(broken("cOnTeNt-LeNgTh  :\r\n  0000\r\n"), None);
        assert_eq!(broken("l: 65537\r\n"), Some(Broken::BodyTooLong));
        assert_eq!(broken("l: 65536\r\n"), None);
        let long = format!("Via: {}\r\n", "x".repeat(HEAD_MAX));
        assert_eq!(broken(&long), Some(Broken::HeadTooLong));
    }

    #[test]
    fn what_a_stream_may_hold_in_memory_is_bounded() {
        let mut framer = Framer::default();
        let head = format!("INVITE sip:a SIP/2.0\r\nl: {BODY_MAX}\r\n\r\n");
        feed(&mut framer, head.as_bytes(), &mut Vec::new()).unwrap();
        let mut seen = Vec::new();
        while seen.is_empty() {
            feed(&mut framer, &[0; 1000], &mut seen).unwrap_or_else(|_| panic!("{seen:?}"));
            assert!(
                framer.held() <= 2 * (HEAD_MAX + BODY_MAX),
                "{}",
                framer.held()
            );
            if framer.partial.len() > head.len() + BODY_MAX - 1000 {
                let rest = head.len() + BODY_MAX - framer.partial.len();
                feed(&mut framer, &vec![0; rest], &mut seen).unwrap();
            }
        }
        assert_eq!(framer.held(), 0);
    }
}
