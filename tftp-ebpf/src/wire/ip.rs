//! IPv4 without options (RFC 791) and IPv6 without extension headers (RFC 8200).

use crate::abi::{Address, mapped};
use crate::checksum::Sum;

pub const UDP: u8 = 17;

/// Hop limit of every answer (RFC 1340's default; the request's own is never reused).
const HOP_LIMIT: u8 = 64;

/// An IPv4 header without options.
#[derive(Clone, Copy, Debug)]
pub struct V4(pub [u8; Self::LEN]);

impl V4 {
    pub const LEN: usize = 20;

    /// Version 4, five words long.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.0[0] == 0x45
    }

    /// First or later fragment: more-fragments or an offset.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        u16::from_be_bytes([self.0[6], self.0[7]]) & 0x3fff != 0
    }

    #[inline(always)]
    pub const fn total_len(&self) -> usize {
        u16::from_be_bytes([self.0[2], self.0[3]]) as usize
    }

    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        self.0[9]
    }

    #[inline(always)]
    pub const fn source(&self) -> Address {
        mapped([self.0[12], self.0[13], self.0[14], self.0[15]])
    }

    #[inline(always)]
    pub const fn destination(&self) -> Address {
        mapped([self.0[16], self.0[17], self.0[18], self.0[19]])
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
        let id = identification.to_be_bytes();
        let len = (payload_len + Self::LEN as u16).to_be_bytes();
        let (from, to) = (from[3].to_ne_bytes(), to[3].to_ne_bytes());
        let mut header = [
            0x45, ds_field, len[0], len[1], id[0], id[1], 0, 0, HOP_LIMIT, UDP, 0, 0, from[0],
            from[1], from[2], from[3], to[0], to[1], to[2], to[3],
        ];
        let sum = Sum::new().bytes(&header).finish().to_be_bytes();
        header[10] = sum[0];
        header[11] = sum[1];
        Self(header)
    }
}

/// An IPv6 header.
#[derive(Clone, Copy, Debug)]
pub struct V6(pub [u8; Self::LEN]);

impl V6 {
    pub const LEN: usize = 40;

    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.0[0] >> 4 == 6
    }

    #[inline(always)]
    pub const fn payload_len(&self) -> usize {
        u16::from_be_bytes([self.0[4], self.0[5]]) as usize
    }

    #[inline(always)]
    pub const fn next_header(&self) -> u8 {
        self.0[6]
    }

    #[inline(always)]
    pub const fn source(&self) -> Address {
        [
            self.word::<8>(),
            self.word::<12>(),
            self.word::<16>(),
            self.word::<20>(),
        ]
    }

    #[inline(always)]
    pub const fn destination(&self) -> Address {
        [
            self.word::<24>(),
            self.word::<28>(),
            self.word::<32>(),
            self.word::<36>(),
        ]
    }

    #[inline(always)]
    const fn word<const AT: usize>(&self) -> u32 {
        u32::from_ne_bytes([self.0[AT], self.0[AT + 1], self.0[AT + 2], self.0[AT + 3]])
    }

    #[inline(always)]
    pub const fn emit(from: &Address, to: &Address, ds_field: u8, payload_len: u16) -> Self {
        let len = payload_len.to_be_bytes();
        let mut header = [0; Self::LEN];
        header[0] = 0x60 | ds_field >> 4;
        header[1] = ds_field << 4;
        header[4] = len[0];
        header[5] = len[1];
        header[6] = UDP;
        header[7] = HOP_LIMIT;
        let mut at = 0;
        while at < 4 {
            let (from, to) = (from[at].to_ne_bytes(), to[at].to_ne_bytes());
            let mut byte = 0;
            while byte < 4 {
                header[8 + 4 * at + byte] = from[byte];
                header[24 + 4 * at + byte] = to[byte];
                byte += 1;
            }
            at += 1;
        }
        Self(header)
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
