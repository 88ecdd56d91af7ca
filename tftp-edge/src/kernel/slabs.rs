//! The content space: extents in banks of slabs, written through memory the kernel shares.
//!
//! A position is a place in one linear space. Every slab holds [`SLAB_STRIDE`] bytes of it, and
//! after them a copy of the first [`SLAB_OVERLAP`] bytes of the next slab, so that a block never
//! has to be put together from two.
//!
//! [`SLAB_OVERLAP`]: tftp_ebpf::abi::SLAB_OVERLAP

use tftp_ebpf::abi::{BANK_SLABS, SLAB_BYTES, SLAB_STRIDE};

use super::extents::footprint;
pub use super::extents::{Allocator, Extent};

/// Bytes of the content space in one bank.
pub const BANK_SPACE: u64 = BANK_SLABS as u64 * SLAB_STRIDE as u64;

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
    /// Over banks that may be there already, whose content is [taken](Self::take) then.
    pub fn new(banks: B, max_banks: usize) -> Self {
        let mut allocator = Allocator::default();
        for _ in 0..banks.count() {
            allocator.grow(BANK_SPACE);
        }
        Self {
            allocator,
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
            if let Err(error) = self.banks.add() {
                self.exhausted = true;
                return Err(error);
            }
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

    #[cfg(test)]
    pub(super) fn into_banks(self) -> B {
        self.banks
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

    /// Takes room that holds content already; `false` if a part of it is taken, or outside.
    pub fn take(&mut self, extent: Extent) -> bool {
        let is_taken = self.allocator.take(extent);
        if is_taken {
            self.used += extent.len;
        }
        is_taken
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
}
