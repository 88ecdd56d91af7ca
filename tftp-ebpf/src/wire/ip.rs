//! IPv4 without options (RFC 791) and IPv6 without extension headers (RFC 8200).

use crate::abi::{Address, mapped};
use crate::checksum::Sum;
use crate::wire::Bytes;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// Whether an IPv6 header of this kind may hide UDP or TCP behind it: hop-by-hop options, routing,
/// fragment or destination options.
#[inline(always)]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, 0 | 43 | 44 | 60)
}

/// Hop limit of every answer (RFC 1340's default; the request's own is never reused).
const HOP_LIMIT: u8 = 64;

/// An IPv4 header without options.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct V4([u32; Self::LEN / 4]);

// SAFETY: words without padding.
unsafe impl Bytes for V4 {}

impl V4 {
    pub const LEN: usize = 20;
    pub const EMPTY: Self = Self([0; Self::LEN / 4]);

    /// Version 4, five words long.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.0[0].to_ne_bytes()[0] == 0x45
    }

    /// First or later fragment: more-fragments or an offset.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.0[1] & word(0, 0x3fff) != 0
    }

    #[inline(always)]
    pub const fn total_len(&self) -> usize {
        let [_, _, high, low] = self.0[0].to_ne_bytes();
        u16::from_be_bytes([high, low]) as usize
    }

    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        self.0[2].to_ne_bytes()[1]
    }

    #[inline(always)]
    pub const fn is_sum_valid(&self) -> bool {
        Sum::new().words(&self.0).is_valid()
    }

    #[inline(always)]
    pub const fn source(&self) -> Address {
        mapped(self.0[3].to_ne_bytes())
    }

    #[inline(always)]
    pub const fn destination(&self) -> Address {
        mapped(self.0[4].to_ne_bytes())
    }

    /// `from` and `to` are in their mapped form.
    ///
    /// Without "don't fragment": a phone behind a tunnel has no path MTU discovery, and TFTP no way
    /// to smaller blocks once one was granted, so a block that does not fit must be cut on the way
    /// or the transfer never ends. A packet that may be cut needs an `identification` of its own
    /// among those in flight (RFC 6864 4.1).
    #[inline(always)]
    pub const fn emit(
        from: &Address,
        to: &Address,
        ds_field: u8,
        identification: u16,
        payload_len: u16,
    ) -> Self {
        let mut words = [
            word(0x4500 | ds_field as u16, payload_len + Self::LEN as u16),
            word(identification, 0),
            word((HOP_LIMIT as u16) << 8 | UDP as u16, 0),
            from[3],
            to[3],
        ];
        let sum = Sum::new().words(&words).finish();
        words[2] |= word(0, sum);
        Self(words)
    }
}

/// Two numbers as they stand in a header.
#[inline(always)]
const fn word(high: u16, low: u16) -> u32 {
    ((high as u32) << 16 | low as u32).to_be()
}

/// An IPv6 header.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct V6([u32; Self::LEN / 4]);

// SAFETY: words without padding.
unsafe impl Bytes for V6 {}

impl V6 {
    pub const LEN: usize = 40;
    pub const EMPTY: Self = Self([0; Self::LEN / 4]);

    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.0[0].to_ne_bytes()[0] >> 4 == 6
    }

    #[inline(always)]
    pub const fn payload_len(&self) -> usize {
        let [high, low, _, _] = self.0[1].to_ne_bytes();
        u16::from_be_bytes([high, low]) as usize
    }

    #[inline(always)]
    pub const fn next_header(&self) -> u8 {
        self.0[1].to_ne_bytes()[2]
    }

    #[inline(always)]
    pub const fn source(&self) -> Address {
        [self.0[2], self.0[3], self.0[4], self.0[5]]
    }

    #[inline(always)]
    pub const fn destination(&self) -> Address {
        [self.0[6], self.0[7], self.0[8], self.0[9]]
    }

    #[inline(always)]
    pub const fn emit(from: &Address, to: &Address, ds_field: u8, payload_len: u16) -> Self {
        Self([
            word(0x6000 | (ds_field as u16) << 4, 0),
            word(payload_len, (UDP as u16) << 8 | HOP_LIMIT as u16),
            from[0],
            from[1],
            from[2],
            from[3],
            to[0],
            to[1],
            to[2],
            to[3],
        ])
    }
}

/// Addresses that mean no single host: nothing may be answered to or from them.
#[inline(always)]
pub const fn is_group(address: &Address, v6: bool) -> bool {
    // IPv4 class D and E hold multicast and the limited broadcast.
    if v6 {
        u32::from_be(address[0]) >> 24 == 0xff
    } else {
        u32::from_be(address[3]) >> 28 >= 14
    }
}

/// Sources that no host on a network has (RFC 1122 3.2.1.3, RFC 4291 2.5).
#[inline(always)]
pub const fn is_impossible_source(address: &Address, v6: bool) -> bool {
    if is_group(address, v6) {
        return true;
    }
    let low = u32::from_be(address[3]);
    if v6 {
        // Unspecified or loopback.
        (address[0] | address[1] | address[2]) == 0 && low <= 1
    } else {
        low >> 24 == 0 || low >> 24 == 127
    }
}
