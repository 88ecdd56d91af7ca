//! A phone as people name it.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use super::PhonesError;
use crate::inventory::{DeviceName, Mac};
use crate::journal::{Filter, PhoneRow};
use crate::ops::control;

/// By its name, by its MAC address in any usual notation, or by where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Device(DeviceName),
    Mac(Mac),
    Address(IpAddr),
}

impl FromStr for Whom {
    type Err = String;

    /// A soft phone may have a name that looks like an address; it is found by `phones --search`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let digits: String = text
            .chars()
            .filter(|it| !matches!(it, ':' | '-' | '.'))
            .collect();
        if let Ok(mac) = digits.parse() {
            return Ok(Self::Mac(mac));
        }
        match text.parse() {
            Ok(name) => Ok(Self::Device(name)),
            Err(error) => Err(format!("{error}; or a MAC address, or an IP address")),
        }
    }
}

impl Whom {
    fn is(self, row: &PhoneRow) -> bool {
        match self {
            Self::Device(name) => row.device == name,
            Self::Mac(mac) => row.device.mac() == Some(mac),
            Self::Address(address) => row.address == Some(address),
        }
    }

    /// The device it is, as the daemon knows it.
    pub fn find(self, socket: &Path) -> Result<DeviceName, PhonesError> {
        let search = match self {
            Self::Device(name) => return Ok(name),
            Self::Mac(mac) => mac.to_string(),
            Self::Address(address) => address.to_string(),
        };
        let filter = Filter {
            search: Some(search),
            ..Filter::default()
        };
        let rows = control::phones(socket, filter)?.rows;
        // Of several behind one address, the one that was heard of last.
        let found = rows.iter().filter(|row| self.is(row));
        let found = found.max_by_key(|row| row.heard_ms).map(|row| row.device);
        match (self, found) {
            (_, Some(device)) => Ok(device),
            (Self::Mac(mac), None) => Ok(DeviceName::sep(mac)),
            (Self::Address(address), None) => Err(PhonesError::NobodyAt(address)),
            (Self::Device(name), None) => Ok(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_understood_however_it_is_written() {
        let mac = Whom::Mac("00112233AABB".parse().unwrap());
        for text in [
            "00:11:22:33:aa:bb",
            "00-11-22-33-AA-BB",
            "0011.2233.aabb",
            "00112233aabb",
        ] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        for text in ["SEP00112233AABB", "sep00112233aabb", "CSFjsmith"] {
            assert_eq!(
                text.parse(),
                Ok(Whom::Device(text.parse().unwrap())),
                "{text}"
            );
        }
        for (text, address) in [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("fd00::5", "fd00::5"),
        ] {
            let address = Whom::Address(address.parse().unwrap());
            assert_eq!(text.parse(), Ok(address), "{text}");
        }
        for text in ["", "SEP0011", "10.1.2.3.4.5.6.7.8.9"] {
            assert!(text.parse::<Whom>().is_err(), "{text}");
        }
    }
}
