//! TCP (RFC 9293), as far as its payload.

use crate::wire::Bytes;

/// A TCP header without its options.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Tcp([u32; Self::LEN / 4]);

// SAFETY: words without padding.
unsafe impl Bytes for Tcp {}

impl Tcp {
    pub const LEN: usize = 20;
    pub const EMPTY: Self = Self([0; Self::LEN / 4]);

    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;

    /// Ports stay in network order, as in UDP, where they stand in the same place.
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

    /// Bytes of the header with its options, as it says itself: 0 to 60.
    #[inline(always)]
    pub const fn header_len(&self) -> usize {
        (self.0[3].to_ne_bytes()[0] >> 4) as usize * 4
    }

    /// Whether it asks for a connection: SYN without ACK.
    #[inline(always)]
    pub const fn is_syn(&self) -> bool {
        self.0[3].to_ne_bytes()[1] & (Self::SYN | Self::ACK) == Self::SYN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: [u8; Tcp::LEN]) -> Tcp {
        let mut tcp = Tcp::EMPTY;
        tcp.as_bytes_mut().copy_from_slice(&bytes);
        tcp
    }

    #[test]
    fn the_fields_stand_where_rfc_9293_has_them() {
        let written = etherparse::TcpHeader {
            source_port: 49_152,
            destination_port: 2000,
            syn: true,
            options: etherparse::TcpOptions::try_from_slice(&[2, 4, 5, 0xb4, 4, 2, 1, 1])
                .expect("options that fit"),
            ..etherparse::TcpHeader::default()
        };
        let bytes = written.to_bytes();
        let tcp = read(bytes[..Tcp::LEN].try_into().expect("a header"));
        assert_eq!(tcp.source_port(), 49_152_u16.to_be_bytes());
        assert_eq!(tcp.destination_port(), 2000_u16.to_be_bytes());
        assert_eq!(tcp.header_len(), 28);
        assert!(tcp.is_syn());
    }

    #[test]
    fn the_answer_to_a_syn_is_none() {
        let mut bytes = [0; Tcp::LEN];
        bytes[13] = 0x12;
        assert!(!read(bytes).is_syn());
        bytes[13] = 0x10;
        assert!(!read(bytes).is_syn());
        // ECN is offered in the same packet (RFC 3168 6.1.1).
        bytes[13] = 0xc2;
        assert!(read(bytes).is_syn());
    }
}
