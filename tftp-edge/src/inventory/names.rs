//! What a device is called.
//!
//! Desk phones are `SEP` and their MAC address, 7940 and 7960 with SIP firmware are `SIP` and
//! theirs, terminal adapters `ATA` and theirs. Soft phones (CIPC, Jabber's `CSF…`, `TCT…`, `BOT…`)
//! are called what the operator likes. An SCCP message has room for 15 characters, and phones fold
//! the case of nothing but file names: so a name is kept in upper case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest name of a device: 16 bytes with the NUL in SCCP's Register.
const MAX_LEN: usize = 15;

/// A phone's MAC address, printed as twelve upper-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|octet| write!(formatter, "{octet:02X}"))
    }
}

impl FromStr for Mac {
    type Err = NameError;

    /// Takes twelve hex digits in any case, without separators: as the device name has them.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.as_bytes();
        if digits.len() != 12 {
            return Err(NameError::Form);
        }
        let mut octets = [0; 6];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(NameError::Form);
            // Two hex digits are below 256.
            *octet = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Self(octets))
    }
}

/// What the beginning of a device's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// `SEP<MAC>`: a desk phone.
    Sep,
    /// `SIP<MAC>`: a 7940 or 7960 with SIP firmware.
    Sip,
    /// `ATA<MAC>`: a terminal adapter.
    Ata,
    /// A soft phone.
    Named,
}

const WITH_MAC: [(&str, NameKind); 3] = [
    ("SEP", NameKind::Sep),
    ("SIP", NameKind::Sip),
    ("ATA", NameKind::Ata),
];

/// What follows the name of a configuration: nothing as it is, the others if it is signed, or
/// encrypted and signed. Each is a part of the next one's end.
const SEALS: [&str; 3] = ["", ".sgn", ".enc.sgn"];

/// `SEP001122334455`: upper case, whatever case it was written in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName {
    /// Padded with zeros, so that the order of names is that of their text.
    bytes: [u8; MAX_LEN],
}

impl DeviceName {
    /// `SEP` and the address.
    pub fn sep(mac: Mac) -> Self {
        Self::of_text(&format!("SEP{mac}"))
    }

