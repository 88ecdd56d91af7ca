//! `[kernel]`: what the kernel side may do and use.

use std::path::PathBuf;
use std::time::Duration;

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
    /// Where maps and programs are pinned, in a BPF file system, so that they outlive the daemon;
    /// empty: they end with it.
    pub pin_path: PathBuf,
    /// How long the kernel program goes on answering when no daemon is there, in seconds.
    pub serve_alone_s: u32,
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
            pin_path: "/sys/fs/bpf/tftp-edge".into(),
            serve_alone_s: 300,
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
        if !self.pin_path.as_os_str().is_empty() && !self.pin_path.is_absolute() {
            let problem = "is no absolute path; give one in a BPF file system, or \"\" for none";
            return Err(("pin_path", problem.to_owned()));
        }
        // Less than a few renewals would end it while the daemon is there.
        if !(5..=86_400).contains(&self.serve_alone_s) {
            let problem = format!("is {}; give 5 to 86400 seconds", self.serve_alone_s);
            return Err(("serve_alone_s", problem));
        }
        let is_repeated = |at: usize| self.interfaces[..at].contains(&self.interfaces[at]);
        if let Some(at) = (0..self.interfaces.len()).find(|at| is_repeated(*at)) {
            let problem = format!("has {} twice; name it once", self.interfaces[at]);
            return Err(("interfaces", problem));
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

    /// How long the kernel program goes on answering when no daemon is there.
    pub fn serve_alone(&self) -> Duration {
        Duration::from_secs(self.serve_alone_s.into())
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
    fn pins_have_an_absolute_path_or_none_and_nobody_serves_alone_for_ever() {
        let with = |pin_path: &str, serve_alone_s| Settings {
            pin_path: pin_path.into(),
            serve_alone_s,
            ..Settings::default()
        };
        assert_eq!(with("", 300).validate(), Ok(()));
        assert_eq!(with("pins", 300).validate().unwrap_err().0, "pin_path");
        assert_eq!(with("", 0).validate().unwrap_err().0, "serve_alone_s");
        let too_long = with("", 86_401).validate();
        assert_eq!(too_long.unwrap_err().0, "serve_alone_s");
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().validate(), Ok(()));
    }
}
