//! What the kernel side looks like at one moment: for metrics, `status` and the log.

use serde::{Deserialize, Serialize};
use tftp_ebpf::abi::registration::ClassCounts;
use tftp_ebpf::classify::{Class, Decision};

use super::fill::{BoundedMap, Fill};
use super::gate::GateStatus;
use super::pins::PinsStatus;
use super::settings::{Ladder, Settings};
use crate::stats::{LOG2_BUCKETS, Tally};

/// The best rung of the ladder that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Native XDP, and TC behind it for frames XDP cannot grow.
    Xdp,
    /// TC ingress alone.
    Tc,
    /// Sockets only.
    Off,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Xdp, Self::Tc, Self::Off];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::Off => "off",
        }
    }
}

/// One interface the kernel program was to be attached to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    pub name: String,
    pub mode: Mode,
    /// Of a bond, the members with XDP.
    #[serde(default)]
    pub members: Vec<String>,
    /// Why a better rung is not in use, and what to do.
    pub problem: Option<String>,
    /// What to look at, though the best rung that was asked for is in use.
    #[serde(default)]
    pub notice: Option<String>,
    /// For how long there has been no such interface, if there is none.
    #[serde(default)]
    pub absent_seconds: Option<u64>,
}

impl InterfaceStatus {
    /// One that serves as it should.
    pub fn new(name: impl Into<String>, mode: Mode) -> Self {
        Self {
            name: name.into(),
            mode,
            members: Vec::new(),
            problem: None,
            notice: None,
            absent_seconds: None,
        }
    }
}

/// What the configuration asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub mode: Ladder,
    /// On how many interfaces; none if the mode is off.
    pub interfaces: u64,
}

impl Wanted {
    pub fn new(settings: &Settings) -> Self {
        let interfaces = match settings.mode {
            Ladder::Off => 0,
            Ladder::Auto | Ladder::Xdp | Ladder::Tc => settings.interfaces.len() as u64,
        };
        Self {
            mode: settings.mode,
            interfaces,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub interfaces: Vec<InterfaceStatus>,
    pub wanted: Wanted,
    /// Why the kernel side is off altogether, if it is.
    pub problem: Option<String>,
    pub pins: PinsStatus,
    pub xdp: Tally,
    pub tc: Tally,
    /// Resends and ends of transfers that the sweeper saw; XDP and TC share them.
    pub sweeper: Tally,
    /// Nanoseconds in the program, sampled, as log2 buckets; XDP, then TC.
    pub latency_ns: [[u64; LOG2_BUCKETS]; 2],
    /// Names in the directory, and how many of them stand for content.
    pub names: u64,
    pub files: u64,
    /// Payload bytes of the published files.
    pub content_bytes: u64,
    /// Bytes of slabs allocated, and the most that may be.
    pub slab_bytes: u64,
    pub slab_bytes_limit: u64,
    /// Bytes of all maps, as the kernel accounts them.
    pub map_bytes: u64,
    /// How full maps are, by [`BoundedMap`].
    pub fills: [Fill; BoundedMap::COUNT],
    pub transfers: u64,
    pub transfers_limit: u64,
    /// Files taken out to make room, and files that found none.
    pub evicted: u64,
    pub refused: u64,
    pub events_lost: u64,
    pub registrations: Registrations,
}

/// What was seen of registrations, and done about them.
#[derive(Clone, Debug)]
pub struct Registrations {
    /// Packets that were classified, under XDP and under TC: each by one of them.
    pub packets: [ClassCounts; 2],
    pub gate: GateStatus,
    /// Packets that were not told because there were too many, and because the ring was full.
    pub samples_skipped: u64,
    pub samples_lost: u64,
}

impl Default for Registrations {
    fn default() -> Self {
        Self {
            packets: [ClassCounts::ZERO; 2],
            gate: GateStatus::default(),
            samples_skipped: 0,
            samples_lost: 0,
        }
    }
}

impl Registrations {
    /// Packets of a class on all interfaces.
    pub fn of(&self, class: Class) -> u64 {
        let decisions = Decision::ALL.iter();
        decisions.map(|&decision| self.with(class, decision)).sum()
    }

    /// Packets of all classes with this verdict.
    pub fn decided(&self, decision: Decision) -> u64 {
        let classes = Class::ALL.iter();
        classes.map(|&class| self.with(class, decision)).sum()
    }

    fn with(&self, class: Class, decision: Decision) -> u64 {
        let counts = self.packets.iter();
        counts.map(|counts| counts.of(class, decision)).sum()
    }
}

impl Snapshot {
    /// The best rung over all interfaces.
    pub fn mode(&self) -> Mode {
        let has = |mode| {
            self.interfaces
                .iter()
                .any(|interface| interface.mode == mode)
        };
        if has(Mode::Xdp) {
            Mode::Xdp
        } else if has(Mode::Tc) {
            Mode::Tc
        } else {
            Mode::Off
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wanted_of_what_is_off() {
        let interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
        for (mode, count) in [(Ladder::Auto, 2), (Ladder::Xdp, 2), (Ladder::Off, 0)] {
            let settings = Settings {
                mode,
                interfaces: interfaces.clone(),
                ..Settings::default()
            };
            let wanted = Wanted::new(&settings);
            assert_eq!((wanted.mode, wanted.interfaces), (mode, count));
        }
    }
}
