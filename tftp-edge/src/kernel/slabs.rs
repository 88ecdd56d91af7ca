//! The content space: extents in banks of slabs, written through memory the kernel shares.
//!
//! A position is a place in one linear space. Every slab holds [`SLAB_STRIDE`] bytes of it, and
//! after them a copy of the first [`SLAB_OVERLAP`] bytes of the next slab, so that a block never
//! has to be put together from two.
//!
//! [`SLAB_OVERLAP`]: tftp_ebpf::abi::SLAB_OVERLAP

use std::collections::{BTreeMap, BTreeSet};

use tftp_ebpf::abi::{BANK_SLABS, SLAB_BYTES, SLAB_STRIDE};

/// Bytes of the content space in one bank.
pub const BANK_SPACE: u64 = BANK_SLABS as u64 * SLAB_STRIDE as u64;

/// Extents begin at multiples of this, so that a copy begins at an aligned address.
const ALIGN: u64 = 8;

/// A stretch of the content space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    pub position: u64,
    /// Bytes of content; the stretch is as long, rounded up.
    pub len: u64,
}

impl Extent {
    fn footprint(self) -> u64 {
        footprint(self.len)
    }
}

fn footprint(len: u64) -> u64 {
    len.next_multiple_of(ALIGN)
}

/// Which stretches are free. Best fit, the lowest of equals: large holes stay whole, and the time
/// does not depend on how many holes are too small.
#[derive(Debug, Default)]
pub struct Allocator {
    /// Position → length. Neighbours are always merged.
    free: BTreeMap<u64, u64>,
    /// The same holes as (length, position).
    by_len: BTreeSet<(u64, u64)>,
    free_bytes: u64,
    end: u64,
}

/// Holes that are looked at for one that lies low enough: a bound on the time.
const MAX_LOOKS: usize = 64;

impl Allocator {
    /// Makes the space longer.
    pub fn grow(&mut self, by: u64) {
        let position = self.end;
        self.end += by;
        self.insert(position, by);
    }

    /// Bytes that are free, in holes of any size.
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    /// Bytes that are free at the end of the space.
    pub fn free_tail(&self) -> u64 {
        self.free
            .last_key_value()
            .filter(|(position, len)| *position + *len == self.end)
            .map_or(0, |(_, len)| *len)
    }

    /// Makes the space shorter by a part of its [`Allocator::free_tail`].
    pub fn shrink(&mut self, by: u64) {
        let Some((&position, &len)) = self.free.last_key_value() else {
            return;
        };
        self.remove(position, len);
        if len > by {
            self.put(position, len - by);
        }
        self.end -= by;
    }

    pub fn allocate(&mut self, len: u64) -> Option<Extent> {
        self.allocate_below(len, self.end)
    }

    /// Allocates so that the extent ends at `limit` or before.
    pub fn allocate_below(&mut self, len: u64, limit: u64) -> Option<Extent> {
        let footprint = footprint(len);
        if footprint == 0 {
            return Some(Extent {
                position: 0,
                len: 0,
            });
        }
        let (room, position) = self
            .by_len
            .range((footprint, 0)..)
            .take(MAX_LOOKS)
            .find(|(_, position)| position + footprint <= limit)
            .copied()?;
        self.remove(position, room);
        if room > footprint {
            self.put(position + footprint, room - footprint);
        }
        Some(Extent { position, len })
    }

    pub fn release(&mut self, extent: Extent) {
        if extent.footprint() > 0 {
            self.insert(extent.position, extent.footprint());
        }
    }

    /// Makes a stretch free and merges it with its neighbours.
    fn insert(&mut self, mut position: u64, mut len: u64) {
        if let Some((&before, &room)) = self.free.range(..position).next_back()
            && before + room == position
        {
            self.remove(before, room);
            position = before;
            len += room;
        }
        if let Some(&room) = self.free.get(&(position + len)) {
            self.remove(position + len, room);
            len += room;
        }
        self.put(position, len);
    }

    fn put(&mut self, position: u64, len: u64) {
        self.free.insert(position, len);
        self.by_len.insert((len, position));
        self.free_bytes += len;
    }

    fn remove(&mut self, position: u64, len: u64) {
        self.free.remove(&position);
        self.by_len.remove(&(len, position));
        self.free_bytes -= len;
    }
}

/// Where the banks' memory comes from.
pub trait Banks {
    type Error;

    /// Adds a bank at the end.
    fn add(&mut self) -> Result<(), Self::Error>;
    /// Takes the last bank away.
    fn remove(&mut self);
    fn count(&self) -> usize;
    /// The memory of a bank: its slabs, one after another.
    fn memory(&self, bank: usize) -> &[u8];
    fn memory_mut(&mut self, bank: usize) -> &mut [u8];
}

