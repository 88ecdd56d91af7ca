//! Runs frames over plain memory, as the kernel runs them over its maps.

use super::cases::Case;
use super::memory::{MemoryFrame, MemoryMaps};
use super::outcome::{Classified, Outcome};
use crate::answer::handle;
use crate::classify::classify;
use crate::frame::Frame as _;
use crate::verdict::Verdict;

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
    let gate_before = maps.gate_now();
    if reason.verdict() == Verdict::Classify {
        classify(&frame, maps);
    }
    let counted = maps.classified.borrow_mut().pop();
    assert_eq!(*maps.classified.borrow(), [], "a packet has one class");
    let classified = counted.map(|(class, decision)| Classified {
        class,
        decision,
        gate_before,
        gate: maps.gate_now(),
        sample: maps.samples.borrow_mut().pop(),
        skipped: maps.skipped_now(),
    });
    Outcome {
        classified,
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
