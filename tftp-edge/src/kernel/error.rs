//! What can go wrong on the way into the kernel, and what to do about it.

use std::io;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum Error {
    #[error(
        "this tftp-edge was built without the kernel program; run 'cargo xtask setup' and build \
         again, or set kernel.mode = \"off\""
    )]
    NoObject,
    #[error("the kernel refused the program or one of its maps: {0:#}; {hint}", hint = privilege_hint())]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the program object lacks {0}: it does not belong to this daemon")]
    Object(&'static str),
    #[error("the map {map} could not be {action}: {source}")]
    Map {
        map: &'static str,
        action: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the programs on an interface could not be exchanged for those that trace: {0}")]
    Exchange(String),
    #[error("{0} traces run already; wait for one to end")]
    TracesBusy(usize),
    #[error("the kernel side has stopped")]
    Stopped,
    #[error("the memory of a bank could not be mapped: {0}")]
    Mmap(#[source] io::Error),
    #[error("{what}: {source}")]
    System { what: String, source: io::Error },
}

impl Error {
    pub(super) fn map(
        map: &'static str,
        action: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Map {
            map,
            action,
            source: source.into(),
        }
    }
}

/// What the process may do, in the terms of the kernel's own checks.
fn privilege_hint() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    const NEEDED: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(_, bit)| effective & (1 << bit) == 0)
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        let release = nix::sys::utsname::uname()
            .map(|name| name.release().to_string_lossy().into_owned())
            .unwrap_or_default();
        format!("the capabilities are there; the kernel is {release}, and 5.18 or later is needed")
    } else {
        format!("the process lacks {}", missing.join(", "))
    }
}