/// The content space over the banks.
pub struct Slabs<B> {
    allocator: Allocator,
    banks: B,
    max_banks: usize,
    used: u64,
    /// A bank was refused; none is asked for until [`Slabs::ask_again`].
    exhausted: bool,
    /// Nobody could make a bank later.
    keeps_all: bool,
}

impl<B: Banks> Slabs<B> {
    pub fn new(banks: B, max_banks: usize) -> Self {
        Self {
            allocator: Allocator::default(),
            banks,
            max_banks,
            used: 0,
            exhausted: false,
            keeps_all: false,
        }
    }

    /// Makes all banks there may be, and gives none of them back: for a process that is going to lose
    /// the right to make maps.
    pub fn take_all(&mut self) -> Result<(), B::Error> {
        self.keeps_all = true;
        while self.banks.count() < self.max_banks {
            self.banks.add()?;
            self.allocator.grow(BANK_SPACE);
        }
        Ok(())
    }

    pub fn banks(&self) -> &B {
        &self.banks
    }

    #[cfg(test)]
    pub(super) fn banks_mut(&mut self) -> &mut B {
        &mut self.banks
    }

    /// Bytes of content that are allocated.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes of content there can be: what the bound allows, or what is there if the kernel gave
    /// no more.
    pub fn capacity(&self) -> u64 {
        let banks = if self.exhausted {
            self.banks.count()
        } else {
            self.max_banks
        };
        banks as u64 * BANK_SPACE
    }

    /// Bytes of content there could ever be.
    pub fn max_capacity(&self) -> u64 {
        self.max_banks as u64 * BANK_SPACE
    }

    /// Finds room, in new banks if that helps; `None` when the bound is reached.
    ///
    /// # Errors
    /// A bank was refused, most likely for want of memory. What is there goes on working, and no
    /// further bank is asked for until [`Slabs::ask_again`].
    pub fn allocate(&mut self, len: u64) -> Result<Option<Extent>, B::Error> {
        loop {
            if let Some(extent) = self.allocator.allocate(len) {
                self.used += extent.len;
                return Ok(Some(extent));
            }
            let missing = footprint(len).saturating_sub(self.allocator.free_tail());
            let left = self.max_banks.saturating_sub(self.banks.count()) as u64;
            if self.exhausted || missing > left * BANK_SPACE {
                return Ok(None);
            }
            if let Err(error) = self.banks.add() {
                self.exhausted = true;
                self.trim();
                return Err(error);
            }
            self.allocator.grow(BANK_SPACE);
        }
    }

    /// Lets banks be asked for again after one was refused.
    pub fn ask_again(&mut self) {
        self.exhausted = false;
    }

    /// Bytes that are free in the banks there are.
    pub fn free_bytes(&self) -> u64 {
        self.allocator.free_bytes()
    }

    /// Finds room that ends at `limit` or before, in the banks there are.
    pub fn allocate_below(&mut self, len: u64, limit: u64) -> Option<Extent> {
        let extent = self.allocator.allocate_below(len, limit)?;
        self.used += extent.len;
        Some(extent)
    }

    /// Gives the room back, and the last banks if they are empty. One empty bank is kept, so that
    /// a file replaced over and over does not allocate one each time.
    pub fn release(&mut self, extent: Extent) {
        self.allocator.release(extent);
        self.used -= extent.len;
        self.trim();
    }

    fn trim(&mut self) {
        if self.keeps_all {
            return;
        }
        while self.banks.count() > 1 && self.allocator.free_tail() >= 2 * BANK_SPACE {
            self.allocator.shrink(BANK_SPACE);
            self.banks.remove();
        }
    }

    /// Writes `bytes` from the beginning of the extent, overlaps included.
    pub fn write(&mut self, extent: Extent, bytes: &[u8]) {
        for part in parts(extent.position, bytes.len() as u64) {
            let memory = self.banks.memory_mut(part.bank);
            memory[part.at..part.at + part.len]
                .copy_from_slice(&bytes[part.from..part.from + part.len]);
        }
    }

    /// Whether every copy of the extent, overlaps included, holds `bytes`.
    pub fn holds(&self, extent: Extent, bytes: &[u8]) -> bool {
        parts(extent.position, bytes.len() as u64).all(|part| {
            let memory = self.banks.memory(part.bank);
            memory[part.at..part.at + part.len] == bytes[part.from..part.from + part.len]
        })
    }

