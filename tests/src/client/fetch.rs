//! One file from one server, without sockets or a clock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tftp_ebpf::wire::tftp::{DEFAULT_BLKSIZE, MIN_BLKSIZE, opcode};

use super::{Mismatch, Request, Sink};

/// When a client sends its last packet again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Wait after the first send; doubled after each further one.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
    /// Sends of one packet before the client gives up.
    pub sends: u32,
}

impl Default for Retry {
    /// As a 7821 begins; no trace shows how it ends.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(4),
            sends: 8,
        }
    }
}

impl Retry {
    fn wait(&self, sends: u32) -> Duration {
        let doublings = sends.saturating_sub(1).min(16);
        self.longest.min(self.first * (1 << doublings))
    }
}

/// What to do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing until the next datagram or the deadline.
    Wait,
    /// Send what [`Fetch::transmit`] gives.
    Send,
    /// Send it, and the transfer is over: see [`Fetch::outcome`].
    SendAndEnd,
    /// The transfer is over.
    End,
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every block came, and the sink took it.
    Complete,
    /// The server said ERROR.
    Refused {
        code: u16,
        text: String,
    },
    Failed(Failure),
}

/// What a server may not do, or not let happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("no answer to {sends} sends, after block {block}")]
    Timeout { sends: u32, block: u64 },
    #[error("byte {} is not the expected one", .0.offset)]
    Content(Mismatch),
    #[error("{len} bytes came, but tsize had said {tsize}")]
    Size { len: u64, tsize: u64 },
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

/// What happened on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Payload bytes taken, each counted once.
    pub bytes: u64,
    /// Blocks taken, each counted once.
    pub blocks: u64,
    /// Packets this client sent again.
    pub resends: u32,
    /// DATA or OACK that had already come.
    pub duplicates: u32,
    /// Datagrams from an address or a port that is not the transfer's.
    pub foreign: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outstanding {
    Request,
    Ack(u16),
}

/// A transfer under way.
#[derive(Debug)]
pub struct Fetch<S> {
    server: SocketAddr,
    request: Request,
    retry: Retry,
    sink: S,
    tid: Option<u16>,
    outstanding: Outstanding,
    /// Sends of what is outstanding.
    sends: u32,
    deadline: Instant,
    started: Instant,
    first_answer: Option<Instant>,
    blksize: usize,
    window: u64,
    tsize: Option<u64>,
    oack: bool,
    /// The last block taken, not wrapped; zero before the first.
    block: u64,
    acked: u64,
    tally: Tally,
    outcome: Option<Outcome>,
}

impl<S: Sink> Fetch<S> {
    /// The caller sends what [`Fetch::transmit`] gives right away.
    pub fn new(server: SocketAddr, request: Request, retry: Retry, sink: S, now: Instant) -> Self {
        Self {
            server,
            request,
            retry,
            sink,
            tid: None,
            outstanding: Outstanding::Request,
            sends: 1,
            deadline: now + retry.wait(1),
            started: now,
            first_answer: None,
            blksize: DEFAULT_BLKSIZE.into(),
            window: 1,
            tsize: None,
            oack: false,
            block: 0,
            acked: 0,
            tally: Tally::default(),
            outcome: None,
        }
    }

    /// Writes the packet to be sent, and says where to.
    pub fn transmit(&self, out: &mut Vec<u8>) -> SocketAddr {
        out.clear();
        match self.outstanding {
            Outstanding::Request => self.request.encode(out),
            Outstanding::Ack(block) => {
                out.extend_from_slice(&opcode::ACK.to_be_bytes());
                out.extend_from_slice(&block.to_be_bytes());
            }
        }
        let mut to = self.server;
        if let Some(tid) = self.tid {
            to.set_port(tid);
        }
        to
    }

