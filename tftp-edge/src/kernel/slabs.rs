//! The content space: extents in banks of slabs, written through memory the kernel shares.
//!
//! A position is a place in one linear space. Every slab holds [`SLAB_STRIDE`] bytes of it, and
//! after them a copy of the first [`SLAB_OVERLAP`] bytes of the next slab, so that a block never
//! has to be put together from two.

use std::collections::BTreeMap;

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
        self.len.next_multiple_of(ALIGN)
    }
}

/// Which stretches are free: first fit by position, so that the end of the space stays empty.
#[derive(Debug, Default)]
pub struct Allocator {
    /// Position → length. Neighbours are always merged.
    free: BTreeMap<u64, u64>,
    end: u64,
}

impl Allocator {
    /// Makes the space longer.
    pub fn grow(&mut self, by: u64) {
        let position = self.end;
        self.end += by;
        self.insert(position, by);
    }

    /// Whether nothing is allocated in the last `bytes`.
    pub fn is_tail_free(&self, bytes: u64) -> bool {
        self.free
            .last_key_value()
            .is_some_and(|(position, len)| position + len == self.end && *len >= bytes)
    }

    /// Makes the space shorter by a tail that [`Allocator::is_tail_free`].
    pub fn shrink(&mut self, by: u64) {
        let Some(mut last) = self.free.last_entry() else {
            return;
        };
        *last.get_mut() -= by;
        if *last.get() == 0 {
            last.remove();
        }
        self.end -= by;
    }

    pub fn allocate(&mut self, len: u64) -> Option<Extent> {
        let footprint = Extent { position: 0, len }.footprint();
        if footprint == 0 {
            return Some(Extent {
                position: 0,
                len: 0,
            });
        }
        let (&position, &room) = self.free.iter().find(|(_, room)| **room >= footprint)?;
        self.free.remove(&position);
        if room > footprint {
            self.free.insert(position + footprint, room - footprint);
        }
        Some(Extent { position, len })
    }

    pub fn release(&mut self, extent: Extent) {
        if extent.footprint() > 0 {
            self.insert(extent.position, extent.footprint());
        }
    }

    fn insert(&mut self, mut position: u64, mut len: u64) {
        if let Some((&before, &room)) = self.free.range(..position).next_back()
            && before + room == position
        {
            self.free.remove(&before);
            position = before;
            len += room;
        }
        if let Some(room) = self.free.remove(&(position + len)) {
            len += room;
        }
        self.free.insert(position, len);
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
}

impl<B: Banks> Slabs<B> {
    pub fn new(banks: B, max_banks: usize) -> Self {
        Self {
            allocator: Allocator::default(),
            banks,
            max_banks,
            used: 0,
        }
    }

    pub fn banks(&self) -> &B {
        &self.banks
    }

    /// Bytes of content that are allocated.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Finds room, in a new bank if need be; `None` when the bound is reached.
    pub fn allocate(&mut self, len: u64) -> Result<Option<Extent>, B::Error> {
        loop {
            if let Some(extent) = self.allocator.allocate(len) {
                self.used += extent.len;
                return Ok(Some(extent));
            }
            if self.banks.count() >= self.max_banks || len > self.max_banks as u64 * BANK_SPACE {
                return Ok(None);
            }
            self.banks.add()?;
            self.allocator.grow(BANK_SPACE);
        }
    }

    /// Gives the room back, and the last banks if they are empty. One empty bank is kept, so that
    /// a file replaced over and over does not allocate one each time.
    pub fn release(&mut self, extent: Extent) {
        self.allocator.release(extent);
        self.used -= extent.len;
        while self.banks.count() > 1 && self.allocator.is_tail_free(2 * BANK_SPACE) {
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
    pub(in crate::kernel) struct Memory(Vec<Vec<u8>>);

    impl Banks for Memory {
        type Error = Error;

        fn add(&mut self) -> Result<(), Error> {
            self.0.push(vec![0; BANK_BYTES]);
            Ok(())
        }

        fn remove(&mut self) {
            self.0.pop();
        }

        fn count(&self) -> usize {
            self.0.len()
        }

        fn memory(&self, bank: usize) -> &[u8] {
            &self.0[bank]
        }

        fn memory_mut(&mut self, bank: usize) -> &mut [u8] {
            &mut self.0[bank]
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
            prop_assert!(allocator.is_tail_free(2_000_000));
        }
    }
}