    /// A block, as the kernel reads it: `None` if the position is outside the space.
    pub fn block(&self, position: u64, len: usize) -> Option<&[u8]> {
        let slab = position / SLAB_STRIDE as u64;
        let bank = usize::try_from(slab / u64::from(BANK_SLABS)).ok()?;
        if bank >= self.banks.count() {
            return None;
        }
        let at = (slab % u64::from(BANK_SLABS)) as usize * SLAB_BYTES
            + (position % SLAB_STRIDE as u64) as usize;
        self.banks.memory(bank).get(at..at + len)
    }
}

/// A piece of a write: `len` bytes that begin at `from` of the content and at `at` of a bank.
struct Part {
    bank: usize,
    at: usize,
    from: usize,
    len: usize,
}

/// The pieces that content of `len` bytes at `position` is written in: one for each slab, and one
/// for each overlap it reaches into.
fn parts(position: u64, len: u64) -> impl Iterator<Item = Part> {
    const STRIDE: u64 = SLAB_STRIDE as u64;
    let first = if len == 0 {
        1
    } else {
        (position / STRIDE).saturating_sub(1)
    };
    let last = if len == 0 {
        0
    } else {
        (position + len - 1) / STRIDE
    };
    (first..=last).filter_map(move |slab| {
        let start = slab * STRIDE;
        let begin = position.max(start);
        let end = (position + len).min(start + SLAB_BYTES as u64);
        (begin < end).then(|| Part {
            bank: (slab / u64::from(BANK_SLABS)) as usize,
            at: (slab % u64::from(BANK_SLABS)) as usize * SLAB_BYTES + (begin - start) as usize,
            from: (begin - position) as usize,
            len: (end - begin) as usize,
        })
    })
}

#[cfg(test)]
pub(super) mod testing {
    use tftp_ebpf::abi::BANK_BYTES;

    use super::Banks;
    use crate::kernel::Error;

    /// Banks in ordinary memory.
    #[derive(Default)]
    pub(in crate::kernel) struct Memory {
        banks: Vec<Vec<u8>>,
        /// Banks after which there is no memory left.
        refused_after: Option<usize>,
    }

    impl Memory {
        /// As a machine does that has memory for so many banks only.
        pub(in crate::kernel) fn enough_for(banks: usize) -> Self {
            Self {
                banks: Vec::new(),
                refused_after: Some(banks),
            }
        }

        pub(in crate::kernel) fn find_more(&mut self) {
            self.refused_after = None;
        }
    }

    impl Banks for Memory {
        type Error = Error;

        fn add(&mut self) -> Result<(), Error> {
            if self.refused_after == Some(self.banks.len()) {
                return Err(Error::Mmap(std::io::ErrorKind::OutOfMemory.into()));
            }
            self.banks.push(vec![0; BANK_BYTES]);
            Ok(())
        }

        fn remove(&mut self) {
            self.banks.pop();
        }

        fn count(&self) -> usize {
            self.banks.len()
        }

        fn memory(&self, bank: usize) -> &[u8] {
            &self.banks[bank]
        }

