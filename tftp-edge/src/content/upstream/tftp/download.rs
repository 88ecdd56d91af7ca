//! One file read from a TFTP server, without a socket and without a clock.
//!
//! RFC 1350 with the options of RFC 2347 to 2349, and windows of RFC 7440, without which a file
//! takes a round trip for each block. A window over 1 also has our own kernel program hand the
//! request on, so that another edge's daemon sees the mark on it.
//!
//! A block that came before is never answered: only a gap and the timer make us repeat ourselves,
//! or every packet would be sent twice to the end (RFC 1123 section 4.2.3.1).

use std::time::{Duration, Instant};

use tftp_ebpf::wire::tftp::{DEFAULT_BLKSIZE, ErrorCode, HEADER_LEN, MIN_BLKSIZE, opcode};

use crate::content::upstream::forwarded::{MARK, PSEUDONYM};
use crate::content::upstream::outcome::Failure;

/// Fits an Ethernet frame behind IPv6 and a VLAN tag; phones ask for the same.
const BLKSIZE: u16 = 1428;

/// Blocks for one ACK.
const WINDOW: u16 = 16;

/// To the next sending of what was not answered; doubles up to the second.
const FIRST_RESEND: Duration = Duration::from_secs(1);
const LAST_RESEND: Duration = Duration::from_secs(4);

/// What is told a server that uses a wrong TID, or all of them together, at most.
const MAX_COMPLAINTS: u32 = 3;

/// What to do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    Wait,
    /// Send [`Download::packet`] to the server.
    Send,
    /// Send an ERROR 5 back to where that came from; the transfer goes on.
    Complain,
    /// The file is whole: send [`Download::packet`] a last time.
    Complete,
    /// Send [`Download::packet`] a last time, if there is one.
    Failed(Failure),
}

pub(super) struct Download {
    name: Vec<u8>,
    /// What was sent last, and is sent again when nothing comes.
    packet: Vec<u8>,
    /// The options that were asked for have not been refused yet.
    has_options: bool,
    /// The server's port, once it is known.
    tid: Option<u16>,
    /// The options are settled, by an OACK or by the lack of one.
    is_begun: bool,
    blksize: u16,
    window: u16,
    tsize: Option<u64>,
    /// Blocks that came, in order. Block numbers are its lower 16 bits.
    blocks: u64,
    acknowledged: u64,
    /// The gap before which the server was told where to go on.
    told_gap_at: Option<u64>,
    body: Vec<u8>,
    max_len: u64,
    /// No progress for so long is the end.
    patience: Duration,
    progress_at: Instant,
    resend_at: Instant,
    resend_after: Duration,
    complaints: u32,
}

