//! Register, and its two answers.

use std::net::Ipv4Addr;

use super::field::{ipv4_at, text_at, u32_at};
use super::{Body, Charset, Dialect, Outgoing, Reply, Version};

/// Fields of Register, by where they begin. Bodies end where the phone's firmware had no more to
/// say: after 44 bytes (7936), 52, 68 (7960), 124 (7941) or 172.
mod at {
    pub const NAME: usize = 0;
    pub const ADDRESS: usize = 24;
    pub const DEVICE_TYPE: usize = 28;
    pub const MAX_STREAMS: usize = 32;
    pub const VERSION: usize = 40;
    pub const FEATURES: usize = 42;
    pub const SHORTEST: usize = 44;
    pub const MAX_LINES: usize = 68;
    pub const LOAD: usize = 92;
    pub const LOAD_LEN: usize = 32;
}

pub(super) const NAME_LEN: usize = 16;

/// The phone's texts are UTF-8, in the features of Register.
const UTF8: u32 = 0x0010;

/// Register 0x0001.
#[derive(Clone, Copy, Debug)]
pub struct Register<'b> {
    body: &'b [u8],
}

impl<'b> Register<'b> {
    /// None if fields are missing that every phone sends.
    pub fn new(body: &'b [u8]) -> Option<Self> {
        (body.len() >= at::SHORTEST).then_some(Self { body })
    }

    /// As the phone spells it.
    pub fn name(&self) -> &'b [u8] {
        text_at(self.body, at::NAME, NAME_LEN).unwrap_or_default()
    }

    /// The phone's own idea of its address.
    pub fn address(&self) -> Ipv4Addr {
        ipv4_at(self.body, at::ADDRESS).unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// The type id of its model.
    pub fn device_type(&self) -> u32 {
        u32_at(self.body, at::DEVICE_TYPE).unwrap_or_default()
    }

    pub fn max_streams(&self) -> u32 {
        u32_at(self.body, at::MAX_STREAMS).unwrap_or_default()
    }

    /// The highest version it speaks.
    pub fn version(&self) -> u8 {
        self.body[at::VERSION]
    }

    pub fn charset(&self) -> Charset {
        let features = [self.body[at::FEATURES], self.body[at::FEATURES + 1]];
        match u32::from(u16::from_le_bytes(features)) & UTF8 {
            0 => Charset::Latin1,
            _ => Charset::Utf8,
        }
    }

    pub fn max_lines(&self) -> Option<u32> {
        u32_at(self.body, at::MAX_LINES)
    }

    /// The firmware it runs.
    pub fn load(&self) -> Option<&'b str> {
        let load = text_at(self.body, at::LOAD, at::LOAD_LEN)?;
        let load = std::str::from_utf8(load).ok()?;
        let is_name = |byte: u8| byte.is_ascii_graphic();
        (!load.is_empty() && load.bytes().all(is_name)).then_some(load)
    }
}

/// RegisterAck 0x0081.
#[derive(Clone, Copy, Debug)]
pub struct RegisterAck<'t> {
    /// Seconds between keepalives to the server the phone is registered with.
    pub keepalive_s: u32,
    /// The same to the next one in its list.
    pub secondary_keepalive_s: u32,
    /// Such as `D.M.Y` or `M/D/YA`; six characters are taken.
    pub date_template: &'t str,
}

impl Reply for RegisterAck<'_> {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::RegisterAck
    }

    fn emit(&self, body: &mut Body<'_>) {
        let version: Version = body.dialect().version;
        body.u32(self.keepalive_s);
        // Six characters and their NUL, and one byte so that the next field is aligned.
        body.text(self.date_template, 7);
        body.u8(0);
        body.u32(self.secondary_keepalive_s);
        body.u8(version.number());
        body.bytes(&version.features());
    }
}

/// RegisterReject 0x009D.
#[derive(Clone, Copy, Debug)]
pub struct RegisterReject<'t> {
    /// Shown on the phone; 31 bytes are taken.
    pub text: &'t str,
}

impl Reply for RegisterReject<'_> {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::RegisterReject
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.text(self.text, 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a 7941 sends it.
    fn body() -> Vec<u8> {
        let mut body = vec![0; 172];
        body[..15].copy_from_slice(b"SEP001122334455");
        body[24..28].copy_from_slice(&[10, 0, 0, 7]);
        body[28..32].copy_from_slice(&115_u32.to_le_bytes());
        body[32] = 5;
        body[40] = 17;
        body[41..44].copy_from_slice(&[0x00, 0x72, 0x85]);
        body[68] = 34;
        body[92..109].copy_from_slice(b"SCCP41.9-3-1SR4-1");
        body
    }

    #[test]
    fn bodies_of_all_five_sizes_are_read_as_far_as_they_go() {
        let whole = body();
        for len in [44, 52, 68, 124, 172] {
            let register = Register::new(&whole[..len]).unwrap();
            assert_eq!(register.name(), b"SEP001122334455");
            assert_eq!(register.address(), Ipv4Addr::new(10, 0, 0, 7));
            assert_eq!(register.device_type(), 115);
            assert_eq!(register.max_streams(), 5);
            assert_eq!(register.version(), 17);
            assert_eq!(register.charset(), Charset::Utf8);
            assert_eq!(register.max_lines(), (len > 68).then_some(34));
            let load = (len >= 124).then_some("SCCP41.9-3-1SR4-1");
            assert_eq!(register.load(), load, "{len}");
        }
        assert!(Register::new(&whole[..43]).is_none());
    }

    #[test]
    fn a_load_that_cannot_be_printed_is_none() {
        let mut body = body();
        body[92] = 0x1B;
        assert_eq!(Register::new(&body).unwrap().load(), None);
        body[92..124].fill(0);
        assert_eq!(Register::new(&body).unwrap().load(), None);
    }

    #[test]
    fn phones_without_the_feature_have_latin_texts() {
        let mut body = body();
        body[42] = 0x60;
        assert_eq!(Register::new(&body).unwrap().charset(), Charset::Latin1);
    }
}
