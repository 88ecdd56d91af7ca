//! What a site has beside the settings of its phones.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::super::text;
use super::values::{flag, list, list_of};
use super::{MAX_NAME, MAX_SERVERS, PhoneSettings, SettingError};

/// The most networks of one site.
const MAX_SUBNETS: usize = 1000;

/// A place with phones: where they are, and what they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    pub phone: PhoneSettings,
    /// Where its phones are; the longest prefix that holds an address decides.
    pub subnets: Vec<IpNet>,
    /// What its phones are told by DHCP (option 150): the addresses of this server and its peers.
    pub tftp_servers: Vec<IpAddr>,
    /// 802.1Q, 1 to 4094.
    pub voice_vlan: Option<u16>,
    pub auto_registration: AutoRegistration,
}

/// What happens to a phone of the site that is not in the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutoRegistration {
    /// Whether it gets `XMLDefault.cnf.xml`.
    pub on: bool,
    /// The directory numbers it may get.
    pub numbers: Option<NumberPool>,
    /// The profile it gets.
    pub profile: String,
}

/// Directory numbers from the first to the last, all of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberPool {
    first: u64,
    last: u64,
    digits: usize,
}

impl NumberPool {
    /// The numbers in their order, with their leading zeros.
    pub fn numbers(self) -> impl Iterator<Item = String> {
        (self.first..=self.last).map(move |number| format!("{number:0width$}", width = self.digits))
    }

    /// How many there are.
    pub fn size(self) -> u64 {
        self.last - self.first + 1
    }
}

impl fmt::Display for NumberPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            last,
            digits,
        } = self;
        write!(formatter, "{first:0digits$}-{last:0digits$}")
    }
}

impl FromStr for NumberPool {
    type Err = String;

    /// `5000-5999`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no range of numbers such as 5000-5999");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| wrong()),
            false => Err(wrong()),
        };
        let pool = Self {
            first: number(first.trim())?,
            last: number(last.trim())?,
            digits: first.trim().len(),
        };
        if last.trim().len() != pool.digits || pool.last < pool.first || pool.digits > 15 {
            return Err(wrong());
        }
        Ok(pool)
    }
}

/// The keys only a site has.
pub const SITE_KEYS: &[(&str, &str)] = &[
    (
        "subnets",
        "10.1.0.0/16;fd00:1::/64  where its phones are, and no other site's",
    ),
    (
        "tftp_servers",
        "ADDRESS;…  up to 5, what DHCP tells its phones",
    ),
    ("voice_vlan", "1 to 4094, empty for none"),
    (
        "auto_registration",
        "true or false: whether unknown phones get XMLDefault.cnf.xml",
    ),
    (
        "auto_registration_numbers",
        "5000-5999  directory numbers for them",
    ),
    ("auto_registration_profile", "the profile they get"),
];

impl Site {
    /// Sets one key of the site or of its phones.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let Some(&(key, expected)) = SITE_KEYS.iter().find(|(known, _)| *known == key) else {
            return self.phone.set(key, value);
        };
        self.apply(key, value.trim())
            .map_err(|problem| SettingError::Value {
                key: key.into(),
                problem,
                expected,
            })
    }

    fn apply(&mut self, key: &str, value: &str) -> Result<(), String> {
        let auto = &mut self.auto_registration;
        match key {
            "subnets" => self.subnets = list_of(value, MAX_SUBNETS, subnet)?,
            "tftp_servers" => {
                self.tftp_servers = list(value, |address| {
                    let wrong = |_| format!("{address:?} is no address");
                    address.parse().map_err(wrong)
                })?;
                debug_assert!(self.tftp_servers.len() <= MAX_SERVERS, "list holds it");
            }
            "voice_vlan" => {
                self.voice_vlan = match value {
                    "" => None,
                    value => Some(vlan(value)?),
                }
            }
            "auto_registration" => auto.on = flag(value)?,
            "auto_registration_numbers" => {
                auto.numbers = match value {
                    "" => None,
                    value => Some(value.parse()?),
                }
            }
            "auto_registration_profile" => auto.profile = text::value(value, MAX_NAME)?,
            _ => unreachable!("every key in SITE_KEYS has an arm; a test holds this"),
        }
        Ok(())
    }
}

fn subnet(text: &str) -> Result<IpNet, String> {
    let wrong = |_| format!("{text:?} is no network such as 10.1.0.0/16");
    text.parse::<IpNet>().map(|net| net.trunc()).map_err(wrong)
}

fn vlan(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(vlan) if (1..=4094).contains(&vlan) => Ok(vlan),
        _ => Err(format!("{text:?} is no VLAN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_help_can_be_set() {
        for (key, _) in SITE_KEYS {
            let value = match *key {
                "subnets" => "10.1.2.3/16; fd00:1::/64",
                "tftp_servers" => "10.1.0.1;fd00:1::1",
                "voice_vlan" => "120",
                "auto_registration" => "true",
                "auto_registration_numbers" => "0500-0599",
                _ => "word",
            };
            let mut site = Site::default();
            assert_eq!(site.set(key, value), Ok(()), "{key}");
            assert_ne!(site, Site::default(), "{key}");
        }
    }

    #[test]
    fn a_pool_gives_its_numbers_in_order_with_their_zeros() {
        let pool: NumberPool = "0098-0101".parse().unwrap();
        let numbers: Vec<_> = pool.numbers().collect();
        assert_eq!(numbers, ["0098", "0099", "0100", "0101"]);
        assert_eq!((pool.size(), pool.to_string()), (4, "0098-0101".to_owned()));
    }

    #[test]
    fn what_is_no_pool_or_network_is_refused() {
        for text in ["", "5000", "5999-5000", "1-10", "a-b", "+1-+2", "1-"] {
            assert!(text.parse::<NumberPool>().is_err(), "{text}");
        }
        let mut site = Site::default();
        for (key, value) in [
            ("subnets", "10.1.0.0"),
            ("tftp_servers", "edge.example.com"),
            ("voice_vlan", "4095"),
            ("auto_registration", "on"),
        ] {
            let error = site.set(key, value).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
        assert_eq!(site, Site::default());
    }
}
