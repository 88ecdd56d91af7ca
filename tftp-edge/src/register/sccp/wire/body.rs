//! Writing a message: header, fields, length.

use std::net::IpAddr;

use super::frame::HEADER_LEN;
use super::{Charset, Dialect, Outgoing};

/// A message we send.
pub trait Reply {
    /// Which message it is in this dialect: some have a form for short texts and one for any.
    fn message(&self, dialect: Dialect) -> Outgoing;

    fn emit(&self, body: &mut Body<'_>);
}

/// A message without a body.
impl Reply for Outgoing {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        *self
    }

    fn emit(&self, _body: &mut Body<'_>) {}
}

/// Appends a whole message to `out`; says which it was.
pub fn write(reply: &impl Reply, dialect: Dialect, out: &mut Vec<u8>) -> Outgoing {
    let id = reply.message(dialect);
    let start = out.len();
    for field in [0, dialect.header_version(id), id.id()] {
        out.extend(field.to_le_bytes());
    }
    let mut body = Body { out, dialect };
    reply.emit(&mut body);
    // Texts of any length are followed by what aligns the next message.
    let whole = (out.len() - start).next_multiple_of(4);
    out.resize(start + whole, 0);
    let length = (whole - (HEADER_LEN - 4)) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    id
}

/// A body that is being written.
#[derive(Debug)]
pub struct Body<'o> {
    out: &'o mut Vec<u8>,
    dialect: Dialect,
}

impl Body<'_> {
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// A field of `size` bytes: the text as far as it fits, and at least one NUL.
    pub fn text(&mut self, text: &str, size: usize) {
        let start = self.out.len();
        self.encode(text, size - 1);
        self.out.resize(start + size, 0);
    }

    /// A text and its NUL, in `size` bytes at most.
    pub fn string(&mut self, text: &str, size: usize) {
        self.encode(text, size - 1);
        self.out.push(0);
    }

    /// An address in `size` bytes: 4, or 16 with the rest zero. Of IPv6, nothing fits in 4.
    pub fn address(&mut self, address: IpAddr, size: usize) {
        let start = self.out.len();
        match address {
            IpAddr::V4(v4) => self.bytes(&v4.octets()),
            IpAddr::V6(v6) if size >= 16 => self.bytes(&v6.octets()),
            IpAddr::V6(_) => {}
        }
        self.out.resize(start + size, 0);
    }

    /// Whole characters only, in `room` bytes at most. A NUL would end the text.
    fn encode(&mut self, text: &str, room: usize) {
        let end = self.out.len() + room;
        for character in text.chars().filter(|it| *it != '\0') {
            match self.dialect.charset {
                Charset::Utf8 => {
                    let mut bytes = [0; 4];
                    let bytes = character.encode_utf8(&mut bytes).as_bytes();
                    if self.out.len() + bytes.len() > end {
                        return;
                    }
                    self.out.extend_from_slice(bytes);
                }
                Charset::Latin1 => {
                    if self.out.len() == end {
                        return;
                    }
                    self.out.push(u8::try_from(character).unwrap_or(b'?'));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::sccp::wire::{Frame, dialect::dialects};

    struct Text(&'static str, usize);

    impl Reply for Text {
        fn message(&self, _dialect: Dialect) -> Outgoing {
            Outgoing::Version
        }

        fn emit(&self, body: &mut Body<'_>) {
            body.string(self.0, self.1);
        }
    }

    fn body(reply: &impl Reply, charset: Charset) -> Vec<u8> {
        let dialect = Dialect {
            charset,
            ..Dialect::UNKNOWN
        };
        // Whatever is in the buffer before.
        let mut out = vec![7; 3];
        write(reply, dialect, &mut out);
        let (frame, len) = Frame::first(&out[3..]).unwrap().unwrap();
        assert_eq!(len, out.len() - 3);
        frame.body.to_vec()
    }

    #[test]
    fn a_message_has_its_length_and_ends_aligned() {
        assert_eq!(body(&Text("abc", 16), Charset::Utf8), b"abc\0");
        assert_eq!(body(&Text("abcd", 16), Charset::Utf8), b"abcd\0\0\0\0");
        assert_eq!(body(&Outgoing::KeepAliveAck, Charset::Utf8), b"");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(body(&Text("aéé", 5), Charset::Utf8), "aé\0".as_bytes());
        assert_eq!(body(&Text("aéé", 3), Charset::Latin1), b"a\xE9\0\0");
        assert_eq!(body(&Text("→", 3), Charset::Latin1), b"?\0\0\0");
    }

    #[test]
    fn an_empty_message_is_the_same_in_every_version_but_for_its_header() {
        for dialect in dialects() {
            let mut out = Vec::new();
            write(&Outgoing::CapabilitiesReq, dialect, &mut out);
            let version = dialect.header_version(Outgoing::CapabilitiesReq) as u8;
            assert_eq!(out, [4, 0, 0, 0, version, 0, 0, 0, 0x9B, 0, 0, 0]);
        }
    }
}