    /// When [`Fetch::on_deadline`] wants to be called.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    pub fn on_deadline(&mut self, now: Instant) -> Reaction {
        if self.outcome.is_some() {
            return Reaction::End;
        }
        if now < self.deadline {
            return Reaction::Wait;
        }
        if self.sends >= self.retry.sends {
            return self.fail(Failure::Timeout {
                sends: self.sends,
                block: self.block,
            });
        }
        self.sends += 1;
        self.tally.resends += 1;
        self.deadline = now + self.retry.wait(self.sends);
        if self.block > self.acked {
            // Lost in mid-window: let it go on behind what has come (RFC 7440 section 4).
            self.acked = self.block;
            self.outstanding = Outstanding::Ack(self.block as u16);
        }
        Reaction::Send
    }

    pub fn on_datagram(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> Reaction {
        if self.outcome.is_some() {
            return Reaction::End;
        }
        // RFC 1350 section 4: a transfer is the pair of TIDs. The first answer names the server's.
        if from.ip() != self.server.ip() || self.tid.is_some_and(|tid| tid != from.port()) {
            self.tally.foreign += 1;
            return Reaction::Wait;
        }
        let [op_high, op_low, rest @ ..] = packet else {
            return self.break_off("a packet without an opcode");
        };
        self.tid = Some(from.port());
        self.first_answer.get_or_insert(now);
        match u16::from_be_bytes([*op_high, *op_low]) {
            opcode::DATA => match rest {
                [high, low, payload @ ..] => {
                    self.on_data(now, u16::from_be_bytes([*high, *low]), payload)
                }
                _ => self.break_off("DATA without a block number"),
            },
            opcode::OACK => self.on_oack(now, rest),
            opcode::ERROR => match rest {
                [high, low, text @ ..] => {
                    let text = text.strip_suffix(&[0]).unwrap_or(text);
                    self.outcome = Some(Outcome::Refused {
                        code: u16::from_be_bytes([*high, *low]),
                        text: String::from_utf8_lossy(text).into_owned(),
                    });
                    Reaction::End
                }
                _ => self.break_off("ERROR without a code"),
            },
            other => self.break_off(&format!("opcode {other} to a reader")),
        }
    }

    fn on_oack(&mut self, now: Instant, options: &[u8]) -> Reaction {
        if self.block > 0 {
            self.tally.duplicates += 1;
            return Reaction::Wait;
        }
        if self.oack {
            self.tally.duplicates += 1;
            return Reaction::Send;
        }
        if let Err(broken) = self.take_options(options) {
            return self.break_off(&broken);
        }
        self.oack = true;
        self.acknowledge(now)
    }

    /// RFC 2347: an answer to what was asked, and to nothing else.
    fn take_options(&mut self, options: &[u8]) -> Result<(), String> {
        let asked = self.request.options;
        let text = std::str::from_utf8(options).map_err(|_| "OACK with bytes that are no text")?;
        let text = text
            .strip_suffix('\0')
            .ok_or("OACK does not end with a NUL")?;
        let words: Vec<&str> = text.split('\0').collect();
        if !words.len().is_multiple_of(2) {
            return Err(format!("OACK with an odd number of words: {words:?}"));
        }
        for pair in words.chunks_exact(2) {
            let (name, value) = (pair[0].to_ascii_lowercase(), pair[1]);
            let number: u64 = value
                .parse()
                .map_err(|_| format!("OACK with {name} of {value:?}"))?;
            let sound = match name.as_str() {
                "blksize" => {
                    self.blksize = number as usize;
                    number >= MIN_BLKSIZE.into() && number <= asked.blksize.into()
                }
                "windowsize" => {
                    self.window = number;
                    number >= 1 && number <= asked.windowsize.into()
                }
                "timeout" => asked.timeout != 0 && number == u64::from(asked.timeout),
                "tsize" => {
                    self.tsize = Some(number);
                    asked.tsize
                }
                _ => false,
            };
            if !sound {
                return Err(format!("OACK says {name}={value}; asked was {asked:?}"));
            }
        }
        Ok(())
    }

    fn on_data(&mut self, now: Instant, number: u16, payload: &[u8]) -> Reaction {
        let ahead = number.wrapping_sub(self.block as u16);
        if ahead != 1 {
            return self.on_other_block(now, ahead);
        }
        if self.block == 0 && !self.oack && self.request.has_options() {
            // The server knows no options: RFC 2347 lets it answer with plain DATA.
            self.blksize = DEFAULT_BLKSIZE.into();
        }
        if payload.len() > self.blksize {
            let len = payload.len();
            return self.break_off(&format!("{len} bytes in a block of {}", self.blksize));
        }
        if let Err(mismatch) = self.sink.block(payload) {
            return self.fail(Failure::Content(mismatch));
        }
        self.block += 1;
        self.tally.blocks += 1;
        self.tally.bytes += payload.len() as u64;
        if payload.len() < self.blksize {
            return self.finish(now);
        }
        if self.block - self.acked >= self.window {
            return self.acknowledge(now);
        }
        self.sends = 1;
        self.deadline = now + self.retry.wait(1);
        Reaction::Wait
    }

    /// DATA that is not the next: `ahead` blocks after the last taken, modulo 65536.
    fn on_other_block(&mut self, now: Instant, ahead: u16) -> Reaction {
        if ahead == 0 && self.block > 0 {
            self.tally.duplicates += 1;
            // Our ACK may be lost. The server does not answer it twice (RFC 1123 4.2.3.1).
            return if self.block == self.acked {
                Reaction::Send
            } else {
                Reaction::Wait
            };
        }
        if ahead > 0x8000 || ahead == 0 {
            self.tally.duplicates += 1;
            return Reaction::Wait;
        }
        if u64::from(ahead) <= self.window {
            // A block of the window is lost: say once where to go on (RFC 7440 section 4).
            if self.block > self.acked {
                return self.acknowledge(now);
            }
            return Reaction::Wait;
        }
        let block = self.block;
        self.break_off(&format!("DATA {ahead} blocks after block {block}"))
    }

    fn finish(&mut self, now: Instant) -> Reaction {
        if let Err(mismatch) = self.sink.end() {
            return self.fail(Failure::Content(mismatch));
        }
        if let Some(tsize) = self.tsize
            && tsize != self.tally.bytes
        {
            let len = self.tally.bytes;
            return self.fail(Failure::Size { len, tsize });
        }
        self.acknowledge(now);
        self.outcome = Some(Outcome::Complete);
        Reaction::SendAndEnd
    }

    fn acknowledge(&mut self, now: Instant) -> Reaction {
        self.acked = self.block;
        self.outstanding = Outstanding::Ack(self.block as u16);
        self.sends = 1;
        self.deadline = now + self.retry.wait(1);
        Reaction::Send
    }

    fn fail(&mut self, failure: Failure) -> Reaction {
        self.outcome = Some(Outcome::Failed(failure));
        Reaction::End
    }

    fn break_off(&mut self, what: &str) -> Reaction {
        self.fail(Failure::Protocol(what.to_owned()))
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The block size the server granted, or 512.
    pub fn blksize(&self) -> usize {
        self.blksize
    }

    /// The size the server told, if it told one.
    pub fn tsize(&self) -> Option<u64> {
        self.tsize
    }

    /// From which port the server answers.
    pub fn tid(&self) -> Option<u16> {
        self.tid
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    /// When the first answer came.
    pub fn first_answer(&self) -> Option<Instant> {
        self.first_answer
    }

    pub fn into_sink(self) -> S {
        self.sink
    }
}

#[cfg(test)]
mod tests;
