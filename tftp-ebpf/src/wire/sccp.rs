//! SCCP (Skinny), as far as its message id: what every message begins with.
//!
//! Twelve bytes: the length of all that follows the second word, a header version, and the message
//! id, each a 32-bit number with its lowest byte first. Nothing marks where a message begins, so a
//! segment of TCP that begins in mid-message is told by numbers that no message has.

use crate::wire::Bytes;

/// Length, header version and message id.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Header([u32; Self::LEN / 4]);

// SAFETY: words without padding.
unsafe impl Bytes for Header {}

/// The message ids the kernel program tells apart.
pub mod message {
    pub const KEEPALIVE: u32 = 0x0000;
    pub const REGISTER: u32 = 0x0001;
    pub const ALARM: u32 = 0x0020;
    pub const UNREGISTER: u32 = 0x0027;
    pub const REGISTER_TOKEN: u32 = 0x0029;
    pub const REGISTER_ACK: u32 = 0x0081;
    pub const REGISTER_REJECT: u32 = 0x009d;
    pub const RESET: u32 = 0x009f;
    pub const KEEPALIVE_ACK: u32 = 0x0100;
    pub const TOKEN_ACK: u32 = 0x011a;
    pub const TOKEN_REJECT: u32 = 0x011b;
    /// The alarm of newer phones, in XML.
    pub const XML_ALARM: u32 = 0x015a;
    /// The same in SPCP, the dialect of the SPA phones.
    pub const SPCP_TOKEN: u32 = 0x8000;
    pub const SPCP_TOKEN_ACK: u32 = 0x8100;
    pub const SPCP_TOKEN_REJECT: u32 = 0x8101;
}

/// Where Register and RegisterTokenReq have the device's name, counted from the header.
pub const DEVICE_AT: usize = Header::LEN;
pub const DEVICE_LEN: usize = 16;

impl Header {
    pub const LEN: usize = 12;
    pub const EMPTY: Self = Self([0; Self::LEN / 4]);

    /// The shortest there is: an id and no body.
    const MIN_LEN: u32 = 4;
    /// Twice the longest known message, an alarm of 2,048 bytes of XML.
    const MAX_LEN: u32 = 4096;
    /// The highest protocol version is 22; phones of before 10 say 0 here.
    const MAX_VERSION: u32 = 31;
    /// Ids are grouped below these two.
    const MAX_ID: u32 = 0x1fff;
    const SPCP_IDS: core::ops::RangeInclusive<u32> = 0x8000..=0x81ff;

    /// Bytes behind the second word: the id and the body.
    #[inline(always)]
    pub const fn len(&self) -> u32 {
        u32::from_le(self.0[0])
    }

    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len() <= Self::MIN_LEN
    }

    #[inline(always)]
    pub const fn version(&self) -> u32 {
        u32::from_le(self.0[1])
    }

    #[inline(always)]
    pub const fn id(&self) -> u32 {
        u32::from_le(self.0[2])
    }

    /// Whether a message may begin so.
    #[inline(always)]
    pub const fn is_plausible(&self) -> bool {
        let (len, id) = (self.len(), self.id());
        let is_spcp = id >= *Self::SPCP_IDS.start() && id <= *Self::SPCP_IDS.end();
        len >= Self::MIN_LEN
            && len <= Self::MAX_LEN
            && self.version() <= Self::MAX_VERSION
            && (id <= Self::MAX_ID || is_spcp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(len: u32, version: u32, id: u32) -> Header {
        let mut header = Header::EMPTY;
        let words = [len, version, id].map(u32::to_le_bytes);
        header.as_bytes_mut().copy_from_slice(&words.concat());
        header
    }

    #[test]
    fn the_lowest_byte_comes_first() {
        let mut header = Header::EMPTY;
        let bytes = [0x38, 0, 0, 0, 0x11, 0, 0, 0, 0x9d, 0, 0, 0];
        header.as_bytes_mut().copy_from_slice(&bytes);
        assert_eq!(
            (header.len(), header.version(), header.id()),
            (0x38, 17, message::REGISTER_REJECT)
        );
    }

    #[test]
    fn numbers_no_message_has_tell_that_none_begins_here() {
        assert!(read(4, 0, message::KEEPALIVE).is_plausible());
        assert!(read(176, 22, message::REGISTER).is_plausible());
        assert!(read(40, 0, message::SPCP_TOKEN).is_plausible());
        // Shorter than its own id, longer than any, a version nobody speaks.
        assert!(!read(3, 0, message::KEEPALIVE).is_plausible());
        assert!(!read(4097, 0, message::REGISTER).is_plausible());
        assert!(!read(4, 32, message::KEEPALIVE).is_plausible());
        assert!(!read(4, 0, 0x7fff).is_plausible());
        // The middle of a name, or of nothing but zeros.
        assert!(!read(0x5045_5300, 0x3030_3030, 0x3030_3030).is_plausible());
        assert!(!read(0, 0, 0).is_plausible());
    }
}