        fn memory_mut(&mut self, bank: usize) -> &mut [u8] {
            &mut self.banks[bank]
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tftp_ebpf::abi::MAX_BLOCK;

    use super::*;

    use super::testing::Memory;

    fn content(len: usize, seed: u8) -> Vec<u8> {
        (0..len)
            .map(|at| (at / 251) as u8 ^ at as u8 ^ seed)
            .collect()
    }

    #[test]
    fn every_block_of_a_file_over_many_slabs_lies_in_one_piece() {
        let mut slabs = Slabs::new(Memory::default(), 4);
        let filler = slabs.allocate(12_345).unwrap().unwrap();
        let bytes = content(5_000_000, 7);
        let extent = slabs.allocate(bytes.len() as u64).unwrap().unwrap();
        slabs.write(extent, &bytes);
        assert!(slabs.holds(extent, &bytes));
        for block_len in [512, 1024, usize::from(MAX_BLOCK)] {
            for (number, block) in bytes.chunks(block_len).enumerate() {
                let position = extent.position + (number * block_len) as u64;
                assert_eq!(slabs.block(position, block.len()), Some(block));
            }
        }
        slabs.release(filler);
    }

    #[test]
    fn a_neighbour_in_the_next_slab_does_not_spoil_an_overlap() {
        let mut slabs = Slabs::new(Memory::default(), 1);
        let (first, second) = (content(SLAB_STRIDE - 100, 1), content(3_000, 2));
        let a = slabs.allocate(first.len() as u64).unwrap().unwrap();
        let b = slabs.allocate(second.len() as u64).unwrap().unwrap();
        slabs.write(b, &second);
        slabs.write(a, &first);
        assert!(slabs.holds(a, &first));
        assert!(slabs.holds(b, &second));
    }

    #[test]
    fn the_bound_is_kept_and_room_that_was_released_is_used_again() {
        let mut slabs = Slabs::new(Memory::default(), 2);
        let half = slabs.allocate(BANK_SPACE).unwrap().unwrap();
        slabs.allocate(BANK_SPACE).unwrap().unwrap();
        assert_eq!(slabs.allocate(1).unwrap(), None);
        slabs.release(half);
        assert_eq!(slabs.allocate(BANK_SPACE).unwrap(), Some(half));
        assert_eq!(slabs.banks().count(), 2);
    }

    #[test]
    fn empty_banks_go_back_to_the_kernel() {
        let mut slabs = Slabs::new(Memory::default(), 8);
        let extents: Vec<_> = (0..4)
            .map(|_| slabs.allocate(BANK_SPACE).unwrap().unwrap())
            .collect();
        for extent in extents {
            slabs.release(extent);
        }
        assert_eq!(slabs.banks().count(), 1);
        assert_eq!(slabs.used(), 0);
    }

    #[test]
    fn of_holes_that_are_large_enough_the_smallest_is_taken_and_the_lowest_of_equals() {
        let mut allocator = Allocator::default();
        allocator.grow(10_000);
        let extents: Vec<_> = [800, 8, 400, 8, 400, 8]
            .into_iter()
            .map(|len| allocator.allocate(len).unwrap())
            .collect();
        for hole in [0, 2, 4] {
            allocator.release(extents[hole]);
        }
        assert_eq!(
            allocator.allocate(300),
            Some(Extent {
                len: 300,
                ..extents[2]
            })
        );
        assert_eq!(
            allocator.allocate_below(300, 800),
            Some(Extent {
                len: 300,
                ..extents[0]
            })
        );
    }

    #[test]
    fn banks_that_are_all_taken_at_the_start_are_never_made_nor_given_back() {
        let mut slabs = Slabs::new(Memory::default(), 3);
        slabs.take_all().unwrap();
        assert_eq!(slabs.banks().count(), 3);
        let extent = slabs.allocate(2 * BANK_SPACE).unwrap().unwrap();
        slabs.release(extent);
        assert_eq!(slabs.banks().count(), 3);
        assert!(slabs.allocate(3 * BANK_SPACE).unwrap().is_some());
        assert!(slabs.allocate(1).unwrap().is_none());
        assert_eq!(slabs.banks().count(), 3);
    }

    #[test]
    fn no_bank_is_added_for_what_does_not_fit_with_all_of_them() {
        let mut slabs = Slabs::new(Memory::default(), 3);
        slabs.allocate(BANK_SPACE).unwrap().unwrap();
        assert_eq!(slabs.allocate(2 * BANK_SPACE + 1).unwrap(), None);
        assert_eq!(slabs.banks().count(), 1);
    }

    #[test]
    fn a_refused_bank_is_an_error_once_and_then_there_is_no_room_until_it_is_asked_for_again() {
        let mut slabs = Slabs::new(Memory::enough_for(1), 3);
        slabs.allocate(BANK_SPACE).unwrap().unwrap();
        assert!(slabs.allocate(10).is_err());
        assert_eq!(slabs.allocate(10).unwrap(), None);
        assert_eq!(slabs.capacity(), BANK_SPACE);
        slabs.banks_mut().find_more();
        slabs.ask_again();
        assert!(slabs.allocate(10).unwrap().is_some());
    }

    #[test]
    fn an_empty_file_needs_no_room() {
        let mut slabs = Slabs::new(Memory::default(), 1);
        let extent = slabs.allocate(0).unwrap().unwrap();
        slabs.write(extent, &[]);
        assert_eq!(slabs.banks().count(), 0);
        slabs.release(extent);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn extents_never_overlap(steps in proptest::collection::vec((0_u64..200_000, any::<u8>()), 1..200)) {
            let mut allocator = Allocator::default();
            allocator.grow(2_000_000);
            let mut live: Vec<Extent> = Vec::new();
            for (len, choice) in steps {
                if choice % 3 == 0 && !live.is_empty() {
                    let extent = live.swap_remove(usize::from(choice) % live.len());
                    allocator.release(extent);
                } else if let Some(extent) = allocator.allocate(len) {
                    for other in &live {
                        let apart = extent.position + extent.footprint() <= other.position
                            || other.position + other.footprint() <= extent.position;
                        prop_assert!(apart || extent.len == 0 || other.len == 0);
                    }
                    live.push(extent);
                }
            }
            for extent in live {
                allocator.release(extent);
            }
            prop_assert_eq!(allocator.free_tail(), 2_000_000);
            prop_assert_eq!(allocator.free_bytes(), 2_000_000);
        }
    }
}
