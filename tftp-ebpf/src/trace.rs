//! Mirrors the packets of a few addresses, with what became of them, to the traces that want them.
//!
//! Only the traced twins of the programs come here. A packet that no trace wants costs them a look
//! at its addresses. One that is wanted is copied before it is handled, since the answer is written
//! over it, and told when it is known what became of it; under XDP an answer is told too, for
//! nobody behind this program will see it leave. Under TC it leaves by the host's own way, where a
//! packet socket sees it.

#[cfg(test)]
mod tests;

use core::ptr::NonNull;

use crate::abi::trace::{MIRROR_MAX, Mirrored, NO_CLASS, Slots};
use crate::abi::{Address, address, mapped};
use crate::classify::{Class, Decision};
use crate::frame::{Frame, Maps};
use crate::verdict::{Reason, Rung, Verdict};
use crate::wire::eth::{self, ethertype};

/// The maps of traces.
pub trait TraceMaps: Maps {
    /// The traces that want the packets of an address.
    fn traced(&self, address: &Address) -> Slots;
    /// This CPU's own room for a record.
    fn mirrored(&self) -> Option<NonNull<Mirrored>>;
    /// Writes the record to every trace that wants it, without what is behind its frame.
    fn write_mirrored(&self, record: &Mirrored);
}

/// What follows on a program: the places in the arrays of programs. Each step that traces is a
/// program of its own, since the verifier would walk what comes behind a step once for each way
/// through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Next {
    /// The program that classifies, and its twin that traces.
    Classify = 0,
    ClassifyTraced = 1,
    /// What is attached while no trace runs, and its twin.
    Handle = 2,
    HandleTraced = 3,
    /// The program that [`tell`]s.
    Tell = 4,
}

impl Next {
    pub const COUNT: usize = 5;
}

/// Copies a frame that came in, if a trace wants it. Returns what handles it.
#[inline(always)]
pub fn take<F: Frame, M: TraceMaps>(frame: &F, maps: &M) -> Next {
    let slots = wanted(frame, maps);
    if slots == 0 {
        return Next::Handle;
    }
    let Some(mut record) = maps.mirrored() else {
        return Next::Handle;
    };
    // SAFETY: this CPU's own, and the program is not re-entered on it.
    let record = unsafe { record.as_mut() };
    record.slots = slots;
    record.is_answer = 0;
    if copy(frame, maps, record) {
        Next::HandleTraced
    } else {
        Next::Handle
    }
}

/// Where a frame goes on that was [taken](take) and handled, for this reason.
#[inline(always)]
pub fn handled<M: TraceMaps>(maps: &M, reason: Reason) -> Next {
    let verdict = reason.verdict();
    if let Some(mut record) = maps.mirrored() {
        // SAFETY: as above.
        let record = unsafe { record.as_mut() };
        record.reason = reason as u8;
        record.verdict = verdict as u8;
    }
    if matches!(verdict, Verdict::Classify) {
        Next::ClassifyTraced
    } else {
        Next::Tell
    }
}

/// Tells what became of a frame that was [taken](take), and returns it.
#[inline(always)]
pub fn tell<F: Frame, M: TraceMaps>(frame: &F, maps: &M) -> Verdict {
    let Some(mut record) = maps.mirrored() else {
        return Verdict::Pass;
    };
    // SAFETY: as above.
    let record = unsafe { record.as_mut() };
    let is = |verdict: Verdict| record.verdict == verdict as u8;
    let verdict = if is(Verdict::Answer) {
        Verdict::Answer
    } else if is(Verdict::Drop) {
        Verdict::Drop
    } else {
        Verdict::Pass
    };
    // Behind XDP a packet was told already. It is told again only if something else became of it
    // here, and the daemon knows the two for one.
    let is_behind_xdp = || {
        let interface = maps.interface(frame.ifindex());
        interface.is_some_and(|it| it.classifies == Rung::Xdp as u8)
    };
    let passes = matches!(verdict, Verdict::Pass);
    if passes && matches!(F::RUNG, Rung::Tc) && is_behind_xdp() {
        return verdict;
    }
    maps.write_mirrored(record);
    if matches!(verdict, Verdict::Answer) && matches!(F::RUNG, Rung::Xdp) {
        record.is_answer = 1;
        if copy(frame, maps, record) {
            maps.write_mirrored(record);
        }
    }
    verdict
}

/// Tells what became of a registration packet that was [taken](take).
#[inline(always)]
pub fn tell_classified<M: TraceMaps>(maps: &M, class: Option<Class>, decision: Decision) {
    let Some(mut record) = maps.mirrored() else {
        return;
    };
    // SAFETY: as above.
    let record = unsafe { record.as_mut() };
    record.class = class.map_or(NO_CLASS, |class| class as u8);
    record.decision = decision as u8;
    maps.write_mirrored(record);
}

/// The traces that want a frame.
#[inline(always)]
fn wanted<F: Frame, M: TraceMaps>(frame: &F, maps: &M) -> Slots {
    let (mut from, mut to) = ([0; 4], [0; 4]);
    if !read_ends(frame, &mut from, &mut to) {
        return 0;
    }
    maps.traced(&from) | maps.traced(&to)
}

/// Reads the addresses of a frame, of ARP too (RFC 826): whatever else is wrong with the packet, it
/// is one of the phone's.
#[inline(always)]
pub(crate) fn read_ends<F: Frame>(frame: &F, from: &mut Address, to: &mut Address) -> bool {
    let mut kind = [0; 2];
    let mut at = eth::ADDRESSES_LEN;
    for _ in 0..3 {
        if !frame.load(at, &mut kind) {
            return false;
        }
        if !eth::is_tag(u16::from_be_bytes(kind)) {
            break;
        }
        at += eth::TAG_LEN;
    }
    let network = at + kind.len();
    let (mut sender, mut target) = ([0; 4], [0; 4]);
    let (sender_at, target_at) = match u16::from_be_bytes(kind) {
        ethertype::IPV4 => (network + 12, network + 16),
        ethertype::ARP => (network + 14, network + 24),
        ethertype::IPV6 => {
            let mut bytes = [0; 16];
            if !frame.load(network + 8, &mut bytes) {
                return false;
            }
            *from = address(&bytes);
            if !frame.load(network + 24, &mut bytes) {
                return false;
            }
            *to = address(&bytes);
            return true;
        }
        _ => return false,
    };
    if !frame.load(sender_at, &mut sender) || !frame.load(target_at, &mut target) {
        return false;
    }
    *from = mapped(sender);
    *to = mapped(target);
    true
}

/// Copies the frame as it is now into the record.
#[inline(always)]
fn copy<F: Frame, M: TraceMaps>(frame: &F, maps: &M, record: &mut Mirrored) -> bool {
    let len = frame.len();
    let captured = if len < MIRROR_MAX { len } else { MIRROR_MAX };
    if !frame.load_frame(captured, &mut record.frame) {
        return false;
    }
    record.at_ns = maps.now();
    record.ifindex = frame.ifindex();
    record.frame_len = len as u32;
    record.captured_len = captured as u32;
    record.outer_tag = frame.outer_tag().unwrap_or_default();
    record.rung = F::RUNG as u8;
    record.class = NO_CLASS;
    record.decision = 0;
    true
}
