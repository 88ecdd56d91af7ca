//! UDP (RFC 768).

use crate::checksum::Sum;
use crate::wire::Bytes;

/// A UDP header.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Udp([u32; Self::LEN / 4]);

// SAFETY: words without padding.
unsafe impl Bytes for Udp {}

impl Udp {
    pub const LEN: usize = 8;
    pub const EMPTY: Self = Self([0; Self::LEN / 4]);

    /// Ports stay in network order: they are compared, and swapped, and seldom counted with.
    #[inline(always)]
    pub const fn source_port(&self) -> [u8; 2] {
        let [high, low, _, _] = self.0[0].to_ne_bytes();
        [high, low]
    }

    #[inline(always)]
    pub const fn destination_port(&self) -> [u8; 2] {
        let [_, _, high, low] = self.0[0].to_ne_bytes();
        [high, low]
    }

    /// Header and payload.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        (u32::from_be(self.0[1]) >> 16) as usize
    }

    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len() <= Self::LEN
    }

    #[inline(always)]
    pub const fn checksum(&self) -> u16 {
        u32::from_be(self.0[1]) as u16
    }

    /// What it adds to its own checksum.
    #[inline(always)]
    pub const fn sum(&self) -> Sum {
        Sum::new().words(&self.0)
    }

    /// `rest` is the sum of all that the checksum covers but this header.
    #[inline(always)]
    pub const fn emit(from: [u8; 2], to: [u8; 2], len: u16, rest: Sum) -> Self {
        let ports = u32::from_ne_bytes([from[0], from[1], to[0], to[1]]);
        let header = Self([ports, ((len as u32) << 16).to_be()]);
        let checksum = rest.add(header.sum()).finish_udp();
        Self([ports, ((len as u32) << 16 | checksum as u32).to_be()])
    }
}
