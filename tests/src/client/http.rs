//! One file over HTTP, without sockets or a clock: as a phone asks, and as it takes the answer.
//!
//! 404 is final. A server that cannot be reached, ends the connection without an answer or says
//! 503 sends the phone to TFTP. Like the TFTP client, this shares no code with the server.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use socket2::{Domain, Socket, Type};
use tftp_ebpf::wire::tftp::ErrorCode;

use super::{Collect, Failure, Outcome, Sink, Tally};

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than any head of an answer.
const HEAD_MAX: usize = 4096;

/// What to do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpReaction {
    /// Nothing until more comes, or the deadline.
    Wait,
    /// It is over: see [`HttpFetch::outcome`].
    End,
    /// Ask over TFTP.
    Elsewhere,
}

/// What is known of an answer once its head is there.
#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    /// Of the body.
    left: usize,
    keeps_open: bool,
}

/// A file under way.
#[derive(Debug)]
pub struct HttpFetch<S> {
    server: SocketAddr,
    name: Arc<str>,
    sink: S,
    /// What came until the head was whole.
    text: Vec<u8>,
    head: Option<Head>,
    deadline: Instant,
    started: Instant,
    first_answer: Option<Instant>,
    bytes: u64,
    outcome: Option<Outcome>,
}

impl<S: Sink> HttpFetch<S> {
    pub fn new(server: SocketAddr, name: Arc<str>, sink: S, now: Instant) -> Self {
        Self {
            server,
            name,
            sink,
            text: Vec::new(),
            head: None,
            deadline: now + PATIENCE,
            started: now,
            first_answer: None,
            bytes: 0,
            outcome: None,
        }
    }

    /// What is sent once the connection is there.
    pub fn request(&self) -> String {
        let mut path = String::from("/");
        for byte in self.name.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                    path.push(byte.into());
                }
                _ => write!(path, "%{byte:02x}").expect("writing to a string cannot fail"),
            }
        }
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.server)
    }

    pub fn on_bytes(&mut self, now: Instant, mut bytes: &[u8]) -> HttpReaction {
        self.deadline = now + PATIENCE;
        self.first_answer.get_or_insert(now);
        if self.head.is_none() {
            self.text.extend_from_slice(bytes);
            let Some(end) = self.text.windows(4).position(|four| four == b"\r\n\r\n") else {
                return match self.text.len() > HEAD_MAX {
                    true => self.break_off("a head without end"),
                    false => HttpReaction::Wait,
                };
            };
            let text = String::from_utf8_lossy(&self.text[..end]).into_owned();
            match parse(&text) {
                Ok(head) => self.head = Some(head),
                Err(broken) => return self.break_off(&broken),
            }
            let of_body = self.text.len() - (end + 4);
            bytes = &bytes[bytes.len() - of_body..];
        }
        let Some(head) = &mut self.head else {
            return HttpReaction::Wait;
        };
        let Some(left) = head.left.checked_sub(bytes.len()) else {
            return self.break_off("more than its length came");
        };
        head.left = left;
        let status = head.status;
        if status == 200 {
            if let Err(mismatch) = self.sink.block(bytes) {
                return self.end(Outcome::Failed(Failure::Content(mismatch)));
            }
            self.bytes += bytes.len() as u64;
        }
        match (left, status) {
            (1.., _) => HttpReaction::Wait,
            (0, 200) => match self.sink.end() {
                Ok(()) => self.end(Outcome::Complete),
                Err(mismatch) => self.end(Outcome::Failed(Failure::Content(mismatch))),
            },
            (0, 404) => self.end(Outcome::Refused {
                code: ErrorCode::FileNotFound as u16,
                text: "404".into(),
            }),
            (0, 503) => HttpReaction::Elsewhere,
            (0, status) => self.break_off(&format!("status {status}")),
        }
    }

    /// The connection has ended, or never was.
    pub fn on_end(&mut self) -> HttpReaction {
        match self.is_untouched() {
            true => HttpReaction::Elsewhere,
            false => self.break_off("the connection ended in the middle of an answer"),
        }
    }

    pub fn on_deadline(&mut self, now: Instant) -> HttpReaction {
        match (now < self.deadline, self.is_untouched()) {
            (true, _) => HttpReaction::Wait,
            (false, true) => HttpReaction::Elsewhere,
            (false, false) => self.break_off("the answer does not go on"),
        }
    }

    /// Nothing of an answer has come.
    pub fn is_untouched(&self) -> bool {
        self.first_answer.is_none()
    }

    /// Whether the connection can be asked again.
    pub fn keeps_open(&self) -> bool {
        self.outcome.is_some() && self.head.is_some_and(|head| head.keeps_open)
    }

    fn end(&mut self, outcome: Outcome) -> HttpReaction {
        self.outcome = Some(outcome);
        HttpReaction::End
    }

    fn break_off(&mut self, what: &str) -> HttpReaction {
        self.end(Outcome::Failed(Failure::Protocol(what.to_owned())))
    }

    /// How it ended, once it has; in the words of TFTP, where 404 is ERROR 1.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn server(&self) -> SocketAddr {
        self.server
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn first_answer(&self) -> Option<Instant> {
        self.first_answer
    }

    pub fn tally(&self) -> Tally {
        Tally {
            bytes: self.bytes,
            ..Tally::default()
        }
    }

    pub fn into_sink(self) -> S {
        self.sink
    }
}

