//! UDP (RFC 768).

/// A UDP header.
#[derive(Clone, Copy, Debug)]
pub struct Udp(pub [u8; Self::LEN]);

impl Udp {
    pub const LEN: usize = 8;

    /// Ports stay in network order: they are compared, and swapped, and seldom counted with.
    #[inline(always)]
    pub const fn source_port(&self) -> [u8; 2] {
        [self.0[0], self.0[1]]
    }

    #[inline(always)]
    pub const fn destination_port(&self) -> [u8; 2] {
        [self.0[2], self.0[3]]
    }

    /// Header and payload.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        u16::from_be_bytes([self.0[4], self.0[5]]) as usize
    }

    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len() <= Self::LEN
    }

    #[inline(always)]
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }

    #[inline(always)]
    pub const fn emit(from: [u8; 2], to: [u8; 2], len: u16, checksum: u16) -> Self {
        let (len, sum) = (len.to_be_bytes(), checksum.to_be_bytes());
        Self([
            from[0], from[1], to[0], to[1], len[0], len[1], sum[0], sum[1],
        ])
    }
}
