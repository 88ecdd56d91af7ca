//! The two traits of [`crate::frame`] over plain memory.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::{HashMap, HashSet};
use std::ptr::NonNull;

use super::cases::{Before, Case};
use super::site::{IFINDEX, Site};
use crate::abi::registration::{Encounter, Gate, Registration, Sample, Sampling, ServiceKey};
use crate::abi::trace::{MIRROR_MAX, Mirrored, Slots};
use crate::abi::{
    Address, Budget, Event, FileEntry, Interface, Lease, Policy, SLAB_BYTES, SLAB_STRIDE, Slab,
    StageCounter, Transfer, TransferKey, client,
};
use crate::checksum::Sum;
use crate::classify::{Class, Decision, RegistrationMaps};
use crate::frame::{Bucket, Frame, Maps, REQUEST_MAX, Scratch};
use crate::name::{KEY_LEN, NameKey};
use crate::packet::Packet;
use crate::plan::{has_token, take_token};
use crate::stage::Stage;
use crate::trace::TraceMaps;
use crate::verdict::Rung;
use crate::wire::Bytes;
use crate::wire::sip::HEAD_MAX;
use crate::wire::tftp::{Oack, Parser};

/// A frame on the rung `RUNG`, 0 for XDP and 1 for TC.
#[derive(Clone, Debug)]
pub struct MemoryFrame<const RUNG: u8> {
    pub bytes: Vec<u8>,
    /// Whether it can be made longer.
    pub grows: bool,
    /// A tag that the driver has taken out.
    pub outer_tag: Option<[u8; 4]>,
}

