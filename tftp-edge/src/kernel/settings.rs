//! `[kernel]`: what the kernel side may do and use.

use serde::Deserialize;
use tftp_ebpf::abi::BANK_BYTES;

use crate::content::ByteSize;
use crate::port_range::PortRange;

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

impl Ladder {
    pub const ALL: [Self; 4] = [Self::Auto, Self::Xdp, Self::Tc, Self::Off];

    /// As the configuration and the metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::Off => "off",
        }
    }
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
    /// Keep the privileges that later work needs: traces, interfaces that come back, and memory for
    /// content when it grows.
    pub keep_privileges: bool,
    /// Let the kernel program log what should never happen: for hunting a driver's faults.
    pub diagnose: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Ladder::Auto,
            interfaces: Vec::new(),
            memory_limit: ByteSize(256 << 20),
            max_names: 131_072,
            max_transfers: 32_768,
            tid_ports: PortRange {
                first: 57_344,
                last: 65_535,
            },
            keep_privileges: true,
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

#[cfg(test)]
mod tests {
    use super::*;

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
