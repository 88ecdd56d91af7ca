//! Runs a case over plain memory.

use std::collections::HashMap;

use super::cases::Case;
use super::memory::{MemoryFrame, MemoryMaps};
use super::outcome::Outcome;
use super::site::{IFINDEX, Site};
use crate::answer::handle;
use crate::frame::Frame as _;

/// A time of CLOCK_MONOTONIC, far from zero.
pub const NOW_NS: u64 = 1_000_000_000_000;

/// Sets up what a case finds when its frame comes in.
pub fn maps(site: &Site, case: &Case) -> MemoryMaps {
    let before = &case.before;
    let mut maps = MemoryMaps::new(site.clone());
    maps.site.policy = before.policy(site);
    maps.site.interfaces = before
        .interface(site)
        .map(|interface| HashMap::from([(IFINDEX, interface)]))
        .unwrap_or_default();
    if let Some(budget) = before.budget(site, NOW_NS) {
        maps.budgets.borrow_mut().insert(case.source, budget);
    }
    if before.known {
        maps.known.borrow_mut().insert(case.source, NOW_NS);
    }
    if let Some(standing) = &before.standing {
        maps.set_transfer(standing.key, standing.at(NOW_NS));
    }
    maps
}

/// Runs one frame on the rung `RUNG`, 0 for XDP and 1 for TC.
pub fn run<const RUNG: u8>(
    maps: &MemoryMaps,
    mut frame: MemoryFrame<RUNG>,
    now_ns: u64,
) -> Outcome {
    let reason = handle(&mut frame, maps, now_ns);
    Outcome {
        rung: MemoryFrame::<RUNG>::RUNG,
        reason,
        frame: frame.bytes,
        transfers: maps.transfers(),
        budgets: maps.budgets.borrow().clone(),
        events: maps.events.take(),
    }
}

/// Runs a case.
pub fn run_case<const RUNG: u8>(maps: &MemoryMaps, case: &Case) -> Outcome {
    let frame = MemoryFrame {
        grows: !case.before.stuck,
        ..MemoryFrame::new(case.frame.clone())
    };
    run::<RUNG>(maps, frame, NOW_NS)
}
