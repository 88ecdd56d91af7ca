//! What a trace is given: packets from and to a few addresses, whole, and what became of them.
//!
//! Nothing here is looked at unless a trace runs: the programs that are attached otherwise know
//! none of these maps, and the rings are made for a trace and gone with it.

use super::Address;
use crate::classify::{Class, Decision};
use crate::verdict::Reason;

/// Traces at once: the slots of `TRACES`, and the bits of a value of `TRACED`.
pub const TRACE_SLOTS: usize = 4;
/// Addresses of one trace.
pub const TRACE_ADDRESSES: usize = 8;
/// `TRACED`: address → one bit for each trace that wants its packets. Written by the daemon.
pub type Slots = u32;
/// `TRACES_LOST`: packets that found the ring of a slot full.
pub type LostRow = [u64; TRACE_SLOTS];

/// The beginning of a frame that is mirrored: what fits an MTU of 1500 with two tags, and more.
pub const MIRROR_MAX: usize = 2048;

/// `TRACES`: one record of a trace's ring buffer, cut behind `captured_len` bytes of its frame.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Mirrored {
    /// CLOCK_MONOTONIC.
    pub at_ns: u64,
    pub ifindex: u32,
    /// Bytes of the frame as it was seen, without a tag that the driver took out.
    pub frame_len: u32,
    pub captured_len: u32,
    /// The traces that want it. Also what the program that meets a packet tells the one that
    /// classifies it.
    pub slots: Slots,
    /// The tag the driver took out; zeros without.
    pub outer_tag: [u8; 4],
    pub rung: u8,
    /// 1 for an answer that leaves, 0 for what came in.
    pub is_answer: u8,
    /// [`Reason`].
    pub reason: u8,
    /// [`Class`] and [`Decision`] of a registration packet, else [`NO_CLASS`] and zero.
    pub class: u8,
    pub decision: u8,
    /// For the program that tells: [`crate::verdict::Verdict`].
    pub verdict: u8,
    pub padding: [u8; 6],
    pub frame: [u8; MIRROR_MAX],
}

/// [`Mirrored::class`] of what was not classified.
pub const NO_CLASS: u8 = u8::MAX;

impl Mirrored {
    /// Bytes before the frame.
    pub const FIXED_LEN: usize = size_of::<Self>() - MIRROR_MAX;

    pub const EMPTY: Self = Self {
        at_ns: 0,
        ifindex: 0,
        frame_len: 0,
        captured_len: 0,
        slots: 0,
        outer_tag: [0; 4],
        rung: 0,
        is_answer: 0,
        reason: 0,
        class: NO_CLASS,
        decision: 0,
        verdict: 0,
        padding: [0; 6],
        frame: [0; MIRROR_MAX],
    };
}

const _: () = {
    assert!(size_of::<Address>() == 16);
    assert!(Mirrored::FIXED_LEN == 40);
    assert!(core::mem::offset_of!(Mirrored, frame) == Mirrored::FIXED_LEN);
    assert!(TRACE_SLOTS <= Slots::BITS as usize);
    assert!(Class::COUNT < NO_CLASS as usize);
    assert!(Reason::COUNT < 256 && Decision::COUNT < 256);
};
