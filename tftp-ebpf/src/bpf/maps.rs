//! Every map, in one place. Sizes here are only defaults: the daemon sets them at load.

use core::ptr::NonNull;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{
    Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf,
};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_csum_diff;
use aya_ebpf::macros::btf_map;
use tftp_ebpf::abi::registration::{ClassCounts, Gate, Registration, Sample, Sampling, ServiceKey};
use tftp_ebpf::abi::trace::{LostRow, MIRROR_MAX, Mirrored, Slots, TRACE_ADDRESSES, TRACE_SLOTS};
use tftp_ebpf::abi::{
    Address, BANK_SLABS, Budget, CounterBlock, Event, FileEntry, Interface, LatencyHistogram,
    Lease, Policy, SLAB_STRIDE, Slab, Source, StageCounter, Transfer, TransferKey, client,
    log2_bucket,
};
use tftp_ebpf::checksum::Sum;
use tftp_ebpf::classify::{Class, Decision, RegistrationMaps};
use tftp_ebpf::frame::{Bucket, Maps, REQUEST_MAX, Scratch};
use tftp_ebpf::name::NameKey;
use tftp_ebpf::plan::{has_token, take_token};
use tftp_ebpf::stage::Stage;
use tftp_ebpf::trace::{Next, TraceMaps};
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_ebpf::wire::below;
use tftp_ebpf::wire::sip::HEAD_MAX;

use super::frames::in_slab;

/// One inner map of `SLABS`.
type Bank = Array<Slab, { BANK_SLABS as usize }, { BPF_F_MMAPABLE as usize }>;

#[btf_map]
static POLICY: Array<Policy, 1> = Array::new();
#[btf_map]
static LEASE: Array<Lease, 1> = Array::new();
#[btf_map]
static INTERFACES: HashMap<u32, Interface, 64> = HashMap::new();
/// Addresses of this host.
#[btf_map]
static LOCALS: HashMap<Address, u32, 1024> = HashMap::new();
/// Networks of clients: see [`client`]. IPv4 prefixes stand under `::ffff:0:0/96`.
#[btf_map]
static CLIENTS: LpmTrie<Address, u32, 1024> = LpmTrie::new();
#[btf_map]
static FILES: HashMap<NameKey, FileEntry, 131072, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();
#[btf_map]
static SLABS: ArrayOfMaps<Bank, 64> = ArrayOfMaps::new();
#[btf_map]
static TRANSFERS: LruHashMap<TransferKey, Transfer, 32768> = LruHashMap::new();
#[btf_map]
static BUDGETS: LruHashMap<Source, Budget, 32768> = LruHashMap::new();
/// Sources that acknowledged a block, and when: their address is genuine.
#[btf_map]
static KNOWN: LruHashMap<Source, u64, 32768> = LruHashMap::new();
#[btf_map]
static COUNTERS: PerCpuArray<CounterBlock, 2> = PerCpuArray::new();
#[btf_map]
static LATENCY: PerCpuArray<LatencyHistogram, 2> = PerCpuArray::new();
#[btf_map]
static EVENTS: RingBuf<Event, 1048576> = RingBuf::new();
/// Events that found the ring full.
#[btf_map]
static EVENTS_LOST: PerCpuArray<u64, 1> = PerCpuArray::new();
#[btf_map]
static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// The programs that follow on others, by [`Next`]: programs of two types cannot share an array.
#[btf_map]
pub(crate) static NEXT_XDP: ProgramArray<{ Next::COUNT }> = ProgramArray::new();
#[btf_map]
pub(crate) static NEXT_TC: ProgramArray<{ Next::COUNT }> = ProgramArray::new();
/// Where phones register: see `service`.
#[btf_map]
static SERVICES: HashMap<ServiceKey, u32, 1024> = HashMap::new();
#[btf_map]
static REGISTRATION: Array<Registration, 1> = Array::new();
#[btf_map]
static GATE: Array<Gate, 1> = Array::new();
/// Addresses that phones are registered from. Not an LRU map: the daemon alone writes it, and knows
/// when it is full.
#[btf_map]
static REGISTERED: HashMap<Address, u32, 131072, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();
#[btf_map]
static CLASSES: PerCpuArray<ClassCounts, 2> = PerCpuArray::new();
#[btf_map]
static SAMPLING: PerCpuArray<Sampling, 1> = PerCpuArray::new();
#[btf_map]
static SAMPLE: PerCpuArray<Sample, 1> = PerCpuArray::new();
#[btf_map]
static SAMPLES: RingBuf<Sample, 524288> = RingBuf::new();

