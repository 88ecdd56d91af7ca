//! CapabilitiesRes and UpdateCapabilities: the codecs of a phone. Media do not pass here, so they
//! are checked and counted only.

use super::field::u32_at;

/// The most codecs of one message (chan-sccp, Wireshark).
pub const MAX_CAPABILITIES: u32 = 18;

const ENTRY_LEN: usize = 16;

/// CapabilitiesRes 0x0010.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities<'b> {
    entries: &'b [u8],
}

/// Why the codecs cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCapabilities {
    Short,
    TooMany,
}

impl<'b> Capabilities<'b> {
    pub fn new(body: &'b [u8]) -> Result<Self, BadCapabilities> {
        let count = u32_at(body, 0).ok_or(BadCapabilities::Short)?;
        if count > MAX_CAPABILITIES {
            return Err(BadCapabilities::TooMany);
        }
        let entries = body.get(4..4 + count as usize * ENTRY_LEN);
        let entries = entries.ok_or(BadCapabilities::Short)?;
        Ok(Self { entries })
    }

    /// Codecs as SCCP numbers them, with the most frames of a packet.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.entries.chunks_exact(ENTRY_LEN).map(|entry| {
            let number = |at| u32_at(entry, at).unwrap_or_default();
            (number(0), number(4))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_held_against_the_bound_and_the_body() {
        let body = |count: u32, entries: usize| {
            let mut body = count.to_le_bytes().to_vec();
            body.resize(4 + entries * ENTRY_LEN, 4);
            body
        };
        let two = body(2, 2);
        let codecs: Vec<_> = Capabilities::new(&two).unwrap().iter().collect();
        assert_eq!(codecs, [(0x0404_0404, 0x0404_0404); 2]);
        assert_eq!(Capabilities::new(&body(0, 0)).unwrap().iter().count(), 0);
        let bad = |body: &[u8]| Capabilities::new(body).unwrap_err();
        assert_eq!(bad(&body(3, 2)), BadCapabilities::Short);
        assert_eq!(bad(&body(19, 19)), BadCapabilities::TooMany);
        assert_eq!(bad(&body(u32::MAX, 1)), BadCapabilities::TooMany);
        assert_eq!(bad(&[1]), BadCapabilities::Short);
    }
}