fn parse(text: &str) -> Result<Head, String> {
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| format!("begins with {status_line:?}"))?;
    let mut head = Head {
        status,
        left: 0,
        keeps_open: true,
    };
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("a header line {line:?}"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let len = value.parse().map_err(|_| format!("length {value:?}"))?;
            head.left = len;
        } else if name.eq_ignore_ascii_case("connection") {
            head.keeps_open = !value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("a body in chunks: phones want a length".into());
        }
    }
    Ok(head)
}

/// A stream socket of a client; a connect takes its time behind it if it does not block.
pub(crate) fn stream(from: IpAddr, server: SocketAddr, kind: Type) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), kind, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// Fetches a file over a connection of its own. None: the server has sent us elsewhere. The calling
/// thread must be in the client's namespace.
pub fn http_get(
    from: IpAddr,
    server: SocketAddr,
    name: &str,
) -> Result<Option<(Outcome, Vec<u8>)>> {
    let mut fetch = HttpFetch::new(server, name.into(), Collect::default(), Instant::now());
    let mut stream = stream(from, server, Type::STREAM)
        .with_context(|| format!("connecting to {server} from {from}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(fetch.request().as_bytes())?;
    let mut incoming = vec![0; 65_536];
    loop {
        let len = stream.read(&mut incoming)?;
        let reaction = match len {
            0 => fetch.on_end(),
            _ => fetch.on_bytes(Instant::now(), &incoming[..len]),
        };
        match reaction {
            HttpReaction::Wait => {}
            HttpReaction::Elsewhere => return Ok(None),
            HttpReaction::End => {
                let outcome = fetch.outcome().cloned().context("an end has an outcome")?;
                return Ok(Some((outcome, fetch.into_sink().0)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use bytes::Bytes;

    use super::super::{Expect, Mismatch};
    use super::*;

    fn fetch(name: &str, expected: &'static [u8]) -> (HttpFetch<Expect>, Instant) {
        let now = Instant::now();
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 6970));
        let sink = Expect::new(Bytes::from_static(expected));
        (HttpFetch::new(server, name.into(), sink, now), now)
    }

    fn answer(status: &str, body: &str) -> Vec<u8> {
        let len = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n\r\n{body}").into()
    }

    #[test]
    fn names_are_asked_for_as_a_path() {
        let (fetch, _) = fetch("Desktops/1x1x1/Ring list.xml", b"");
        assert_eq!(
            fetch.request(),
            "GET /Desktops/1x1x1/Ring%20list.xml HTTP/1.1\r\nHost: 127.0.0.1:6970\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_is_whole_in_whatever_pieces_it_comes() {
        let whole = answer("200 OK", "right");
        for size in 1..=whole.len() {
            let (mut fetch, now) = fetch("f", b"right");
            let last = whole
                .chunks(size)
                .map(|piece| fetch.on_bytes(now, piece))
                .last();
            assert_eq!(last, Some(HttpReaction::End), "{size}");
            assert_eq!(fetch.outcome(), Some(&Outcome::Complete), "{size}");
            assert!(fetch.keeps_open());
        }
    }

    #[test]
    fn the_first_wrong_byte_is_named() {
        let (mut fetch, now) = fetch("f", b"right");
        fetch.on_bytes(now, &answer("200 OK", "rigid"));
        let expected = Outcome::Failed(Failure::Content(Mismatch { offset: 3 }));
        assert_eq!(fetch.outcome(), Some(&expected));
    }

    #[test]
    fn a_404_is_final_and_a_503_or_no_answer_lead_elsewhere() {
        let (mut absent, now) = fetch("f", b"");
        let reaction = absent.on_bytes(now, &answer("404 Not Found", ""));
        assert_eq!(reaction, HttpReaction::End);
        assert!(matches!(
            absent.outcome(),
            Some(Outcome::Refused { code: 1, .. })
        ));
        let (mut busy, now) = fetch("f", b"");
        let reaction = busy.on_bytes(now, &answer("503 Service Unavailable", ""));
        assert_eq!(reaction, HttpReaction::Elsewhere);
        assert_eq!(fetch("f", b"").0.on_end(), HttpReaction::Elsewhere);
        let (mut silent, now) = fetch("f", b"");
        assert_eq!(silent.on_deadline(now), HttpReaction::Wait);
        assert_eq!(silent.on_deadline(now + PATIENCE), HttpReaction::Elsewhere);
    }

    #[test]
    fn half_an_answer_is_a_failure() {
        let (mut fetch, now) = fetch("f", b"right");
        fetch.on_bytes(now, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nri");
        assert_eq!(fetch.on_end(), HttpReaction::End);
        assert!(matches!(fetch.outcome(), Some(Outcome::Failed(_))));
    }
}
