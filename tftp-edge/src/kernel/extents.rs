//! Which stretches of a linear space are free, and which are taken.

use std::collections::{BTreeMap, BTreeSet};

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
    pub(super) fn footprint(self) -> u64 {
        footprint(self.len)
    }

    /// The first position behind it.
    pub(super) fn end(self) -> u64 {
        self.position.saturating_add(self.footprint())
    }
}

pub(super) fn footprint(len: u64) -> u64 {
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

    /// Takes a stretch that is free; `false` if a part of it is not.
    pub fn take(&mut self, extent: Extent) -> bool {
        if extent.len == 0 {
            return true;
        }
        let (begin, end) = (extent.position, extent.end());
        let hole = self.free.range(..=begin).next_back();
        let Some((position, room)) = hole.map(|(position, room)| (*position, *room)) else {
            return false;
        };
        if begin % ALIGN != 0 || end > position + room {
            return false;
        }
        self.remove(position, room);
        if begin > position {
            self.put(position, begin - position);
        }
        if position + room > end {
            self.put(end, position + room - end);
        }
        true
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn a_stretch_is_taken_once_and_only_where_there_is_room() {
        let mut allocator = Allocator::default();
        allocator.grow(1_000);
        let at = |position, len| Extent { position, len };
        assert!(allocator.take(at(80, 100)));
        assert_eq!(allocator.free_bytes(), 1_000 - 104);
        for taken in [
            at(80, 1),
            at(0, 81),
            at(176, 8),
            at(992, 9),
            at(5_000, 8),
            at(3, 8),
        ] {
            assert!(!allocator.take(taken), "{taken:?}");
        }
        assert!(allocator.take(at(0, 80)) && allocator.take(at(184, 816)));
        assert!(allocator.take(at(0, 0)), "nothing is everywhere");
        for extent in [at(80, 100), at(0, 80), at(184, 816)] {
            allocator.release(extent);
        }
        assert_eq!(allocator.free_tail(), 1_000);
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
