//! The memory of what is being fetched: until a file is whole, the cache does not know of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shared by all fetches.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    taken: Arc<AtomicU64>,
    limit: u64,
}

/// The share of one fetch; given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    rooms: Rooms,
    held: u64,
}

impl Rooms {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            taken: Arc::default(),
            limit,
        }
    }

    pub(super) fn open(&self) -> Room {
        Room {
            rooms: self.clone(),
            held: 0,
        }
    }
}

impl Room {
    /// Makes the share as large as this; false if there is no room for that.
    pub(super) fn hold(&mut self, len: usize) -> bool {
        let more = (len as u64).saturating_sub(self.held);
        if more == 0 {
            return true;
        }
        let taken = self.rooms.taken.fetch_add(more, Ordering::Relaxed);
        self.held += more;
        taken + more <= self.rooms.limit
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.taken.fetch_sub(self.held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fetches_together_stay_within_the_limit() {
        let rooms = Rooms::new(100);
        let (mut one, mut other) = (rooms.open(), rooms.open());
        assert!(one.hold(60));
        assert!(other.hold(40));
        assert!(!other.hold(41));
        drop(other);
        assert!(one.hold(100));
        drop(one);
        assert_eq!(rooms.taken.load(Ordering::Relaxed), 0);
    }
}
