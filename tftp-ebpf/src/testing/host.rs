//! Runs frames over plain memory, as the kernel runs them over its maps.

use super::cases::Case;
use super::memory::{MemoryFrame, MemoryMaps};
use super::outcome::{Classified, Outcome};
use crate::abi::Address;
use crate::answer::handle;
use crate::classify::{classify, classify_as};
use crate::frame::Frame as _;
use crate::trace::{self, Next};
use crate::verdict::Verdict;

/// A time of CLOCK_MONOTONIC, far from zero.
pub const NOW_NS: u64 = 1_000_000_000_000;

/// Runs one frame on the rung `RUNG`, 0 for XDP and 1 for TC, by the program that traces: without a
/// traced address it does what the other does.
pub fn run<const RUNG: u8>(
    maps: &MemoryMaps,
    mut frame: MemoryFrame<RUNG>,
    now_ns: u64,
) -> Outcome {
    maps.now_ns.set(now_ns);
    let is_traced = match trace::take(&frame, maps) {
        Next::Handle => false,
        Next::HandleTraced => true,
        next => panic!("a frame is handled first, not {next:?}"),
    };
    let reason = handle(&mut frame, maps);
    let gate_before = maps.gate_now();
    if is_traced {
        match trace::handled(maps, reason) {
            Next::ClassifyTraced => {
                let (class, decision) = classify_as(&frame, maps);
                trace::tell_classified(maps, class, decision);
            }
            Next::Tell => {
                let verdict = trace::tell(&frame, maps);
                assert_eq!(verdict, reason.verdict(), "a trace changes nothing");
            }
            next => panic!("a traced frame does not go on to {next:?}"),
        }
    } else if reason.verdict() == Verdict::Classify {
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

/// Who sent a frame, for those who trace; `None` if that cannot be told.
pub fn sender(frame: &[u8]) -> Option<Address> {
    let (mut from, mut to) = ([0; 4], [0; 4]);
    let frame = MemoryFrame::<0>::new(frame.to_vec());
    trace::read_ends(&frame, &mut from, &mut to).then_some(from)
}
