//! The Internet checksum (RFC 1071) as a running sum.
//!
//! A [`Sum`] is a one's-complement sum that has not been folded yet. It is kept in memory order: on a
//! little-endian host it is the sum of the RFC with its bytes swapped (section 2, byte order
//! independence), so words are added as they stand in the packet, four bytes at a time, and only
//! [`Sum::finish`] folds the carries, swaps and complements.
//! Nothing loops over a payload here: in the kernel the sum of a block comes from a helper over
//! map memory, and only headers are summed word by word.

use crate::abi::Address;

/// A running one's-complement sum of 16-bit words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// A sum the kernel computed over bytes in memory order (`bpf_csum_diff`).
    #[inline(always)]
    pub const fn from_memory(sum: u32) -> Self {
        Self(sum as u64)
    }

    /// A number that stands in the packet in network order.
    #[inline(always)]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word.to_be() as u64)
    }

    #[inline(always)]
    pub const fn pair(self, high: u8, low: u8) -> Self {
        Self(self.0 + u16::from_ne_bytes([high, low]) as u64)
    }

    /// Four bytes each, as they stand in memory.
    #[inline(always)]
    pub const fn words<const N: usize>(self, words: &[u32; N]) -> Self {
        let mut sum = self.0;
        let mut at = 0;
        while at < N {
            sum += words[at] as u64;
            at += 1;
        }
        Self(sum)
    }

    #[inline(always)]
    pub const fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// An even number of bytes in network order.
    #[inline(always)]
    pub const fn bytes<const N: usize>(self, bytes: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(2)) };
        let mut sum = self;
        let mut at = 0;
        while at + 1 < N {
            sum = sum.pair(bytes[at], bytes[at + 1]);
            at += 2;
        }
        sum
    }

    /// The pseudo-header of RFC 768 or RFC 8200 8.1. IPv4 addresses may stand in their mapped form:
    /// the `ffff` before them is a zero in one's-complement arithmetic.
    #[inline(always)]
    pub const fn pseudo_header(self, from: &Address, to: &Address, udp_len: u16) -> Self {
        const UDP: u16 = 17;
        self.words(from).words(to).word(udp_len).word(UDP)
    }

    /// In memory order.
    #[inline(always)]
    const fn fold(self) -> u16 {
        let mut sum = self.0;
        sum = (sum >> 32) + (sum & 0xffff_ffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum as u16
    }

    /// The checksum as it stands in an IPv4 header.
    #[inline(always)]
    pub const fn finish(self) -> u16 {
        u16::from_be(!self.fold())
    }

    /// The checksum as it stands in a UDP header: zero would mean "none", so it is sent as ffff.
    #[inline(always)]
    pub const fn finish_udp(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            sum => sum,
        }
    }

    /// Whether a sum that included the packet's own checksum comes out right.
    #[inline(always)]
    pub const fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }

    /// Whether the sum of a pseudo-header alone is what stands in `field`: a checksum that a
    /// sender on this host left to an offload that will never run.
    #[inline(always)]
    pub const fn is_pending(self, field: u16) -> bool {
        self.fold() == field.to_be()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 section 4.1, in the plainest form.
    fn model(bytes: &[u8]) -> u16 {
        let mut sum: u32 = 0;
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let sum = Sum::new().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        assert_eq!(Sum::new().word(0xffff).finish(), 0);
        assert_eq!(Sum::new().word(0xffff).finish_udp(), 0xffff);
    }

    #[test]
    fn carries_of_the_carry_are_folded() {
        let mut sum = Sum::new();
        for _ in 0..0x1_0001 {
            sum = sum.word(0xffff);
        }
        assert_eq!(sum.finish(), 0);
    }

    #[test]
    fn mapped_addresses_sum_like_plain_ones() {
        let (a, b) = ([192, 168, 7, 1], [10, 0, 0, 255]);
        let mapped = Sum::new().pseudo_header(&crate::abi::mapped(a), &crate::abi::mapped(b), 20);
        let plain = Sum::new().bytes(&a).bytes(&b).word(20).word(17);
        assert_eq!(mapped.finish(), plain.finish());
    }

    proptest! {
        #[test]
        fn words_agree_with_the_model(bytes: [u8; 64]) {
            prop_assert_eq!(Sum::new().bytes(&bytes).finish(), model(&bytes));
        }

        #[test]
        fn a_memory_order_sum_agrees_with_the_model(bytes: [u8; 64]) {
            let sum: u32 = bytes
                .chunks(2)
                .map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair[1]])))
                .sum();
            prop_assert_eq!(Sum::from_memory(sum).finish(), model(&bytes));
        }
    }
}
