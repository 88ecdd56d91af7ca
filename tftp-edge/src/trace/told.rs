//! What a trace tells: one line of JSON each over the control socket.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::packet::{Decision, Direction, Via};
use crate::inventory::DeviceName;

/// One thing that a trace tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Nothing is known of where the device is.
    Waiting {
        device: DeviceName,
    },
    /// From here on the packets of these addresses are told.
    Watching {
        addresses: Vec<IpAddr>,
        /// Interfaces with the kernel program; on all others everything is told by the host.
        sources: Vec<Source>,
    },
    Packet(Box<TracedPacket>),
    /// Packets that were not told, so far.
    Lost(Lost),
    Ended {
        because: Ending,
        packets: u64,
        bytes: u64,
        lost: Lost,
    },
}

/// Who tells of the packets of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub interface: String,
    pub incoming: Via,
    pub outgoing: Vec<Via>,
}

/// One packet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedPacket {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    pub interface: String,
    pub direction: Direction,
    pub via: Via,
    /// Bytes of the frame, its tags among them.
    pub len: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Addresses, with ports where there are any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    pub protocol: String,
    /// What it says, without what is secret in it.
    pub summary: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
    /// The frame in hexadecimal digits, if it was asked for: whole but for the longest, and with
    /// everything that is secret in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
}

impl TracedPacket {
    /// What was done with it, in one line.
    pub fn decided(&self) -> String {
        let each = self.decisions.iter().map(ToString::to_string);
        each.collect::<Vec<_>>().join("; ")
    }
}

/// Packets that were not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The kernel program's ring was full.
    pub ring: u64,
    /// The packet socket's buffer was full.
    pub socket: u64,
    /// Whoever reads the trace was too slow.
    pub reader: u64,
}

impl Lost {
    pub fn sum(self) -> u64 {
        self.ring + self.socket + self.reader
    }
}

/// Why a trace is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Time,
    Packets,
    Bytes,
    /// The daemon stops.
    Stopped,
    Failed(String),
}

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(nibble)]));
        }
    }
    text
}

/// What `to_hex` has written; `None` for anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    // Two hex digits are below 256.
    pairs
        .map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_the_way_through_json() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        assert_eq!(to_hex(&[0, 0x0f, 0xa0]), "000fa0");
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("0g"), None);
    }

    #[test]
    fn what_is_told_is_read_as_it_was_written() {
        let ended = Told::Ended {
            because: Ending::Packets,
            packets: 3,
            bytes: 180,
            lost: Lost::default(),
        };
        let text = serde_json::to_string(&ended).unwrap();
        assert_eq!(
            text,
            r#"{"ended":{"because":"packets","packets":3,"bytes":180,"lost":{"ring":0,"socket":0,"reader":0}}}"#
        );
        assert_eq!(serde_json::from_str::<Told>(&text).unwrap(), ended);
    }
}
