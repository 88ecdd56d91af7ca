//! Ethernet II with up to two VLAN tags (IEEE 802.1Q and 802.1ad).

use crate::wire::Bytes;

/// Both addresses; what an answer swaps.
pub const ADDRESSES_LEN: usize = 12;
/// Addresses and EtherType, without tags.
pub const HEADER_LEN: usize = 14;
pub const TAG_LEN: usize = 4;
/// Shortest frame on a wire, without its check sequence.
pub const MIN_FRAME_LEN: usize = 60;

pub mod ethertype {
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const IPV6: u16 = 0x86dd;
    pub const VLAN: u16 = 0x8100;
    pub const PROVIDER_VLAN: u16 = 0x88a8;
}

/// Whether an EtherType says that a tag follows.
#[inline(always)]
pub const fn is_tag(ethertype: u16) -> bool {
    ethertype == ethertype::VLAN || ethertype == ethertype::PROVIDER_VLAN
}

/// An untagged header, or the part of a tagged one before the first tag's control field.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Ethernet([u16; HEADER_LEN / 2]);

// SAFETY: words without padding.
unsafe impl Bytes for Ethernet {}

impl Ethernet {
    pub const EMPTY: Self = Self([0; HEADER_LEN / 2]);

    #[inline(always)]
    pub const fn destination(&self) -> [u8; 6] {
        address([self.0[0], self.0[1], self.0[2]])
    }

    #[inline(always)]
    pub const fn source(&self) -> [u8; 6] {
        address([self.0[3], self.0[4], self.0[5]])
    }

    #[inline(always)]
    pub const fn ethertype(&self) -> u16 {
        u16::from_be(self.0[6])
    }

    /// Broadcast is a multicast address too (IEEE 802, the group bit).
    #[inline(always)]
    pub const fn is_to_group(&self) -> bool {
        self.0[0].to_ne_bytes()[0] & 1 != 0
    }

    /// The header of the answer, which has the same EtherType.
    #[inline(always)]
    pub const fn swapped(&self) -> Self {
        let [a, b, c, d, e, f, ethertype] = self.0;
        Self([d, e, f, a, b, c, ethertype])
    }
}

#[inline(always)]
const fn address(words: [u16; 3]) -> [u8; 6] {
    let [[a, b], [c, d], [e, f]] = [
        words[0].to_ne_bytes(),
        words[1].to_ne_bytes(),
        words[2].to_ne_bytes(),
    ];
    [a, b, c, d, e, f]
}

/// Two addresses as they stand in a frame.
#[inline(always)]
pub const fn addresses(to: [u8; 6], from: [u8; 6]) -> [u8; ADDRESSES_LEN] {
    [
        to[0], to[1], to[2], to[3], to[4], to[5], from[0], from[1], from[2], from[3], from[4],
        from[5],
    ]
}
