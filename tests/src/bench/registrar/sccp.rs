//! An SCCP phone as far as it registers, without sockets: from Register to the time of day, and
//! the keepalives after it. Message ids as Wireshark's dissector has them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};

use super::population;
use super::talk::{Progress, Talk};

/// What the phone speaks.
const VERSION: u8 = 11;

/// Bytes before the body: length, version, message id; the length counts the id and the body.
const HEADER_LEN: usize = 12;
const UNCOUNTED_LEN: usize = 8;

/// No message to a phone is longer.
const MOST_LEN: usize = 8 * 1024;

/// What the phone sends.
mod says {
    pub const KEEP_ALIVE: u32 = 0x0000;
    pub const REGISTER: u32 = 0x0001;
    pub const FORWARD_STAT_REQ: u32 = 0x0009;
    pub const LINE_STAT_REQ: u32 = 0x000b;
    pub const CONFIG_STAT_REQ: u32 = 0x000c;
    pub const TIME_DATE_REQ: u32 = 0x000d;
    pub const BUTTON_TEMPLATE_REQ: u32 = 0x000e;
    pub const CAPABILITIES_RES: u32 = 0x0010;
    pub const ALARM: u32 = 0x0020;
    pub const SOFT_KEY_SET_REQ: u32 = 0x0025;
    pub const SOFT_KEY_TEMPLATE_REQ: u32 = 0x0028;
    pub const REGISTER_AVAILABLE_LINES: u32 = 0x002d;
}

/// What it hears, and waits for.
mod hears {
    #[cfg(test)]
    pub const REGISTER_ACK: u32 = 0x0081;
    pub const FORWARD_STAT: u32 = 0x0090;
    pub const LINE_STAT: u32 = 0x0092;
    pub const LINE_STAT_DYNAMIC: u32 = 0x0147;
    pub const CONFIG_STAT: u32 = 0x0093;
    pub const CONFIG_STAT_DYNAMIC: u32 = 0x0142;
    pub const DEFINE_TIME_DATE: u32 = 0x0094;
    pub const BUTTON_TEMPLATE: u32 = 0x0097;
    pub const CAPABILITIES_REQ: u32 = 0x009b;
    pub const REGISTER_REJECT: u32 = 0x009d;
    pub const KEEP_ALIVE_ACK: u32 = 0x0100;
    pub const SOFT_KEY_TEMPLATE_RES: u32 = 0x0108;
    pub const SOFT_KEY_SET_RES: u32 = 0x0109;
}

/// One phone with one line.
#[derive(Debug)]
pub struct SccpPhone {
    number: u32,
    from: IpAddr,
}

impl SccpPhone {
    pub fn new(number: u32) -> Self {
        Self {
            number,
            from: population::address(number).into(),
        }
    }

