//! What a phone understands: the version of the protocol, and how its texts are encoded.
//!
//! A phone says in Register which version it speaks at most; the server takes the highest that it
//! knows up to that, and says so in RegisterAck. Bodies then have the form of that version.

use super::Outgoing;

/// Versions that bodies are known for (chan-sccp).
pub const VERSIONS: [u8; 14] = [3, 5, 8, 9, 10, 11, 15, 16, 17, 18, 19, 20, 21, 22];

/// The type ids of ATA186 and ATA188: they claim a version they do not speak (chan-sccp).
const OLD_ADAPTERS: [u32; 2] = [12, 13];

/// A version of the protocol that is in use with a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u8);

impl Version {
    pub const OLDEST: Self = Self(VERSIONS[0]);

    /// The highest up to what the phone claims; none if it is too old.
    pub fn negotiate(claimed: u8, type_id: u32) -> Option<Self> {
        if OLD_ADAPTERS.contains(&type_id) {
            return Some(Self::OLDEST);
        }
        let up_to = |version: &&u8| **version <= claimed;
        VERSIONS.iter().rev().find(up_to).copied().map(Self)
    }

    pub const fn number(self) -> u8 {
        self.0
    }

    /// The feature bytes of RegisterAck (chan-sccp).
    pub const fn features(self) -> [u8; 3] {
        match self.0 {
            ..=3 => [0; 3],
            4..=10 => [0x20, 0xF1, 0xFE],
            _ => [0x20, 0xF1, 0xFF],
        }
    }
}

/// How texts are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// ISO 8859-1; what it does not have becomes a question mark.
    #[default]
    Latin1,
    Utf8,
}

/// How messages to one phone are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub version: Version,
    pub charset: Charset,
}

impl Dialect {
    /// Before a phone has registered.
    pub const UNKNOWN: Self = Self {
        version: Version::OLDEST,
        charset: Charset::Latin1,
    };

    /// The version field of a header: 0 to phones before version 10, and in the messages that
    /// every version shares (chan-sccp).
    pub const fn header_version(self, message: Outgoing) -> u32 {
        match message {
            Outgoing::KeepAliveAck | Outgoing::RegisterAck | Outgoing::UnregisterAck => 0,
            _ if self.version.0 < 10 => 0,
            _ => self.version.0 as u32,
        }
    }

    /// ServiceURLStat with texts of any length.
    pub const fn has_dynamic_service_urls(self) -> bool {
        self.version.0 >= 8
    }

    /// FeatureStat with texts of any length, and busy lamps.
    pub const fn has_dynamic_features(self) -> bool {
        self.version.0 >= 15
    }

    /// LineStat, SpeedDialStat and ConfigStat with texts of any length; addresses have room for
    /// IPv6.
    pub const fn has_dynamic_lines(self) -> bool {
        self.version.0 >= 17
    }

    /// Numbers take 25 bytes, and what follows is not aligned.
    pub const fn has_packed_numbers(self) -> bool {
        self.version.0 >= 18
    }
}

#[cfg(test)]
pub(in super::super) fn dialects() -> impl Iterator<Item = Dialect> {
    VERSIONS.into_iter().map(|version| Dialect {
        version: Version(version),
        charset: Charset::Utf8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_that_both_know_is_used() {
        let known = |claimed| Version::negotiate(claimed, 115).map(Version::number);
        for (claimed, used) in [
            (3, 3),
            (4, 3),
            (5, 5),
            (7, 5),
            (8, 8),
            (14, 11),
            (17, 17),
            (22, 22),
            (23, 22),
            (255, 22),
        ] {
            assert_eq!(known(claimed), Some(used), "{claimed}");
        }
        assert_eq!(known(2), None);
        assert_eq!(known(0), None);
    }

    #[test]
    fn old_adapters_are_not_believed() {
        for claimed in [0, 5, 17] {
            let version = Version::negotiate(claimed, 12);
            assert_eq!(version, Some(Version::OLDEST));
        }
    }

    #[test]
    fn headers_have_a_version_from_10_on() {
        for dialect in dialects() {
            let number = dialect.version.number();
            let expected = if number < 10 { 0 } else { u32::from(number) };
            assert_eq!(dialect.header_version(Outgoing::LineStat), expected);
            assert_eq!(dialect.header_version(Outgoing::RegisterAck), 0);
        }
    }
}
