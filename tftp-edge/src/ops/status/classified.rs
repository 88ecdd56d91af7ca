//! What `tftp-edge status` tells of the packets of registrations that the kernel program has seen.

use std::fmt;

use serde::{Deserialize, Serialize};
use tftp_ebpf::classify::Decision;

use crate::kernel::Snapshot;

/// Packets from and to where phones register, since the start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Classified {
    pub packets: u64,
    pub dropped: u64,
    /// Over the budget, which is only observed.
    pub would_drop: u64,
    /// None while all come in.
    pub newcomers_per_second: Option<f64>,
}

impl Classified {
    /// Nothing before the first packet: most hosts are no registration edge.
    pub(super) fn new(kernel: &Snapshot) -> Option<Self> {
        let seen = &kernel.registrations;
        let decided = |decision| seen.decided(decision);
        let [passed, would_drop, dropped] = Decision::ALL.map(decided);
        let packets = passed + would_drop + dropped;
        (packets > 0).then(|| Self {
            packets,
            would_drop,
            dropped,
            newcomers_per_second: seen
                .gate
                .budget
                .map(|budget| 1e9 / budget.interval_ns as f64),
        })
    }
}

impl fmt::Display for Classified {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "the kernel saw {} packets and dropped {}",
            self.packets, self.dropped
        )?;
        if self.would_drop > 0 {
            write!(out, ", {} would have been", self.would_drop)?;
        }
        match self.newcomers_per_second {
            Some(rate) => write!(out, "; {rate:.0} newcomers a second come in"),
            None => write!(out, "; all newcomers come in"),
        }
    }
}