    /// Register as a phone of protocol version 11 sends it: 68 bytes.
    fn body_of_register(&self) -> [u8; 68] {
        let mut body = [0; 68];
        let name = population::device(self.number);
        body[..name.len()].copy_from_slice(name.as_bytes());
        if let IpAddr::V4(address) = self.from {
            body[24..28].copy_from_slice(&address.octets());
        }
        let mut put = |at: usize, value: u32| {
            body[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        put(20, 1);
        put(28, population::SCCP_MODEL.1);
        put(32, 5);
        body[40] = VERSION;
        body[41..44].copy_from_slice(&[0x00, 0x60, 0x85]);
        body
    }

    fn body_of_alarm(&self) -> Vec<u8> {
        let mut body = 2u32.to_le_bytes().to_vec();
        let device = population::device(self.number);
        let text = format!("25: Name={device} Load=8.1(2.0) Last=Initialized");
        body.extend_from_slice(text.as_bytes());
        body.resize(4 + 80 + 8, 0);
        body
    }

    /// What the phone says when it has heard `id`.
    fn react(id: u32, out: &mut Vec<u8>) -> Progress {
        let one = 1u32.to_le_bytes();
        match id {
            hears::CAPABILITIES_REQ => {
                message(says::CAPABILITIES_RES, &capabilities(), out);
                message(says::BUTTON_TEMPLATE_REQ, &[], out);
            }
            hears::BUTTON_TEMPLATE => message(says::SOFT_KEY_TEMPLATE_REQ, &[], out),
            hears::SOFT_KEY_TEMPLATE_RES => message(says::SOFT_KEY_SET_REQ, &[], out),
            hears::SOFT_KEY_SET_RES => message(says::CONFIG_STAT_REQ, &[], out),
            hears::CONFIG_STAT | hears::CONFIG_STAT_DYNAMIC => {
                message(says::LINE_STAT_REQ, &one, out);
            }
            hears::LINE_STAT | hears::LINE_STAT_DYNAMIC => {
                message(says::FORWARD_STAT_REQ, &one, out);
            }
            hears::FORWARD_STAT => {
                message(says::REGISTER_AVAILABLE_LINES, &one, out);
                message(says::TIME_DATE_REQ, &[], out);
            }
            hears::DEFINE_TIME_DATE | hears::KEEP_ALIVE_ACK => return Progress::Done,
            hears::REGISTER_REJECT => return Progress::Refused("rejected".to_owned()),
            // RegisterAck, too, is followed by what asks for an answer; the rest is shown or kept.
            _ => {}
        }
        Progress::Wait
    }
}

impl Talk for SccpPhone {
    fn register(&mut self, from: SocketAddr, out: &mut Vec<u8>) {
        self.from = from.ip();
        message(says::ALARM, &self.body_of_alarm(), out);
        message(says::REGISTER, &self.body_of_register(), out);
    }

    fn refresh(&mut self, out: &mut Vec<u8>) {
        message(says::KEEP_ALIVE, &[], out);
    }

    fn take(&mut self, incoming: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<Progress> {
        let mut progress = Progress::Wait;
        let mut at = 0;
        while let Some((id, len)) = frame(&incoming[at..])? {
            at += len;
            match Self::react(id, out) {
                Progress::Wait => {}
                end => progress = end,
            }
        }
        incoming.drain(..at);
        Ok(progress)
    }
}

fn message(id: u32, body: &[u8], out: &mut Vec<u8>) {
    let len = (HEADER_LEN - UNCOUNTED_LEN + body.len()) as u32;
    for word in [len, 0, id] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(body);
}

/// G.711 in both its laws, and G.729, each with the frames of a packet.
fn capabilities() -> Vec<u8> {
    let codecs: [u32; 3] = [4, 2, 11];
    let mut body = (codecs.len() as u32).to_le_bytes().to_vec();
    for codec in codecs {
        body.extend_from_slice(&codec.to_le_bytes());
        body.extend_from_slice(&40u32.to_le_bytes());
        body.extend_from_slice(&[0; 8]);
    }
    body
}

/// The id and the length of the message a stream begins with, if all of it is there.
fn frame(stream: &[u8]) -> Result<Option<(u32, usize)>> {
    let word = |at: usize| -> Option<u32> {
        let bytes = stream.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (Some(counted), Some(id)) = (word(0), word(8)) else {
        return Ok(None);
    };
    let len = UNCOUNTED_LEN + counted as usize;
    ensure!(
        (HEADER_LEN..=MOST_LEN).contains(&len),
        "a message of {len} bytes"
    );
    Ok((stream.len() >= len).then_some((id, len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_asks_for_one_thing_after_the_other_until_it_knows_the_time() {
        let mut phone = SccpPhone::new(7);
        let (mut incoming, mut out) = (Vec::new(), Vec::new());
        phone.register("10.80.1.7:5000".parse().unwrap(), &mut out);
        let (first, len) = frame(&out).unwrap().unwrap();
        assert_eq!(first, says::ALARM);
        assert_eq!(frame(&out[len..]).unwrap(), Some((says::REGISTER, 80)));
        out.clear();
        message(hears::REGISTER_ACK, &[0; 20], &mut incoming);
        message(hears::CAPABILITIES_REQ, &[], &mut incoming);
        let half = incoming.split_off(20);
        assert_eq!(phone.take(&mut incoming, &mut out).unwrap(), Progress::Wait);
        assert!(out.is_empty());
        incoming.extend_from_slice(&half);
        assert_eq!(phone.take(&mut incoming, &mut out).unwrap(), Progress::Wait);
        assert!(incoming.is_empty() && !out.is_empty());
        message(hears::DEFINE_TIME_DATE, &[0; 36], &mut incoming);
        assert_eq!(phone.take(&mut incoming, &mut out).unwrap(), Progress::Done);
    }
}