    fn of_text(text: &str) -> Self {
        let mut bytes = [0; MAX_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes.make_ascii_uppercase();
        Self { bytes }
    }

    pub fn as_str(&self) -> &str {
        let len = self.bytes.iter().position(|&byte| byte == 0);
        let text = &self.bytes[..len.unwrap_or(MAX_LEN)];
        std::str::from_utf8(text).expect("a name is made of ASCII only")
    }

    pub fn kind(&self) -> NameKind {
        // A prefix that stands in a name always has an address after it.
        WITH_MAC
            .iter()
            .find(|(prefix, _)| self.as_str().starts_with(prefix) && self.mac().is_some())
            .map_or(NameKind::Named, |&(_, kind)| kind)
    }

    pub fn mac(&self) -> Option<Mac> {
        self.as_str().get(3..)?.parse().ok()
    }

    /// The normalised name of the device's configuration.
    pub fn config_file(&self) -> String {
        let name = self.as_str().to_ascii_lowercase();
        match self.kind() {
            NameKind::Sip => format!("{name}.cnf"),
            NameKind::Sep | NameKind::Ata | NameKind::Named => format!("{name}.cnf.xml"),
        }
    }

    /// The normalised names of all that is one device's alone, whoever made it: its trust lists,
    /// and its configuration as it is, signed, and encrypted.
    pub fn own_files(&self) -> impl Iterator<Item = String> {
        let (name, config) = (self.as_str().to_ascii_lowercase(), self.config_file());
        let sealed = SEALS.map(|seal| format!("{config}{seal}"));
        let trust = ["ctl", "itl"].map(|list| format!("{list}{name}.tlv"));
        trust.into_iter().chain(sealed)
    }

    /// Whose file a normalised name is: the other way round of [`Self::own_files`].
    pub fn of_file(name: &str) -> Option<Self> {
        let seal = SEALS.iter().rev().find(|seal| name.ends_with(**seal))?;
        let plain = &name[..name.len() - seal.len()];
        if let Some(of) = plain.strip_suffix(".cnf.xml") {
            let of: Self = of.parse().ok()?;
            return Some(of).filter(|of| of.kind() != NameKind::Sip);
        }
        if let Some(of) = plain.strip_suffix(".cnf") {
            return of
                .parse()
                .ok()
                .filter(|of: &Self| of.kind() == NameKind::Sip);
        }
        let list = name.strip_suffix(".tlv")?;
        let of = list.strip_prefix("ctl").or(list.strip_prefix("itl"))?;
        of.parse().ok()
    }

    /// `XMLDefault.cnf.xml` and its like, `CTLFile.tlv` and `ITLFile.tlv` are everybody's.
    fn is_taken(&self) -> bool {
        let name = self.as_str();
        name.starts_with("XMLDEFAULT") || matches!(name, "SPDEFAULT" | "FILE")
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for DeviceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let begins = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        if !begins || text.len() > MAX_LEN || !text.bytes().all(known) {
            return Err(NameError::Form);
        }
        let name = Self::of_text(text);
        // A mistyped address must not become a soft phone of that name.
        let has_prefix = |(prefix, _): &(&str, _)| name.as_str().starts_with(prefix);
        let is_mistyped = WITH_MAC.iter().any(has_prefix) && name.mac().is_none();
        match (is_mistyped, name.is_taken()) {
            (true, _) => Err(NameError::Form),
            (_, true) => Err(NameError::Taken),
            (false, false) => Ok(name),
        }
    }
}

impl Serialize for DeviceName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DeviceName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error(
        "expected SEP (SIP, ATA) and the 12 hex digits of the MAC address, such as \
         SEP001122334455, or the name of a soft phone: up to 15 letters, digits and - _ ."
    )]
    Form,
    #[error("all phones ask for files of that name; expected another one")]
    Taken,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DeviceName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_in_any_case_is_kept_in_upper_case() {
        for text in ["SEP00aabbCCDDef", "sep00AABBccddEF"] {
            assert_eq!(name(text).to_string(), "SEP00AABBCCDDEF");
            assert_eq!(name(text).config_file(), "sep00aabbccddef.cnf.xml");
        }
    }

    #[test]
    fn the_prefix_says_what_a_device_is_and_what_file_it_asks_for() {
        for (text, kind, file) in [
            ("SEP001122334455", NameKind::Sep, "sep001122334455.cnf.xml"),
            ("SIP001122334455", NameKind::Sip, "sip001122334455.cnf"),
            ("ata001122334455", NameKind::Ata, "ata001122334455.cnf.xml"),
            ("csfjsmith", NameKind::Named, "csfjsmith.cnf.xml"),
            ("My-CIPC_1.x", NameKind::Named, "my-cipc_1.x.cnf.xml"),
        ] {
            assert_eq!(name(text).kind(), kind, "{text}");
            assert_eq!(name(text).config_file(), file, "{text}");
        }
        assert_eq!(
            name("SEP0011223344FF").mac(),
            Some(Mac::new([0, 0x11, 0x22, 0x33, 0x44, 0xff]))
        );
        assert_eq!(name("CSFJSMITH").mac(), None);
    }

    #[test]
    fn a_file_of_one_device_tells_whose_it_is() {
        for text in [
            "SEP001122334455",
            "SIP001122334455",
            "ATA001122334455",
            "CSFjsmith",
        ] {
            let files: Vec<_> = name(text).own_files().collect();
            assert!(files.contains(&name(text).config_file()), "{files:?}");
            for file in files {
                assert_eq!(DeviceName::of_file(&file), Some(name(text)), "{file}");
            }
        }
        for file in [
            "xmldefault.cnf.xml",
            "xmldefault504g.cnf.xml",
            "spdefault.cnf.xml",
            "sipdefault.cnf",
            "atadefault.cnf.xml",
            "ctlfile.tlv",
            "itlfile.tlv",
            "sep001122334455.cnf",
            "sip001122334455.cnf.xml",
            "sep001122334455.cnf.xml.bak",
            "folder/sep001122334455.cnf.xml",
            "global-settings.xml",
            "",
        ] {
            assert_eq!(DeviceName::of_file(file), None, "{file}");
        }
    }

    #[test]
    fn names_are_in_the_order_of_their_text() {
        let mut names = [
            "SEP000000000002",
            "CSFB",
            "CSFAB",
            "SEP000000000001",
            "CSFA",
        ]
        .map(name);
        names.sort_unstable();
        assert_eq!(
            names.map(|name| name.to_string()),
            [
                "CSFA",
                "CSFAB",
                "CSFB",
                "SEP000000000001",
                "SEP000000000002"
            ]
        );
    }

    #[test]
    fn anything_else_is_no_device_name() {
        for text in [
            "",
            "SEP",
            "SEP00112233445",
            "SEP0011223344556",
            "SEP00112233445G",
            "SEP00:11:22:33:44:55",
            "SIPPHONE",
            "ATADEFAULT",
            "SÉP01122334455",
            "SEP+1122334455 ",
            "-leading",
            "../x",
            "a b",
            "sixteen_chars_xx",
        ] {
            assert_eq!(text.parse::<DeviceName>(), Err(NameError::Form), "{text}");
        }
    }

    #[test]
    fn what_all_phones_ask_for_is_no_devices() {
        for text in ["XMLDefault", "XMLDefault504G", "SPDefault", "File"] {
            assert_eq!(text.parse::<DeviceName>(), Err(NameError::Taken), "{text}");
        }
    }
}
