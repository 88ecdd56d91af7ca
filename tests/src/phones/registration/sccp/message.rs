//! SCCP on the wire, the phone's side: a length, a version, an id, a body; all little-endian.

use super::super::Fault;

/// Message ids. Sources: chan-sccp's and Wireshark's tables.
pub(super) mod id {
    pub const KEEP_ALIVE: u32 = 0x0000;
    pub const REGISTER: u32 = 0x0001;
    pub const IP_PORT: u32 = 0x0002;
    pub const FORWARD_STAT_REQ: u32 = 0x0009;
    pub const SPEED_DIAL_STAT_REQ: u32 = 0x000A;
    pub const LINE_STAT_REQ: u32 = 0x000B;
    pub const CONFIG_STAT_REQ: u32 = 0x000C;
    pub const TIME_DATE_REQ: u32 = 0x000D;
    pub const BUTTON_TEMPLATE_REQ: u32 = 0x000E;
    pub const VERSION_REQ: u32 = 0x000F;
    pub const CAPABILITIES_RES: u32 = 0x0010;
    pub const SERVER_REQ: u32 = 0x0012;
    pub const ALARM: u32 = 0x0020;
    pub const SOFT_KEY_SET_REQ: u32 = 0x0025;
    pub const UNREGISTER: u32 = 0x0027;
    pub const SOFT_KEY_TEMPLATE_REQ: u32 = 0x0028;
    pub const REGISTER_TOKEN_REQ: u32 = 0x0029;
    pub const HEADSET_STATUS: u32 = 0x002B;
    pub const REGISTER_AVAILABLE_LINES: u32 = 0x002D;
    pub const SERVICE_URL_STAT_REQ: u32 = 0x0033;
    pub const FEATURE_STAT_REQ: u32 = 0x0034;

    pub const REGISTER_ACK: u32 = 0x0081;
    pub const FORWARD_STAT: u32 = 0x0090;
    pub const SPEED_DIAL_STAT: u32 = 0x0091;
    pub const LINE_STAT: u32 = 0x0092;
    pub const CONFIG_STAT: u32 = 0x0093;
    pub const DEFINE_TIME_DATE: u32 = 0x0094;
    pub const BUTTON_TEMPLATE: u32 = 0x0097;
    pub const VERSION: u32 = 0x0098;
    pub const CAPABILITIES_REQ: u32 = 0x009B;
    pub const REGISTER_REJECT: u32 = 0x009D;
    pub const SERVER_RES: u32 = 0x009E;
    pub const RESET: u32 = 0x009F;
    pub const KEEP_ALIVE_ACK: u32 = 0x0100;
    pub const SOFT_KEY_TEMPLATE_RES: u32 = 0x0108;
    pub const SOFT_KEY_SET_RES: u32 = 0x0109;
    pub const UNREGISTER_ACK: u32 = 0x0118;
    pub const REGISTER_TOKEN_ACK: u32 = 0x011A;
    pub const REGISTER_TOKEN_REJECT: u32 = 0x011B;
    pub const FEATURE_STAT: u32 = 0x011F;
    pub const SERVICE_URL_STAT: u32 = 0x012F;
    pub const CONFIG_STAT_DYNAMIC: u32 = 0x0142;
    pub const FEATURE_STAT_DYNAMIC: u32 = 0x0146;
    pub const LINE_STAT_DYNAMIC: u32 = 0x0147;
    pub const SERVICE_URL_STAT_DYNAMIC: u32 = 0x0148;
    pub const SPEED_DIAL_STAT_DYNAMIC: u32 = 0x0149;
}

/// Before the id: length and version.
const PREFIX: usize = 8;

/// Longer than any message a registrar sends: ServerRes and ServiceURLStat are the longest.
const BODY_MAX: usize = 2048;

