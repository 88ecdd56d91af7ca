//! What the packet logic needs from a frame and from the maps.
//!
//! The kernel program implements both traits over BPF helpers, twice for frames (XDP, TC); tests
//! on the host implement them over plain memory and so run the very same logic.

use core::ptr::NonNull;

use crate::abi::registration::{Encounter, ServiceKey};
use crate::abi::trace::MIRROR_MAX;
use crate::abi::{
    Address, Event, FileEntry, Interface, Lease, Policy, Slab, Source, StageCounter, Transfer,
    TransferKey,
};
use crate::checksum::Sum;
use crate::classify::{Class, Decision};
use crate::name::NameKey;
use crate::packet::Packet;
use crate::stage::Stage;
use crate::verdict::Rung;
use crate::wire::Bytes;
use crate::wire::sip::HEAD_MAX;
use crate::wire::tftp::{Oack, Parser};

/// Longest request the kernel reads; longer ones are the daemon's.
pub const REQUEST_MAX: usize = 256;

/// A frame that came in and may become the answer.
pub trait Frame {
    const RUNG: Rung;

    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of the interface it came in on.
    fn ifindex(&self) -> u32;

    /// The VLAN tag (EtherType and control field) that was taken out of the frame before we saw
    /// it, and will be put back when it leaves.
    fn outer_tag(&self) -> Option<[u8; 4]>;

    /// Copies a piece out of the frame; `false` if it does not have that many bytes.
    fn load<T: Bytes>(&self, at: usize, out: &mut T) -> bool;

    /// Copies `len` bytes, at most `REQUEST_MAX - 4`, and zeroes the four bytes after them.
    fn load_request(&self, at: usize, len: usize, out: &mut [u8; REQUEST_MAX]) -> bool;

    /// Copies `len` bytes, 1 to [`HEAD_MAX`], to the beginning of `out`.
    fn load_head(&self, at: usize, len: usize, out: &mut [u8; HEAD_MAX]) -> bool;

    /// Copies the first `len` bytes, 1 to [`MIRROR_MAX`], to the beginning of `out`.
    fn load_frame(&self, len: usize, out: &mut [u8; MIRROR_MAX]) -> bool;

    /// Grows or shrinks the frame at its end, from the length it has. On failure the frame is as it was: this is the last
    /// step that may fail with the packet still fit to be passed on.
    fn resize(&mut self, from: usize, to: usize) -> bool;

    fn store<T: Bytes>(&mut self, at: usize, piece: &T) -> bool;

    fn store_oack(&mut self, at: usize, oack: &Oack) -> bool;

    /// Writes `len` bytes that begin at `offset` of a slab.
    fn store_content(&mut self, at: usize, slab: &Slab, offset: usize, len: usize) -> bool;
}

/// Working memory that would not fit a BPF stack.
#[repr(C)]
pub struct Scratch {
    pub packet: Packet,
    pub request: [u8; REQUEST_MAX],
    pub name: NameKey,
    pub parser: Parser,
    pub entry: FileEntry,
    pub oack: Oack,
    pub transfer: Transfer,
    /// The key of the transfer, and the bucket its source draws from.
    pub key: TransferKey,
    pub source: Source,
    pub event: Event,
    /// What the program that classifies is told of a packet.
    pub service: ServiceKey,
    pub encounter: Encounter,
}

/// Which bucket of [`crate::abi::Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// First packets that nobody has acknowledged.
    First,
    /// Requests of names that do not exist.
    Miss,
    /// Requests of configurations of devices that nobody knows.
    Unknown,
}

impl Policy {
    /// How long a token of a bucket takes to come back, and what may be used at once; nanoseconds.
    #[inline(always)]
    pub const fn bucket(&self, bucket: Bucket) -> (u64, u64) {
        match bucket {
            Bucket::First => (self.first_interval_ns, self.first_burst_ns),
            Bucket::Miss => (self.miss_interval_ns, self.miss_burst_ns),
            Bucket::Unknown => (self.unknown_interval_ns, self.unknown_burst_ns),
        }
    }
}

/// The maps, as the packet logic sees them.
pub trait Maps {
    /// The time, CLOCK_MONOTONIC in nanoseconds. Most packets are passed on without it.
    fn now(&self) -> u64;
    /// A packet was handled that is ours, from `began` on.
    fn took(&self, rung: Rung, began: u64);

    fn policy(&self) -> Option<&Policy>;
    fn lease(&self) -> Option<&Lease>;
    fn interface(&self, ifindex: u32) -> Option<&Interface>;
    /// Whether the address is one of this host's: a bridge or router sees others pass.
    fn is_local(&self, address: &Address) -> bool;
    /// Whether the client is on the allow list.
    fn is_allowed(&self, client: &Address) -> bool;
    fn scratch(&self) -> Option<NonNull<Scratch>>;
    /// What phones register for at this address and port, one of
    /// [`crate::abi::registration::service`].
    fn service(&self, place: &ServiceKey) -> Option<u8>;
    fn count_class(&self, rung: Rung, class: Class, decision: Decision);

    /// Copies the entry out: the kernel may reuse its memory at any time.
    fn file(&self, name: &NameKey, entry: &mut FileEntry) -> bool;
    /// The slab that a position of the content space lies in, and the offset in it.
    fn content(&self, position: u64) -> Option<(&Slab, usize)>;
    /// Sums `len` bytes of a slab from `offset`; an odd last byte counts as padded with zero.
    fn sum_content(&self, slab: &Slab, offset: usize, len: usize) -> Option<Sum>;
    /// Sums the first `len` bytes of a request buffer, which is zero behind them.
    fn sum_request(&self, request: &[u8; REQUEST_MAX], len: usize) -> Option<Sum>;

    /// The transfer stays valid until the program returns; other CPUs may be at it too.
    fn transfer(&self, key: &TransferKey) -> Option<NonNull<Transfer>>;
    fn insert_transfer(&self, key: &TransferKey, transfer: &Transfer) -> bool;
    fn remove_transfer(&self, key: &TransferKey);

    /// Whether the source has a token left.
    fn may_spend(&self, bucket: Bucket, source: &Address, policy: &Policy, now: u64) -> bool;
    fn spend(&self, bucket: Bucket, source: &Address, policy: &Policy, now: u64);
    /// Whether the source acknowledged a block lately: its address is genuine.
    fn is_known(&self, source: &Address, policy: &Policy, now: u64) -> bool;
    /// A request was dropped because [`Bucket::Unknown`] is empty.
    fn silenced(&self, source: &Address);
    /// A first packet was acknowledged: its token comes back, and the source is genuine.
    fn acknowledged(&self, source: &Address, policy: &Policy, now: u64);

    fn count_stage(&self, rung: Rung, stage: Stage, counter: StageCounter, amount: u64);
    /// One DATA packet with `bytes` of content.
    fn count_data(&self, rung: Rung, stage: Stage, bytes: usize);
    fn count_completed(&self, rung: Rung, stage: Stage, took_us: u64);
    fn event(&self, event: &Event);
}