impl Download {
    /// To be followed by sending [`Self::packet`].
    pub(super) fn new(name: &[u8], max_len: u64, patience: Duration, now: Instant) -> Self {
        let mut download = Self {
            name: name.to_vec(),
            packet: Vec::new(),
            has_options: true,
            tid: None,
            is_begun: false,
            blksize: DEFAULT_BLKSIZE,
            window: 1,
            tsize: None,
            blocks: 0,
            acknowledged: 0,
            told_gap_at: None,
            body: Vec::new(),
            max_len,
            patience,
            progress_at: now,
            resend_at: now,
            resend_after: FIRST_RESEND,
            complaints: 0,
        };
        download.request();
        download.progress(now);
        download
    }

    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// The server's port for this transfer, or none before its first answer.
    pub(super) fn tid(&self) -> Option<u16> {
        self.tid
    }

    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }

    pub(super) fn deadline(&self) -> Instant {
        self.resend_at.min(self.progress_at + self.patience)
    }

    /// The deadline has come.
    pub(super) fn on_timer(&mut self, now: Instant) -> Reaction {
        if now >= self.progress_at + self.patience {
            return self.fail(ErrorCode::NotDefined, Failure::Timeout);
        }
        if now < self.resend_at {
            return Reaction::Wait;
        }
        self.resend_after = (self.resend_after * 2).min(LAST_RESEND);
        self.resend_at = now + self.resend_after;
        if self.is_begun {
            // Of a window some blocks may have come: the server is to go on behind them.
            self.acknowledge();
        }
        Reaction::Send
    }

    /// A datagram from the server's address, from any port of it.
    pub(super) fn on_packet(&mut self, port: u16, packet: &[u8], now: Instant) -> Reaction {
        if self.tid.is_some_and(|tid| tid != port) {
            // RFC 1350 section 4: the stranger is told, the transfer is not disturbed.
            self.complaints += 1;
            return match self.complaints <= MAX_COMPLAINTS && is_stranger(packet) {
                true => Reaction::Complain,
                false => Reaction::Wait,
            };
        }
        let (Some(opcode), Some(number)) = (word(packet, 0), word(packet, 2)) else {
            return Reaction::Wait;
        };
        let behind = &packet[HEADER_LEN.min(packet.len())..];
        match opcode {
            opcode::ERROR => self.on_error(number, now),
            opcode::DATA => {
                self.tid = Some(port);
                self.on_data(number, behind, now)
            }
            opcode::OACK if self.has_options => {
                self.tid = Some(port);
                self.on_oack(&packet[2..], now)
            }
            // Must not disturb the transfer.
            _ => Reaction::Wait,
        }
    }

    fn on_error(&mut self, code: u16, now: Instant) -> Reaction {
        self.packet.clear();
        match ErrorCode::from_u16(code) {
            Some(ErrorCode::FileNotFound) => Reaction::Failed(Failure::NotFound),
            Some(ErrorCode::AccessViolation) => Reaction::Failed(Failure::Forbidden),
            // Once more without them, as RFC 2347 has it.
            Some(ErrorCode::OptionRefused) if self.has_options && !self.is_begun => {
                self.has_options = false;
                self.tid = None;
                self.request();
                self.progress(now);
                Reaction::Send
            }
            _ => Reaction::Failed(Failure::Broken),
        }
    }

    fn on_oack(&mut self, options: &[u8], now: Instant) -> Reaction {
        if self.is_begun {
            // Ours was lost and the timer repeats it, or it is a copy.
            return Reaction::Wait;
        }
        if self.take_options(options).is_none() {
            return self.fail(ErrorCode::OptionRefused, Failure::Broken);
        }
        if self.tsize.is_some_and(|len| len > self.max_len) {
            return self.fail(ErrorCode::DiskFull, Failure::TooLarge);
        }
        self.is_begun = true;
        self.acknowledge();
        self.progress(now);
        Reaction::Send
    }

    /// Nothing that was not asked for, and nothing larger than it.
    fn take_options(&mut self, options: &[u8]) -> Option<()> {
        let mut words = options.strip_suffix(b"\0")?.split(|&byte| byte == 0);
        while let Some(name) = words.next() {
            let value = std::str::from_utf8(words.next()?).ok()?;
            let number = |least: u16, most: u16| {
                let number = value.parse().ok();
                number.filter(|number: &u16| (least..=most).contains(number))
            };
            match name.to_ascii_lowercase().as_slice() {
                b"blksize" => self.blksize = number(MIN_BLKSIZE, BLKSIZE)?,
                b"windowsize" => self.window = number(1, WINDOW)?,
                b"tsize" => self.tsize = Some(value.parse().ok()?),
                name if name == MARK.as_bytes() => {}
                _ => return None,
            }
        }
        Some(())
    }

    fn on_data(&mut self, number: u16, payload: &[u8], now: Instant) -> Reaction {
        self.is_begun = true;
        if payload.len() > usize::from(self.blksize) {
            return self.fail(ErrorCode::IllegalOperation, Failure::Broken);
        }
        let ahead = number.wrapping_sub(self.blocks as u16);
        if ahead != 1 {
            // A window is far smaller than half of the numbers: what is not ahead is behind.
            let is_gap = (2..=WINDOW).contains(&ahead) && self.told_gap_at != Some(self.blocks);
            if !is_gap {
                return Reaction::Wait;
            }
            self.told_gap_at = Some(self.blocks);
            self.acknowledge();
            return Reaction::Send;
        }
        let len = (self.body.len() + payload.len()) as u64;
        if len > self.max_len {
            return self.fail(ErrorCode::DiskFull, Failure::TooLarge);
        }
        if self.tsize.is_some_and(|tsize| len > tsize) {
            return self.fail(ErrorCode::IllegalOperation, Failure::Broken);
        }
        self.body.extend_from_slice(payload);
        self.blocks += 1;
        self.progress(now);
        if payload.len() < usize::from(self.blksize) {
            if self.tsize.is_some_and(|tsize| tsize != len) {
                return self.fail(ErrorCode::IllegalOperation, Failure::Broken);
            }
            self.acknowledge();
            return Reaction::Complete;
        }
        if self.blocks - self.acknowledged >= u64::from(self.window) {
            self.acknowledge();
            return Reaction::Send;
        }
        Reaction::Wait
    }

    fn progress(&mut self, now: Instant) {
        self.progress_at = now;
        self.resend_after = FIRST_RESEND;
        self.resend_at = now + FIRST_RESEND;
    }

    fn request(&mut self) {
        let packet = &mut self.packet;
        packet.clear();
        packet.extend_from_slice(&opcode::RRQ.to_be_bytes());
        let mut word = |word: &[u8]| {
            packet.extend_from_slice(word);
            packet.push(0);
        };
        word(&self.name);
        word(b"octet");
        if self.has_options {
            for (name, value) in [
                ("blksize", BLKSIZE.to_string()),
                ("tsize", "0".to_owned()),
                ("windowsize", WINDOW.to_string()),
                (MARK, PSEUDONYM.to_owned()),
            ] {
                word(name.as_bytes());
                word(value.as_bytes());
            }
        }
    }

    fn acknowledge(&mut self) {
        self.acknowledged = self.blocks;
        self.packet.clear();
        self.packet.extend_from_slice(&opcode::ACK.to_be_bytes());
        self.packet
            .extend_from_slice(&(self.blocks as u16).to_be_bytes());
    }

    /// Tells the server, if it has answered: to a server that has not, nothing is known to listen.
    fn fail(&mut self, code: ErrorCode, failure: Failure) -> Reaction {
        self.packet.clear();
        if self.tid.is_some() {
            self.packet = error(code);
        }
        Reaction::Failed(failure)
    }
}

/// What is answered to a wrong TID: never an ERROR, which would be answered in turn.
fn is_stranger(packet: &[u8]) -> bool {
    matches!(word(packet, 0), Some(opcode::DATA | opcode::OACK))
}

pub(super) fn error(code: ErrorCode) -> Vec<u8> {
    let mut packet = opcode::ERROR.to_be_bytes().to_vec();
    packet.extend_from_slice(&(code as u16).to_be_bytes());
    packet.extend_from_slice(code.text().as_bytes());
    packet.push(0);
    packet
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    let bytes = packet.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests;
