//! One client reading one file: RFC 1350, with the windows of RFC 7440.
//!
//! No socket and no clock inside: packets and the time come in, datagrams go out through a
//! [`Sink`], and [`Transfer::deadline`] says when to call [`Transfer::on_timer`]. Blocks are
//! counted from 1 without wrapping; only their low 16 bits travel, so 65535 is followed by 0.
//!
//! Until the client's first ACK nobody has proved that it is there (the source of a request is
//! easily forged), so until then there is one datagram at a time and two sends at most.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tftp_ebpf::verdict::Reason;
use tftp_ebpf::wire::tftp::{Granted, Mode, OACK_MAX, Oack, opcode};

use super::netascii::Cursor;
use super::resend::{Policy, ResendTimer};
use crate::content::Version;

/// Sends before the first ACK: the answer and one repeat. The client's own repeats do the rest.
const UNPROVEN_SENDS: u32 = 2;

/// Longest wait before the first ACK, whatever `timeout` was asked for: a forged request must not
/// hold a transfer for minutes.
const UNPROVEN_WAIT: Duration = Duration::from_secs(10);

/// Longest life without a block acknowledged, whatever `timeout` was agreed: at 255 seconds a
/// client that went silent would hold its place for over an hour.
const STALLED: Duration = Duration::from_secs(60);

/// A request repeated this soon after the client's last ACK is a late copy, not a new wish.
const LATE_REQUEST: Duration = Duration::from_secs(1);

/// Takes the datagrams a transfer sends.
pub trait Sink {
    /// One datagram of at most `capacity` bytes; `write` appends it and nothing else.
    fn datagram(&mut self, capacity: usize, write: impl FnOnce(&mut Vec<u8>));
}

impl Sink for Vec<Vec<u8>> {
    fn datagram(&mut self, _capacity: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut datagram = Vec::new();
        write(&mut datagram);
        self.push(datagram);
    }
}

/// What one call sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// DATA packets.
    pub blocks: u64,
    /// Payload bytes in them.
    pub bytes: u64,
    /// Packets, DATA or OACK, that had been sent before.
    pub resent: u64,
}

/// What came of a packet or a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Sent(Sent),
    /// Nothing to do, for this reason.
    Ignored(Reason),
    /// The transfer is over.
    Ended(Reason),
}

/// What a repeated request means to the transfer it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// The first packet went out again.
    Answered(Sent),
    /// The transfer is under way: a late copy of the request.
    Late,
    /// The client has been silent since long before: it means to begin anew.
    Anew,
}

#[derive(Debug)]
enum Payload {
    Octet,
    /// Where each block behind the last acknowledged one begins; the front is block `acked + 1`.
    Netascii(VecDeque<Cursor>),
}

#[derive(Debug)]
pub struct Transfer {
    version: Arc<Version>,
    payload: Payload,
    oack: Option<Granted>,
    /// The client has acknowledged something, so it is where it says it is.
    proved: bool,
    block_len: usize,
    window: u64,
    /// Last block acknowledged, and last block sent; 0 is "none".
    acked: u64,
    sent: u64,
    /// Number of the last block, once it is known.
    last: Option<u64>,
    resend: ResendTimer,
    /// Sends of what is outstanding, answers to repeated requests not counted.
    sends: u32,
    /// Packets that went out again.
    resends: u32,
    /// What is outstanding went out once only, so its ACK tells the round trip (Karn).
    sent_once: bool,
    started: Instant,
    last_send: Instant,
    /// The last ACK that was progress; before it, the beginning.
    last_ack: Instant,
    deadline: Instant,
}

impl Transfer {
    /// Sends the first packet: OACK, or DATA 1 where no option was granted.
    pub fn begin(
        version: Arc<Version>,
        mode: Mode,
        granted: Granted,
        policy: Policy,
        now: Instant,
        jitter: f64,
        sink: &mut impl Sink,
    ) -> (Self, Sent) {
        let block_len = usize::from(granted.block_len());
        let (payload, last) = match mode {
            Mode::Netascii => (Payload::Netascii([Cursor::default()].into()), None),
            Mode::Octet | Mode::Mail => {
                let full = version.bytes.len() / block_len;
                (Payload::Octet, Some(full as u64 + 1))
            }
        };
        let agreed =
            (granted.timeout != 0).then(|| Duration::from_secs(u64::from(granted.timeout)));
        let mut transfer = Self {
            version,
            payload,
            oack: (!granted.is_empty()).then_some(granted),
            proved: false,
            block_len,
            window: u64::from(granted.windowsize.max(1)),
            acked: 0,
            sent: 0,
            last,
            resend: ResendTimer::new(policy, agreed),
            sends: 0,
            resends: 0,
            sent_once: false,
            started: now,
            last_send: now,
            last_ack: now,
            deadline: now,
        };
        let sent = transfer.send(now, jitter, sink);
        (transfer, sent)
    }

    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Whether the client has acknowledged anything yet.
    pub fn is_proved(&self) -> bool {
        self.proved
    }

    /// Whether the transfer began with an OACK.
    pub fn has_oack(&self) -> bool {
        self.oack.is_some()
    }

    /// All blocks were sent, and only the last ACK is missing: most likely the client has them.
    pub fn is_unconfirmed(&self) -> bool {
        self.proved && self.last == Some(self.sent)
    }

    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// Packets that were sent again so far.
    pub fn resends(&self) -> u32 {
        self.resends
    }

