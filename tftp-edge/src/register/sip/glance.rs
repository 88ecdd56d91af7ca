//! What the beginning of a message tells: all there is of a packet the kernel program has sampled.

use super::cisco::{device_in_contact, device_in_reason};
use super::message::{CSeq, Method, Name, NameAddr, StartLine, ascii};
use crate::inventory::DeviceName;

/// What was found before the message was cut. Nothing of it is checked against anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance<'m> {
    /// Of a request, or the one a response answers.
    pub method: Option<Method>,
    /// Of a response.
    pub code: Option<u16>,
    pub call_id: Option<&'m str>,
    /// The user of the To header.
    pub user: Option<&'m str>,
    /// As the Contact or the Reason header has it.
    pub device: Option<DeviceName>,
}

impl<'m> Glance<'m> {
    /// None if the bytes do not begin with SIP. A header whose end is missing is not looked at, but
    /// for the name of the device: that is all in one place.
    pub fn of(bytes: &'m [u8]) -> Option<Self> {
        let mut lines = bytes.split(|&byte| byte == b'\n');
        let line = lines.next()?;
        let mut glance = Self::default();
        match StartLine::parse(line.strip_suffix(b"\r").unwrap_or(line)).ok()? {
            StartLine::Request { method, .. } => glance.method = Some(method),
            StartLine::Response { code, .. } => glance.code = Some(code),
        }
        let whole = bytes.iter().filter(|&&byte| byte == b'\n').count();
        for (at, line) in lines.enumerate() {
            if line.trim_ascii().is_empty() {
                break;
            }
            glance.read(line, at + 1 < whole);
        }
        Some(glance)
    }

    fn read(&mut self, line: &'m [u8], is_whole: bool) {
        let Some(colon) = memchr::memchr(b':', line) else {
            return;
        };
        let value = line[colon + 1..].trim_ascii();
        match Name::of(line[..colon].trim_ascii_end()) {
            Name::Contact => {
                let found = device_in_contact(value);
                self.device = found.or(self.device);
            }
            Name::Reason if self.device.is_none() => {
                self.device = device_in_reason(value);
            }
            Name::CallId if is_whole => self.call_id = ascii(value),
            Name::CSeq if is_whole && self.code.is_some() => {
                self.method = CSeq::parse(value).map(|it| Method::of(it.method));
            }
            Name::To if is_whole => {
                let uri = NameAddr::parse(value).and_then(|it| it.uri());
                self.user = uri.and_then(|it| ascii(it.user?));
            }
            _ => {}
        }
    }
}
