//! The kernel program's side of what sources have asked for in vain.

use std::os::fd::AsFd as _;

use aya::maps::MapData;
use tftp_ebpf::abi::{Budget, Source};

use super::sys;
use crate::misses::Ledger;

/// The map `BUDGETS`.
pub struct Budgets(MapData);

impl Budgets {
    pub fn new(map: MapData) -> Self {
        Self(map)
    }
}

impl Ledger for Budgets {
    fn read(&self, source: &Source) -> Option<Budget> {
        sys::lookup(self.0.fd().as_fd(), source, Budget::default()).ok()
    }

    fn write(&self, source: &Source, budget: &Budget) {
        // A full LRU map makes room. Without memory the program lets more through to the daemon.
        let _ = sys::update(self.0.fd().as_fd(), source, budget);
    }
}
