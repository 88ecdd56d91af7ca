//! Ethernet II with up to two VLAN tags (IEEE 802.1Q and 802.1ad).

/// Both addresses; what an answer swaps.
pub const ADDRESSES_LEN: usize = 12;
/// Addresses and EtherType, without tags.
pub const HEADER_LEN: usize = 14;
pub const TAG_LEN: usize = 4;
/// Shortest frame on a wire, without its check sequence.
pub const MIN_FRAME_LEN: usize = 60;

pub mod ethertype {
    pub const IPV4: u16 = 0x0800;
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
pub struct Ethernet(pub [u8; HEADER_LEN]);

impl Ethernet {
    #[inline(always)]
    pub const fn destination(&self) -> [u8; 6] {
        [
            self.0[0], self.0[1], self.0[2], self.0[3], self.0[4], self.0[5],
        ]
    }

    #[inline(always)]
    pub const fn source(&self) -> [u8; 6] {
        [
            self.0[6], self.0[7], self.0[8], self.0[9], self.0[10], self.0[11],
        ]
    }

    #[inline(always)]
    pub const fn ethertype(&self) -> u16 {
        u16::from_be_bytes([self.0[12], self.0[13]])
    }

    /// Broadcast is a multicast address too (IEEE 802, the group bit).
    #[inline(always)]
    pub const fn is_to_group(&self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Both addresses as the answer carries them.
    #[inline(always)]
    pub const fn swapped(&self) -> [u8; ADDRESSES_LEN] {
        addresses(self.source(), self.destination())
    }
}

/// Two addresses as they stand in a frame.
#[inline(always)]
pub const fn addresses(to: [u8; 6], from: [u8; 6]) -> [u8; ADDRESSES_LEN] {
    [
        to[0], to[1], to[2], to[3], to[4], to[5], from[0], from[1], from[2], from[3], from[4],
        from[5],
    ]
}