/// Addresses that are traced, and by whom.
#[btf_map]
static TRACED: HashMap<Address, Slots, { TRACE_SLOTS * TRACE_ADDRESSES }> = HashMap::new();
/// The rings of the traces that run; this size is only that of a pattern for them.
#[btf_map]
static TRACES: ArrayOfMaps<RingBuf<Mirrored, 4096>, TRACE_SLOTS> = ArrayOfMaps::new();
#[btf_map]
static TRACES_LOST: PerCpuArray<LostRow, 1> = PerCpuArray::new();
#[btf_map]
static MIRRORED: PerCpuArray<Mirrored, 1> = PerCpuArray::new();

/// The daemon polls the ring: a wake-up for every event would cost more than the answer.
const RINGBUF_NO_WAKEUP: u64 = 1;

#[inline(always)]
fn counters(rung: Rung) -> Option<&'static mut CounterBlock> {
    // SAFETY: this CPU's own slot; the program is not re-entered on it.
    COUNTERS
        .get_ptr_mut(rung as u32)
        .map(|block| unsafe { &mut *block })
}

/// An element at an index the verifier can follow.
#[inline(always)]
fn slot<T, const N: usize>(array: &mut [T; N], index: usize) -> Option<&mut T> {
    array.get_mut(below::<N>(index))
}

#[inline(always)]
fn bump<const N: usize>(array: &mut [u64; N], index: usize, amount: u64) {
    if let Some(cell) = slot(array, index) {
        *cell += amount;
    }
}

#[inline(always)]
pub(crate) fn count(rung: Rung, reason: Reason) {
    if let Some(block) = counters(rung) {
        bump(&mut block.reasons, reason as usize, 1);
    }
}

/// The maps above, as the packet logic sees them.
pub(crate) struct KernelMaps;

impl Maps for KernelMaps {
    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: reads a clock.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn took(&self, rung: Rung, began: u64) {
        // One packet in sixteen: a second look at the clock costs as much as a map lookup.
        if began & 0xf0 != 0 {
            return;
        }
        let took_ns = self.now().wrapping_sub(began);
        if let Some(histogram) = LATENCY.get_ptr_mut(rung as u32) {
            // SAFETY: this CPU's own slot; the program is not re-entered on it.
            bump(unsafe { &mut *histogram }, log2_bucket(took_ns), 1);
        }
    }

    #[inline(always)]
    fn policy(&self) -> Option<&Policy> {
        POLICY.get(0)
    }

    #[inline(always)]
    fn lease(&self) -> Option<&Lease> {
        LEASE.get(0)
    }

    #[inline(always)]
    fn interface(&self, ifindex: u32) -> Option<&Interface> {
        // SAFETY: preallocated; the daemon replaces entries, and a torn one is two plausible sizes.
        unsafe { INTERFACES.get(ifindex) }
    }

    #[inline(always)]
    fn is_local(&self, address: &Address) -> bool {
        LOCALS.get_ptr(address).is_some()
    }

    #[inline(always)]
    fn is_allowed(&self, address: &Address) -> bool {
        let found = CLIENTS.get(&Key::new(128, *address));
        found.is_some_and(|it| *it == client::ANSWERED)
    }

    #[inline(always)]
    fn scratch(&self) -> Option<NonNull<Scratch>> {
        SCRATCH.get_ptr_mut(0).and_then(NonNull::new)
    }

    #[inline(always)]
    fn service(&self, place: &ServiceKey) -> Option<u8> {
        // SAFETY: an element of the map, one word.
        SERVICES.get_ptr(place).map(|found| unsafe { *found } as u8)
    }

    #[inline(always)]
    fn count_class(&self, rung: Rung, class: Class, decision: Decision) {
        if let Some(counts) = CLASSES.get_ptr_mut(rung as u32) {
            // SAFETY: this CPU's own slot; the program is not re-entered on it.
            let counts = unsafe { &mut *counts };
            if let Some(row) = slot(&mut counts.packets, class as usize) {
                bump(row, decision as usize, 1);
            }
        }
    }

    #[inline(always)]
    fn file(&self, name: &NameKey, entry: &mut FileEntry) -> bool {
        match FILES.get_ptr(name) {
            // SAFETY: an element of the map; the seal tells if it was replaced meanwhile.
            Some(found) => *entry = unsafe { core::ptr::read_volatile(found) },
            None => return false,
        }
        true
    }

    #[inline(always)]
    fn content(&self, position: u64) -> Option<(&Slab, usize)> {
        let slab = (position / SLAB_STRIDE as u64) as u32;
        let offset = (position % SLAB_STRIDE as u64) as usize;
        let slab = SLABS.get_value(slab / BANK_SLABS, &(slab % BANK_SLABS))?;
        Some((slab, offset))
    }

