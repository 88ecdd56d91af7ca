//! The memory all connections have together for what is not whole, or not taken yet.

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(super) struct Room {
    used: AtomicUsize,
    limit: usize,
}

impl Room {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    /// A part that was `before` bytes is `now` bytes. Whether there is room for it; it counts in
    /// any case, until it is told to be 0.
    pub(super) fn resize(&self, before: usize, now: usize) -> bool {
        if now <= before {
            self.used.fetch_sub(before - now, Ordering::Relaxed);
            return true;
        }
        let more = now - before;
        self.used.fetch_add(more, Ordering::Relaxed) + more <= self.limit
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}