    /// When to call [`Self::on_timer`] next.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The client acknowledged the block with this number.
    pub fn on_ack(&mut self, number: u16, now: Instant, jitter: f64, sink: &mut impl Sink) -> Step {
        if self.awaits_oack() {
            if number != 0 {
                return Step::Ignored(Reason::StrayAck);
            }
        } else {
            // At most a window is outstanding, and a window has fewer than 65536 blocks.
            match u64::from(number.wrapping_sub(self.acked as u16)) {
                0 => return Step::Ignored(Reason::DuplicateAck),
                ahead if ahead > self.sent - self.acked => {
                    return Step::Ignored(Reason::StrayAck);
                }
                ahead => self.advance(ahead),
            }
        }
        if self.sent_once {
            self.resend
                .sample(now.saturating_duration_since(self.last_send));
        }
        self.proved = true;
        self.last_ack = now;
        if self.last == Some(self.acked) {
            return Step::Ended(Reason::Complete);
        }
        self.sends = 0;
        Step::Sent(self.send(now, jitter, sink))
    }

    /// The client sent an ERROR, which is never answered (RFC 1350 section 7).
    pub fn on_error(&self) -> Reason {
        if self.awaits_oack() {
            Reason::Probe
        } else {
            Reason::ClientError
        }
    }

    /// The time has come to [`Self::deadline`]: sends what is outstanding again, or gives up.
    pub fn on_timer(&mut self, now: Instant, jitter: f64, sink: &mut impl Sink) -> Step {
        let most = if self.proved {
            self.resend.max_sends()
        } else {
            UNPROVEN_SENDS.min(self.resend.max_sends())
        };
        let stalled = now.saturating_duration_since(self.last_ack) >= STALLED;
        if self.sends >= most || stalled {
            return Step::Ended(Reason::TimedOut);
        }
        self.resend.back_off();
        Step::Sent(self.send(now, jitter, sink))
    }

    /// The client sent its request again, from the same port.
    pub fn on_repeat(&mut self, now: Instant, jitter: f64, sink: &mut impl Sink) -> Repeated {
        if !self.proved {
            // One packet for one packet amplifies nothing, so it does not use up the timer's send.
            let sends = self.sends;
            let sent = self.send(now, jitter, sink);
            self.sends = sends;
            Repeated::Answered(sent)
        } else if now.saturating_duration_since(self.last_ack) < LATE_REQUEST {
            Repeated::Late
        } else {
            Repeated::Anew
        }
    }

    fn awaits_oack(&self) -> bool {
        self.oack.is_some() && !self.proved
    }

    fn advance(&mut self, blocks: u64) {
        self.acked += blocks;
        if let Payload::Netascii(cursors) = &mut self.payload {
            cursors.drain(..blocks as usize);
        }
    }

    /// Sends what is outstanding: the OACK, or the window behind the last acknowledged block.
    fn send(&mut self, now: Instant, jitter: f64, sink: &mut impl Sink) -> Sent {
        let mut sent = Sent::default();
        if self.awaits_oack()
            && let Some(granted) = &self.oack
        {
            sink.datagram(OACK_MAX, |out| {
                let mut oack = Oack::EMPTY;
                granted.encode_oack(&mut oack);
                out.extend_from_slice(oack.as_bytes());
            });
            sent.resent = u64::from(self.sends > 0);
        } else {
            let before = self.sent;
            for block in self.acked + 1..=self.acked + self.window {
                if self.last.is_some_and(|last| block > last) {
                    break;
                }
                sent.bytes += self.send_block(block, sink) as u64;
                sent.blocks += 1;
                sent.resent += u64::from(block <= before);
                self.sent = self.sent.max(block);
            }
        }
        let resent = u32::try_from(sent.resent).unwrap_or(u32::MAX);
        self.resends = self.resends.saturating_add(resent);
        self.sent_once = self.sends == 0;
        self.sends += 1;
        self.last_send = now;
        let mut delay = self.resend.delay(jitter);
        if !self.proved {
            delay = delay.min(UNPROVEN_WAIT);
        }
        self.deadline = (now + delay).min(self.last_ack + STALLED);
        sent
    }

    /// Returns the length of the block's payload.
    fn send_block(&mut self, block: u64, sink: &mut impl Sink) -> usize {
        let mut payload_len = 0;
        let (block_len, bytes) = (self.block_len, &self.version.bytes);
        sink.datagram(4 + block_len, |out| {
            out.extend_from_slice(&opcode::DATA.to_be_bytes());
            out.extend_from_slice(&(block as u16).to_be_bytes());
            let start = out.len();
            match &mut self.payload {
                Payload::Octet => {
                    let from = ((block - 1) as usize) * block_len;
                    let to = (from + block_len).min(bytes.len());
                    out.extend_from_slice(&bytes[from..to]);
                }
                Payload::Netascii(cursors) => {
                    let at = (block - self.acked - 1) as usize;
                    let next = cursors[at].write_block(bytes, block_len, out);
                    if cursors.len() == at + 1 {
                        cursors.push_back(next);
                    }
                }
            }
            payload_len = out.len() - start;
        });
        if payload_len < block_len {
            self.last = Some(block);
        }
        payload_len
    }
}

#[cfg(test)]
mod tests;