    #[inline(always)]
    fn sum_content(&self, slab: &Slab, offset: usize, len: usize) -> Option<Sum> {
        let (offset, len) = in_slab(offset, len)?;
        let mut sum = Sum::new();
        let mut done = 0;
        // Before Linux 6.13 the helper takes 512 bytes at a time, a multiple of four.
        for _ in 0..2 {
            if done + 512 <= len {
                // SAFETY: inside the slab, see `in_slab`.
                sum = sum.add(unsafe { csum(slab.as_ptr().add(offset + done), 512)? });
                done += 512;
            }
        }
        let rest = below::<512>(len.wrapping_sub(done));
        // Whole words first; `in_slab` leaves room for the three bytes that may be behind them.
        let words = rest & !3;
        let from = below::<2048>(done) + offset;
        if words > 0 {
            // SAFETY: inside the slab, see `in_slab`.
            sum = sum.add(unsafe { csum(slab.as_ptr().add(from), words as u32)? });
        }
        let tail = from + words;
        let byte = |at: usize| if at < slab.len() { slab[at] } else { 0 };
        Some(match rest & 3 {
            0 => sum,
            1 => sum.pair(byte(tail), 0),
            2 => sum.pair(byte(tail), byte(tail + 1)),
            _ => sum.pair(byte(tail), byte(tail + 1)).pair(byte(tail + 2), 0),
        })
    }

    #[inline(always)]
    fn sum_request(&self, request: &[u8; REQUEST_MAX], len: usize) -> Option<Sum> {
        // The buffer is zero behind `len`.
        let len = below::<REQUEST_MAX>(len + 3) & !3;
        // SAFETY: inside the buffer by the mask.
        unsafe { csum(request.as_ptr(), len as u32) }
    }

    #[inline(always)]
    fn transfer(&self, key: &TransferKey) -> Option<NonNull<Transfer>> {
        TRANSFERS.get_ptr_mut(key).and_then(NonNull::new)
    }

    #[inline(always)]
    fn insert_transfer(&self, key: &TransferKey, transfer: &Transfer) -> bool {
        TRANSFERS.insert(key, transfer, 0).is_ok()
    }

    #[inline(always)]
    fn remove_transfer(&self, key: &TransferKey) {
        // Fails only if another CPU was first.
        let _ = TRANSFERS.remove(key);
    }

    #[inline(always)]
    fn may_spend(&self, bucket: Bucket, source: &Address, policy: &Policy, now: u64) -> bool {
        let (interval, burst) = policy.bucket(bucket);
        if burst == 0 {
            return true;
        }
        let Some(budget) = BUDGETS.get_ptr(source) else {
            return true;
        };
        // SAFETY: an element of the map; an old value is as good as any.
        let budget = unsafe { &*budget };
        let full_at = match bucket {
            Bucket::First => budget.first_ns,
            Bucket::Miss => budget.miss_ns,
            Bucket::Unknown => budget.unknown_ns,
        };
        has_token(full_at, now, interval, burst)
    }

    #[inline(always)]
    fn is_known(&self, source: &Address, policy: &Policy, now: u64) -> bool {
        // SAFETY: an element of the map, one aligned word.
        KNOWN
            .get_ptr(source)
            .is_some_and(|at| now.saturating_sub(unsafe { *at }) < policy.known_for_ns)
    }

    #[inline(always)]
    fn silenced(&self, source: &Address) {
        if let Some(budget) = BUDGETS.get_ptr_mut(source) {
            // SAFETY: an element of the map; races lose a count at most.
            unsafe { (*budget).silenced += 1 };
        }
    }

    #[inline(always)]
    fn spend(&self, bucket: Bucket, source: &Address, policy: &Policy, now: u64) {
        let mut fresh = Budget::default();
        let budget = BUDGETS.get_ptr_mut(source);
        // SAFETY: an element of the map, or the local; races lose a token at most.
        let target = unsafe { &mut *budget.unwrap_or(&raw mut fresh) };
        let (interval, burst) = policy.bucket(bucket);
        let full_at = match bucket {
            Bucket::First => &mut target.first_ns,
            Bucket::Miss => &mut target.miss_ns,
            Bucket::Unknown => &mut target.unknown_ns,
        };
        *full_at = take_token(*full_at, now, interval, burst);
        if budget.is_none() {
            // A full LRU map makes room; without memory the budget is simply not charged.
            let _ = BUDGETS.insert(source, fresh, BPF_NOEXIST as u64);
        }
    }

    #[inline(always)]
    fn acknowledged(&self, source: &Address, policy: &Policy, now: u64) {
        if let Some(budget) = BUDGETS.get_ptr_mut(source) {
            // SAFETY: an element of the map; races lose a token at most.
            unsafe {
                (*budget).first_ns = (*budget).first_ns.saturating_sub(policy.first_interval_ns);
            }
        }
        match KNOWN.get_ptr_mut(source) {
            // SAFETY: an element of the map, one aligned word.
            Some(at) => unsafe { *at = now },
            None => {
                let _ = KNOWN.insert(source, now, BPF_NOEXIST as u64);
            }
        }
    }