impl<const RUNG: u8> MemoryFrame<RUNG> {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            grows: true,
            outer_tag: None,
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> bool {
        match self.bytes.get_mut(at..at + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

impl<const RUNG: u8> Frame for MemoryFrame<RUNG> {
    const RUNG: Rung = Rung::ALL[RUNG as usize];

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn ifindex(&self) -> u32 {
        IFINDEX
    }

    fn outer_tag(&self) -> Option<[u8; 4]> {
        self.outer_tag
    }

    fn load<T: Bytes>(&self, at: usize, out: &mut T) -> bool {
        match self.bytes.get(at..at + size_of::<T>()) {
            Some(bytes) => {
                out.as_bytes_mut().copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    fn load_request(&self, at: usize, len: usize, out: &mut [u8; REQUEST_MAX]) -> bool {
        if len == 0 || len > REQUEST_MAX - 4 {
            return false;
        }
        out[len..len + 4].fill(0);
        match self.bytes.get(at..at + len) {
            Some(bytes) => {
                out[..len].copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    fn load_head(&self, at: usize, len: usize, out: &mut [u8; HEAD_MAX]) -> bool {
        if len == 0 || len > HEAD_MAX {
            return false;
        }
        match self.bytes.get(at..at + len) {
            Some(bytes) => {
                out[..len].copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    fn load_frame(&self, len: usize, out: &mut [u8; MIRROR_MAX]) -> bool {
        match (out.get_mut(..len), self.bytes.get(..len)) {
            (Some(out), Some(bytes)) if len > 0 => {
                out.copy_from_slice(bytes);
                true
            }
            _ => false,
        }
    }

    fn resize(&mut self, from: usize, to: usize) -> bool {
        assert_eq!(from, self.bytes.len());
        if to > from && !self.grows {
            return false;
        }
        self.bytes.resize(to, 0);
        true
    }

    fn store<T: Bytes>(&mut self, at: usize, piece: &T) -> bool {
        self.put(at, piece.as_bytes())
    }

    fn store_oack(&mut self, at: usize, oack: &Oack) -> bool {
        self.put(at, oack.as_bytes())
    }

    fn store_content(&mut self, at: usize, slab: &Slab, offset: usize, len: usize) -> bool {
        slab.get(offset..offset + len)
            .is_some_and(|bytes| self.put(at, bytes))
    }
}

/// The maps, for one thread.
pub struct MemoryMaps {
    /// What the clock says.
    pub now_ns: Cell<u64>,
    site: Site,
    policy: Policy,
    lease: Lease,
    interface: Option<Interface>,
    files: HashMap<NameKey, FileEntry>,
    slabs: Vec<Box<Slab>>,
    scratch: UnsafeCell<Scratch>,
    transfers: RefCell<HashMap<TransferKey, Box<UnsafeCell<Transfer>>>>,
    /// Removed, but maybe still looked at: the kernel keeps memory valid as long.
    #[expect(
        clippy::vec_box,
        reason = "they must not move while they are looked at"
    )]
    removed: RefCell<Vec<Box<UnsafeCell<Transfer>>>>,
    pub budgets: RefCell<HashMap<Address, Budget>>,
    pub known: RefCell<HashMap<Address, u64>>,
    pub events: RefCell<Vec<Event>>,
    /// Sums over all stages, in the order of [`StageCounter`].
    pub counted: [Cell<u64>; StageCounter::COUNT],
    pub completed: Cell<u64>,
    registration: Registration,
    /// Addresses that phones are registered from.
    pub registered: RefCell<HashSet<Address>>,
    gate: UnsafeCell<Gate>,
    sampling: UnsafeCell<Sampling>,
    sample: UnsafeCell<Sample>,
    pub samples: RefCell<Vec<Sample>>,
    /// Addresses that are traced, and by whom.
    pub traced: RefCell<HashMap<Address, Slots>>,
    mirrored: UnsafeCell<Mirrored>,
    /// What was told to traces.
    pub mirrors: RefCell<Vec<Mirrored>>,
    /// Packets that were classified, in order.
    pub classified: RefCell<Vec<(Class, Decision)>>,
}

impl MemoryMaps {
    pub fn new(site: Site) -> Self {
        let slabs = site
            .content
            .chunks(SLAB_STRIDE)
            .enumerate()
            .map(|(index, _)| {
                let start = index * SLAB_STRIDE;
                let end = (start + SLAB_BYTES).min(site.content.len());
                let mut slab = Box::new([0; SLAB_BYTES]);
                slab[..end - start].copy_from_slice(&site.content[start..end]);
                slab
            })
            .collect();
        Self {
            files: site.directory().collect(),
            slabs,
            scratch: UnsafeCell::new(Scratch {
                packet: Packet::EMPTY,
                request: [0xaa; REQUEST_MAX],
                name: [0xaa; KEY_LEN],
                parser: Parser::new(),
                entry: FileEntry::default(),
                oack: Oack::EMPTY,
                transfer: Transfer::EMPTY,
                key: TransferKey::default(),
                source: [0; 4],
                event: Event::default(),
                service: ServiceKey::default(),
                encounter: Encounter::default(),
            }),
            now_ns: Cell::default(),
            transfers: RefCell::default(),
            removed: RefCell::default(),
            budgets: RefCell::default(),
            known: RefCell::default(),
            events: RefCell::default(),
            counted: Default::default(),
            completed: Cell::default(),
            registration: site.registration,
            registered: RefCell::default(),
            gate: UnsafeCell::default(),
            sampling: UnsafeCell::default(),
            sample: UnsafeCell::new(Sample::EMPTY),
            samples: RefCell::default(),
            traced: RefCell::default(),
            mirrored: UnsafeCell::new(Mirrored::EMPTY),
            mirrors: RefCell::default(),
            classified: RefCell::default(),
            policy: site.policy,
            lease: Lease {
                until_ns: u64::MAX / 2,
                ..Lease::default()
            },
            interface: site.interfaces.get(&IFINDEX).copied(),
            site,
        }
    }

    /// A daemon is there, and says so.
    pub fn renew_lease(&mut self, now_ns: u64) {
        self.lease = Before::default().lease(now_ns);
    }

    /// Puts the maps into the state that a case begins with.
    pub fn set_up(&mut self, case: &Case, now_ns: u64) {
        let before = &case.before;
        self.policy = before.policy(&self.site);
        self.lease = before.lease(now_ns);
        self.interface = before.interface(&self.site);
        let budget = before.budget(&self.site, now_ns);
        *self.budgets.get_mut() = budget
            .map(|budget| (case.source, budget))
            .into_iter()
            .collect();
        let known = before.known.then_some((case.source, now_ns));
        *self.known.get_mut() = known.into_iter().collect();
        self.transfers.get_mut().clear();
        self.removed.get_mut().clear();
        self.events.get_mut().clear();
        self.registration = before.registration(&self.site);
        let registered = self.registered.get_mut();
        registered.clear();
        registered.extend(before.registered.then_some(case.address));
        *self.gate.get_mut() = before.gate(&self.site, now_ns);
        *self.sampling.get_mut() = before.sampling(now_ns);
        self.samples.get_mut().clear();
        self.classified.get_mut().clear();
        if let Some(standing) = &before.standing {
            self.insert_transfer(&standing.key, &standing.at(now_ns));
        }
    }

    /// A copy of `GATE`.
    pub fn gate_now(&self) -> Gate {
        // SAFETY: plain memory of one thread, and no program is running.
        unsafe { *self.gate.get() }
    }

    /// Samples that were over their rate.
    pub fn skipped_now(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (*self.sampling.get()).skipped }
    }

    /// A copy of `TRANSFERS`.
    pub fn transfers(&self) -> HashMap<TransferKey, Transfer> {
        let transfers = self.transfers.borrow();
        transfers
            .iter()
            // SAFETY: plain memory of one thread, and no program is running.
            .map(|(key, transfer)| (*key, unsafe { *transfer.get() }))
            .collect()
    }
}

impl Maps for MemoryMaps {
    fn now(&self) -> u64 {
        self.now_ns.get()
    }

    fn took(&self, _rung: Rung, _began: u64) {}

    fn policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }

    fn lease(&self) -> Option<&Lease> {
        Some(&self.lease)
    }

    fn interface(&self, ifindex: u32) -> Option<&Interface> {
        self.interface.as_ref().filter(|_| ifindex == IFINDEX)
    }

    fn is_local(&self, address: &Address) -> bool {
        self.site.locals.contains(address)
    }

    fn is_allowed(&self, address: &Address) -> bool {
        let bits = |address: &Address| {
            address.iter().fold(0_u128, |bits, word| {
                bits << 32 | u128::from(u32::from_be(*word))
            })
        };
        let networks = self.site.clients.iter();
        let longest = networks
            .filter(|(prefix, len, _)| {
                (bits(prefix) ^ bits(address)).leading_zeros() >= u32::from(*len)
            })
            .max_by_key(|(_, len, _)| *len);
        longest.is_some_and(|(_, _, rule)| *rule == client::ANSWERED)
    }

    fn scratch(&self) -> Option<NonNull<Scratch>> {
        NonNull::new(self.scratch.get())
    }

    fn service(&self, place: &ServiceKey) -> Option<u8> {
        self.site.services.get(place).copied()
    }

    fn count_class(&self, _rung: Rung, class: Class, decision: Decision) {
        self.classified.borrow_mut().push((class, decision));
    }

    fn file(&self, name: &NameKey, entry: &mut FileEntry) -> bool {
        match self.files.get(name) {
            Some(found) => *entry = *found,
            None => return false,
        }
        true
    }

    fn content(&self, position: u64) -> Option<(&Slab, usize)> {
        let slab = self.slabs.get(position as usize / SLAB_STRIDE)?;
        Some((slab, position as usize % SLAB_STRIDE))
    }

    fn sum_content(&self, slab: &Slab, offset: usize, len: usize) -> Option<Sum> {
        slab.get(offset..offset + len).map(sum)
    }

    fn sum_request(&self, request: &[u8; REQUEST_MAX], len: usize) -> Option<Sum> {
        request.get(..len).map(sum)
    }

    fn transfer(&self, key: &TransferKey) -> Option<NonNull<Transfer>> {
        let transfers = self.transfers.borrow();
        transfers
            .get(key)
            .and_then(|transfer| NonNull::new(transfer.get()))
    }

    fn insert_transfer(&self, key: &TransferKey, transfer: &Transfer) -> bool {
        let transfer = Box::new(UnsafeCell::new(*transfer));
        let before = self.transfers.borrow_mut().insert(*key, transfer);
        self.removed.borrow_mut().extend(before);
        true
    }

    fn remove_transfer(&self, key: &TransferKey) {
        let transfer = self.transfers.borrow_mut().remove(key);
        self.removed.borrow_mut().extend(transfer);
    }

    fn may_spend(&self, bucket: Bucket, source: &Address, policy: &Policy, now: u64) -> bool {
        let Some(budget) = self.budgets.borrow().get(source).copied() else {
            return true;
        };
        let (interval, burst) = policy.bucket(bucket);
        let full_at = match bucket {
            Bucket::First => budget.first_ns,
            Bucket::Miss => budget.miss_ns,
            Bucket::Unknown => budget.unknown_ns,
        };
        burst == 0 || has_token(full_at, now, interval, burst)
    }

    fn is_known(&self, source: &Address, policy: &Policy, now: u64) -> bool {
        let known = self.known.borrow().get(source).copied();
        known.is_some_and(|at| now.saturating_sub(at) < policy.known_for_ns)
    }

    fn silenced(&self, source: &Address) {
        if let Some(budget) = self.budgets.borrow_mut().get_mut(source) {
            budget.silenced += 1;
        }
    }

    fn spend(&self, bucket: Bucket, source: &Address, policy: &Policy, now: u64) {
        let mut budgets = self.budgets.borrow_mut();
        let budget = budgets.entry(*source).or_default();
        let (interval, burst) = policy.bucket(bucket);
        let full_at = match bucket {
            Bucket::First => &mut budget.first_ns,
            Bucket::Miss => &mut budget.miss_ns,
            Bucket::Unknown => &mut budget.unknown_ns,
        };
        *full_at = take_token(*full_at, now, interval, burst);
    }

    fn acknowledged(&self, source: &Address, policy: &Policy, now: u64) {
        if let Some(budget) = self.budgets.borrow_mut().get_mut(source) {
            budget.first_ns = budget.first_ns.saturating_sub(policy.first_interval_ns);
        }
        self.known.borrow_mut().insert(*source, now);
    }

    fn count_stage(&self, _rung: Rung, _stage: Stage, counter: StageCounter, amount: u64) {
        let cell = &self.counted[counter as usize];
        cell.set(cell.get() + amount);
    }

    fn count_data(&self, rung: Rung, stage: Stage, bytes: usize) {
        self.count_stage(rung, stage, StageCounter::Blocks, 1);
        self.count_stage(rung, stage, StageCounter::Bytes, bytes as u64);
    }

    fn count_completed(&self, _rung: Rung, _stage: Stage, _took_us: u64) {
        self.completed.set(self.completed.get() + 1);
    }

    fn event(&self, event: &Event) {
        self.events.borrow_mut().push(*event);
    }
}

impl RegistrationMaps for MemoryMaps {
    fn registration(&self) -> Option<&Registration> {
        Some(&self.registration)
    }

    fn is_registered(&self, source: &Address) -> bool {
        self.registered.borrow().contains(source)
    }

    fn gate(&self) -> Option<NonNull<Gate>> {
        NonNull::new(self.gate.get())
    }

    fn sampling(&self) -> Option<NonNull<Sampling>> {
        NonNull::new(self.sampling.get())
    }

    fn sample(&self) -> Option<NonNull<Sample>> {
        NonNull::new(self.sample.get())
    }

    fn write_sample(&self, sample: &Sample) -> bool {
        self.samples.borrow_mut().push(*sample);
        true
    }
}

impl TraceMaps for MemoryMaps {
    fn traced(&self, address: &Address) -> Slots {
        self.traced.borrow().get(address).copied().unwrap_or(0)
    }

    fn mirrored(&self) -> Option<NonNull<Mirrored>> {
        NonNull::new(self.mirrored.get())
    }

    fn write_mirrored(&self, record: &Mirrored) {
        self.mirrors.borrow_mut().push(*record);
    }
}

fn sum(bytes: &[u8]) -> Sum {
    bytes.chunks(2).fold(Sum::new(), |sum, pair| {
        sum.pair(pair[0], pair.get(1).copied().unwrap_or(0))
    })
}
