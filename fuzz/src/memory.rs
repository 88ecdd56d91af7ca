//! How much memory a piece of work takes at most, as the allocator sees it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes of this thread, and the most there were since a measurement began. Memory that another
    /// thread gives back counts for that one, so the number may fall below zero.
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: isize) {
    // A thread that is ending has nothing left to count in.
    let _ = BYTES.try_with(|counted| {
        let now = counted.get() + bytes;
        counted.set(now);
        PEAK.with(|peak| peak.set(peak.get().max(now)));
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting touches nothing else.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above; it came from there.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Does the work; says how many bytes it had at most beyond those that were there before.
pub fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = BYTES.get();
    PEAK.set(before);
    let done = work();
    let peak = PEAK.get() - before;
    (done, usize::try_from(peak).unwrap_or(0))
}

/// Does the work, which may take `times` the bytes of its input and `more`.
#[track_caller]
pub(crate) fn within<T>(input: &[u8], times: usize, more: usize, work: impl FnOnce() -> T) -> T {
    let (done, peak) = peak_bytes(work);
    let allowed = input.len() * times + more;
    assert!(
        peak <= allowed,
        "{} bytes of input took {peak} bytes of memory, and {allowed} are allowed",
        input.len()
    );
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_a_piece_of_work_is_counted_and_not_what_is_left() {
        let (kept, peak) = peak_bytes(|| {
            drop(vec![0_u8; 100_000]);
            vec![0_u8; 1000]
        });
        assert_eq!(kept.len(), 1000);
        assert!((100_000..110_000).contains(&peak), "{peak}");
    }
}