/// A message under construction.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(version: u8, id: u32) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(u32::from(version).to_le_bytes());
        bytes.extend(id.to_le_bytes());
        Self(bytes)
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// Text in a field of `len` bytes, cut if need be, with a NUL at its end.
    pub(super) fn text(mut self, text: &str, len: usize) -> Self {
        let fits = text.len().min(len - 1);
        self.0.extend(&text.as_bytes()[..fits]);
        self.0.resize(self.0.len() + len - fits, 0);
        self
    }

    /// Cuts the body to `len` bytes.
    pub(super) fn cut(mut self, len: usize) -> Self {
        self.0.truncate(PREFIX + 4 + len);
        self
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len() - PREFIX).expect("a message is a few bytes");
        self.0[..4].copy_from_slice(&len.to_le_bytes());
        self.0
    }
}

/// A message that came, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) version: u32,
    pub(super) id: u32,
    body: Vec<u8>,
}

impl Message {
    fn short(&self, what: &str) -> Fault {
        let (id, len) = (self.id, self.body.len());
        Fault::new(format!(
            "message {id:#06x} of {len} bytes ends before its {what}"
        ))
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn field(&self, at: usize, len: usize, what: &str) -> Result<&[u8], Fault> {
        let field = self.body.get(at..at + len);
        field.ok_or_else(|| self.short(what))
    }

    pub(super) fn u32(&self, at: usize, what: &str) -> Result<u32, Fault> {
        let field = self.field(at, 4, what)?;
        let word = field.try_into().expect("the field has four bytes");
        Ok(u32::from_le_bytes(word))
    }

    /// Text in a field of `len` bytes.
    pub(super) fn text(&self, at: usize, len: usize, what: &str) -> Result<String, Fault> {
        let field = self.field(at, len, what)?;
        let end = field.iter().position(|&byte| byte == 0);
        let end = end.ok_or_else(|| Fault::new(format!("{what} has no NUL at its end")))?;
        Ok(String::from_utf8_lossy(&field[..end]).into_owned())
    }

    /// Texts from `at` on, each with a NUL behind it.
    pub(super) fn texts(&self, at: usize, what: &str) -> Result<Vec<String>, Fault> {
        let rest = self.body.get(at..).ok_or_else(|| self.short(what))?;
        let Some(last) = rest.iter().rposition(|&byte| byte == 0) else {
            return Err(Fault::new(format!("{what} has no NUL at its end")));
        };
        let texts = rest[..last].split(|&byte| byte == 0);
        let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned());
        Ok(texts.collect())
    }
}

/// Cuts a stream into messages.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
}

impl Stream {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<Message>, Fault> {
        let word = |at: usize| {
            let word = self.bytes.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(word))
        };
        let (Some(len), Some(version), Some(id)) = (word(0), word(4), word(8)) else {
            return Ok(None);
        };
        let len = len as usize;
        if !(4..=BODY_MAX + 4).contains(&len) {
            return Err(Fault::new(format!("message {id:#06x} has length {len}")));
        }
        if self.bytes.len() < PREFIX + len {
            return Ok(None);
        }
        let body = self.bytes[PREFIX + 4..PREFIX + len].to_vec();
        self.bytes.drain(..PREFIX + len);
        if self.bytes.is_empty() {
            // Thousands of phones wait for hours with nothing in it.
            self.bytes = Vec::new();
        }
        Ok(Some(Message { version, id, body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_messages_wherever_it_was_split() {
        let one = Writer::new(0, id::REGISTER_REJECT).text("no", 33).end();
        let other = Writer::new(17, id::LINE_STAT_REQ).u32(2).end();
        assert_eq!(other, [8, 0, 0, 0, 17, 0, 0, 0, 0x0B, 0, 0, 0, 2, 0, 0, 0]);
        let bytes = [one, other].concat();
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
            assert_eq!(found[0].text(0, 33, "text").as_deref(), Ok("no"));
            assert_eq!((found[1].version, found[1].u32(0, "line")), (17, Ok(2)));
        }
    }

    #[test]
    fn a_length_that_no_message_has_is_a_fault() {
        for len in [0_u32, 3, 10_000, u32::MAX] {
            let mut stream = Stream::default();
            stream.push(&len.to_le_bytes());
            stream.push(&[0; 8]);
            assert!(stream.next().is_err(), "{len}");
        }
    }
}
