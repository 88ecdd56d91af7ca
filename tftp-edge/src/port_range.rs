//! Ranges of UDP ports, as settings have them.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// Ports from the first to the last, written `"57344-65535"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    /// How many ports it has: never none, and never all 65,536.
    pub fn count(self) -> u16 {
        self.last - self.first + 1
    }

    pub fn ports(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    /// Whether a port is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.first, self.last)
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let expected =
            || format!("'{text}' is no port range: expected FIRST-LAST, such as 57344-65535");
        let (first, last) = text.split_once('-').ok_or_else(expected)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| expected());
        let range = Self {
            first: port(first)?,
            last: port(last)?,
        };
        if range.first < 1024 || range.last < range.first {
            return Err(format!(
                "'{text}' is no port range: it must begin at 1024 or above and end after it begins"
            ));
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_range_is_two_ports() {
        let range = PortRange::try_from("57344-65535".to_owned()).unwrap();
        assert_eq!(range.count(), 8192);
        assert_eq!(range.to_string(), "57344-65535");
        for text in ["57344", "a-b", "9000-8000", "69-80", "1-99999"] {
            let error = PortRange::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn ranges_overlap_that_share_a_port() {
        let range = |first, last| PortRange { first, last };
        assert!(range(5000, 6000).overlaps(range(6000, 7000)));
        assert!(!range(5000, 6000).overlaps(range(6001, 7000)));
    }
}