    #[inline(always)]
    fn count_stage(&self, rung: Rung, stage: Stage, counter: StageCounter, amount: u64) {
        if let Some(block) = counters(rung)
            && let Some(row) = slot(&mut block.stages, stage as usize)
        {
            bump(row, counter as usize, amount);
        }
    }

    #[inline(always)]
    fn count_data(&self, rung: Rung, stage: Stage, bytes: usize) {
        if let Some(block) = counters(rung)
            && let Some(row) = slot(&mut block.stages, stage as usize)
        {
            row[StageCounter::Blocks as usize] += 1;
            row[StageCounter::Bytes as usize] += bytes as u64;
        }
    }

    #[inline(always)]
    fn count_completed(&self, rung: Rung, stage: Stage, took_us: u64) {
        if let Some(block) = counters(rung) {
            if let Some(histogram) = slot(&mut block.transfer_us, stage as usize) {
                bump(histogram, log2_bucket(took_us), 1);
            }
            bump(&mut block.transfer_us_sum, stage as usize, took_us);
        }
    }

    #[inline(always)]
    fn event(&self, event: &Event) {
        if EVENTS.output(event, RINGBUF_NO_WAKEUP).is_err()
            && let Some(lost) = EVENTS_LOST.get_ptr_mut(0)
        {
            // SAFETY: this CPU's own slot; the program is not re-entered on it.
            unsafe { *lost += 1 };
        }
    }
}

impl RegistrationMaps for KernelMaps {
    #[inline(always)]
    fn registration(&self) -> Option<&Registration> {
        REGISTRATION.get(0)
    }

    #[inline(always)]
    fn is_registered(&self, source: &Address) -> bool {
        REGISTERED.get_ptr(source).is_some()
    }

    #[inline(always)]
    fn gate(&self) -> Option<NonNull<Gate>> {
        GATE.get_ptr_mut(0).and_then(NonNull::new)
    }

    #[inline(always)]
    fn sampling(&self) -> Option<NonNull<Sampling>> {
        SAMPLING.get_ptr_mut(0).and_then(NonNull::new)
    }

    #[inline(always)]
    fn sample(&self) -> Option<NonNull<Sample>> {
        SAMPLE.get_ptr_mut(0).and_then(NonNull::new)
    }

    #[inline(always)]
    fn write_sample(&self, sample: &Sample) -> bool {
        let head_len = below::<2048>(sample.head_len as usize);
        if head_len > HEAD_MAX {
            return false;
        }
        // SAFETY: the head ends where the sample does, at the latest.
        let record = unsafe {
            core::slice::from_raw_parts(
                (&raw const *sample).cast::<u8>(),
                Sample::FIXED_LEN + head_len,
            )
        };
        SAMPLES
            .output_untyped::<[u8]>(record, RINGBUF_NO_WAKEUP)
            .is_ok()
    }
}

impl TraceMaps for KernelMaps {
    #[inline(always)]
    fn traced(&self, address: &Address) -> Slots {
        // SAFETY: an element of the map, one aligned word.
        TRACED.get_ptr(address).map_or(0, |slots| unsafe { *slots })
    }

    #[inline(always)]
    fn mirrored(&self) -> Option<NonNull<Mirrored>> {
        MIRRORED.get_ptr_mut(0).and_then(NonNull::new)
    }

    #[inline(always)]
    fn write_mirrored(&self, record: &Mirrored) {
        let captured = below::<{ 2 * MIRROR_MAX }>(record.captured_len as usize);
        if captured > MIRROR_MAX {
            return;
        }
        // SAFETY: the frame ends where the record does, at the latest.
        let bytes = unsafe {
            core::slice::from_raw_parts(
                (&raw const *record).cast::<u8>(),
                Mirrored::FIXED_LEN + captured,
            )
        };
        for slot in 0..TRACE_SLOTS {
            if record.slots & 1 << slot == 0 {
                continue;
            }
            let is_written = TRACES.get(slot as u32).is_some_and(|ring| {
                ring.output_untyped::<[u8]>(bytes, RINGBUF_NO_WAKEUP)
                    .is_ok()
            });
            if !is_written && let Some(lost) = TRACES_LOST.get_ptr_mut(0) {
                // SAFETY: this CPU's own slot; the program is not re-entered on it.
                unsafe { (*lost)[slot] += 1 };
            }
        }
    }
}

/// # Safety
/// `from` must point to `len` bytes of map memory, `len` a multiple of four and at most 512.
#[inline(always)]
unsafe fn csum(from: *const u8, len: u32) -> Option<Sum> {
    // SAFETY: the caller's promise, which the verifier checks again.
    let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, from as *mut _, len, 0) };
    if sum < 0 {
        None
    } else {
        Some(Sum::from_memory(sum as u32))
    }
}
