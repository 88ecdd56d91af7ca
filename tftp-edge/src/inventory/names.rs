//! What a device is called: `SEP` and its MAC address.

use std::fmt;
use std::str::FromStr;

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

    /// Twelve lower-case hex digits, as in the normalised name of a file.
    pub fn lower_hex(self) -> String {
        format!("{self:x}")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|octet| write!(formatter, "{octet:02X}"))
    }
}

impl fmt::LowerHex for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|octet| write!(formatter, "{octet:02x}"))
    }
}

impl FromStr for Mac {
    type Err = NameError;

    /// Takes twelve hex digits in any case, without separators: as the device name has them.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.as_bytes();
        if digits.len() != 12 {
            return Err(NameError);
        }
        let mut octets = [0; 6];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(NameError);
            // Two hex digits are below 256.
            *octet = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Self(octets))
    }
}

/// `SEP001122334455`: upper case, whatever case it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName(Mac);

impl DeviceName {
    pub const fn new(mac: Mac) -> Self {
        Self(mac)
    }

    pub const fn mac(self) -> Mac {
        self.0
    }

    /// The normalised name of the device's configuration.
    pub fn config_file(self) -> String {
        format!("sep{:x}.cnf.xml", self.0)
    }

    /// The normalised names of the device's own trust lists.
    pub fn trust_files(self) -> [String; 2] {
        ["ctl", "itl"].map(|list| format!("{list}sep{:x}.tlv", self.0))
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SEP{}", self.0)
    }
}

impl FromStr for DeviceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_at_checked(3) {
            Some((prefix, mac)) if prefix.eq_ignore_ascii_case("SEP") => Ok(Self(mac.parse()?)),
            _ => Err(NameError),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected SEP and 12 hex digits of the MAC address, such as SEP001122334455")]
pub struct NameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_any_case_is_kept_in_upper_case() {
        for text in ["SEP00aabbCCDDef", "sep00AABBccddEF"] {
            let name: DeviceName = text.parse().unwrap();
            assert_eq!(name.to_string(), "SEP00AABBCCDDEF");
            assert_eq!(name.config_file(), "sep00aabbccddef.cnf.xml");
            assert_eq!(
                name.trust_files(),
                ["ctlsep00aabbccddef.tlv", "itlsep00aabbccddef.tlv"]
            );
        }
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
            "SIP001122334455",
            "SÉP01122334455",
            "SEP+1122334455 ",
        ] {
            assert_eq!(text.parse::<DeviceName>(), Err(NameError), "{text}");
        }
    }
}
