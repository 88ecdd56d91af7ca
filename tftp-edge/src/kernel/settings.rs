//! `[kernel]`: what the kernel side may do and use.

use serde::Deserialize;
use tftp_ebpf::abi::BANK_BYTES;

use crate::content::ByteSize;

/// Which rungs to try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ladder {
    /// The best that works: native XDP with TC behind it, else TC, else none.
    #[default]
    Auto,
    /// Native XDP with TC behind it, also where XDP is known to need help (veth).
    Xdp,
    /// TC alone.
    Tc,
    /// Sockets alone.
    Off,
}

/// The `[kernel]` section of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub mode: Ladder,
    /// Interfaces the phones are behind. The kernel program answers past the host's firewall, so
    /// there is no default: an empty list means sockets alone.
    pub interfaces: Vec<String>,
    /// Most memory for content in the kernel. What does not fit is served by the daemon.
    pub memory_limit: ByteSize,
    /// Most names in the directory, absent ones included.
    pub max_names: u32,
    /// Most transfers at a time; beyond it the one idle longest is forgotten.
    pub max_transfers: u32,
    /// Ports the transfers are answered from: reserved for the kernel program, and not to overlap
    /// with `tftp.port_range`.
    pub tid_ports: PortRange,
    /// Let the kernel program log what should never happen: for hunting a driver's faults.
    pub diagnose: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Ladder::Auto,
            interfaces: Vec::new(),
            memory_limit: ByteSize(256 << 20),
            max_names: 262_144,
            max_transfers: 65_536,
            tid_ports: PortRange {
                first: 57_344,
                last: 65_535,
            },
            diagnose: false,
        }
    }
}

impl Settings {
    /// Checks what types cannot say: the key, and what is wrong with its value.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        for (key, value) in [
            ("max_names", self.max_names),
            ("max_transfers", self.max_transfers),
        ] {
            if value == 0 {
                let problem = "is 0; give at least 1, or set mode = \"off\"";
                return Err((key, problem.to_owned()));
            }
        }
        if self.interfaces.is_empty() && matches!(self.mode, Ladder::Xdp | Ladder::Tc) {
            let problem = "is empty; list the interfaces the phones are behind";
            return Err(("interfaces", problem.to_owned()));
        }
        if self.memory_limit.0 < BANK_BYTES as u64 {
            let bank = ByteSize(BANK_BYTES as u64);
            let problem = format!(
                "is {}; the least that is of use is {bank}",
                self.memory_limit
            );
            return Err(("memory_limit", problem));
        }
        Ok(())
    }

    /// Banks of slabs that the limit allows.
    pub fn max_banks(&self) -> usize {
        usize::try_from(self.memory_limit.0 / BANK_BYTES as u64).unwrap_or(usize::MAX)
    }
}

/// Ports from the first to the last, written `"57344-65535"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    pub fn count(self) -> u16 {
        self.last - self.first + 1
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
    fn a_rung_that_is_asked_for_needs_an_interface() {
        let settings = Settings {
            mode: Ladder::Tc,
            ..Settings::default()
        };
        assert_eq!(settings.validate().unwrap_err().0, "interfaces");
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().validate(), Ok(()));
    }
}
