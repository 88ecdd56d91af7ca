//! How far a fleet is, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};

use tftp_ebpf::stage::Stage;

use super::Over;

/// Counted by the fleet's threads while they run.
#[derive(Debug)]
pub struct Progress {
    /// Files fetched or told absent, for each stage.
    pub files: [AtomicU64; Stage::COUNT],
    pub bytes: AtomicU64,
    pub resends: AtomicU64,
    /// Phones that have begun, and that have ended well or not.
    pub started: AtomicU64,
    pub booted: AtomicU64,
    pub failed: AtomicU64,
    /// Phones that are registered at the moment, by [`Over`].
    pub registered: [AtomicU64; Over::ALL.len()],
    /// Attempts to register, and those that had to be made again.
    pub asks: AtomicU64,
    pub setbacks: AtomicU64,
    /// Keepalives and refreshes that were answered.
    pub refreshes: AtomicU64,
    /// Orders to restart, and restarts.
    pub orders: AtomicU64,
    pub reboots: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            files: [const { AtomicU64::new(0) }; Stage::COUNT],
            bytes: AtomicU64::new(0),
            resends: AtomicU64::new(0),
            started: AtomicU64::new(0),
            booted: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            registered: [const { AtomicU64::new(0) }; Over::ALL.len()],
            asks: AtomicU64::new(0),
            setbacks: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
            orders: AtomicU64::new(0),
            reboots: AtomicU64::new(0),
        }
    }
}

impl Progress {
    pub(crate) fn add(cell: &AtomicU64, amount: u64) {
        cell.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn take(cell: &AtomicU64, amount: u64) {
        cell.fetch_sub(amount, Ordering::Relaxed);
    }

    pub fn read(cell: &AtomicU64) -> u64 {
        cell.load(Ordering::Relaxed)
    }

    /// Phones that are registered, over whatever.
    pub fn all_registered(&self) -> u64 {
        self.registered.iter().map(Self::read).sum()
    }

    /// Files of all stages.
    pub fn all_files(&self) -> u64 {
        self.files.iter().map(Self::read).sum()
    }
}
