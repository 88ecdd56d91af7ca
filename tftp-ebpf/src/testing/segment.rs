//! Frames with one segment of TCP, built from what a case says about them.

use super::datagram::{Datagram, Endpoint, sum};

pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// A segment of TCP: what is around it is said in the terms of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Addresses, ports, tags, IP header and payload.
    pub around: Datagram,
    pub flags: u8,
    /// A multiple of four bytes.
    pub options: Vec<u8>,
    /// What the header says of its length in words, if that is not true.
    pub words: Option<u8>,
}

impl Default for Segment {
    /// A phone that speaks SCCP.
    fn default() -> Self {
        let around = Datagram::default();
        Self {
            around: Datagram {
                protocol: 6,
                to: Endpoint {
                    port: 2000,
                    ..around.to
                },
                ..around
            },
            flags: PSH | ACK,
            options: Vec::new(),
            words: None,
        }
    }
}

impl Segment {
    pub fn with(self, payload: &[u8]) -> Self {
        Self {
            around: Datagram {
                payload: payload.to_vec(),
                ..self.around
            },
            ..self
        }
    }

    /// The other way.
    pub fn back(self) -> Self {
        Self {
            around: Datagram {
                from: self.around.to,
                to: self.around.from,
                ..self.around
            },
            ..self
        }
    }

    pub fn frame(&self) -> Vec<u8> {
        let around = &self.around;
        let words = self.words.unwrap_or(5 + self.options.len() as u8 / 4);
        let mut tcp = Vec::new();
        tcp.extend_from_slice(&around.from.port.to_be_bytes());
        tcp.extend_from_slice(&around.to.port.to_be_bytes());
        tcp.extend_from_slice(&0x1234_5678_u32.to_be_bytes());
        tcp.extend_from_slice(&0x0bad_cafe_u32.to_be_bytes());
        tcp.extend_from_slice(&[words << 4, self.flags, 0x72, 0x10, 0, 0, 0, 0]);
        tcp.extend_from_slice(&self.options);
        tcp.extend_from_slice(&around.payload);
        let pseudo = around.pseudo_header(tcp.len() as u16);
        let checksum = (!sum(&[&pseudo[..], &tcp].concat())).to_be_bytes();
        tcp[16..18].copy_from_slice(&checksum);
        around.frame_of(&tcp)
    }
}
