//! Runs frames over plain memory, as the kernel runs them over its maps.

use super::cases::Case;
use super::memory::{MemoryFrame, MemoryMaps};
use super::outcome::Outcome;
use crate::answer::handle;
use crate::frame::Frame as _;

/// A time of CLOCK_MONOTONIC, far from zero.
pub const NOW_NS: u64 = 1_000_000_000_000;

/// Runs one frame on the rung `RUNG`, 0 for XDP and 1 for TC.
pub fn run<const RUNG: u8>(
    maps: &MemoryMaps,
    mut frame: MemoryFrame<RUNG>,
    now_ns: u64,
) -> Outcome {
    maps.now_ns.set(now_ns);
    let reason = handle(&mut frame, maps);
    Outcome {
        rung: MemoryFrame::<RUNG>::RUNG,
        reason,
        ran_ns: now_ns..=now_ns,
        frame: frame.bytes,
        transfers: maps.transfers(),
        budgets: maps.budgets.borrow().clone(),
        events: maps.events.take(),
    }
}

/// Runs the frame of a case, which the maps are set up for.
pub fn run_case<const RUNG: u8>(maps: &MemoryMaps, case: &Case) -> Outcome {
    let frame = MemoryFrame {
        grows: !case.before.stuck,
        ..MemoryFrame::new(case.frame.clone())
    };
    run::<RUNG>(maps, frame, NOW_NS)
}
