//! Who gets room in the slabs, and who leaves for whom.
//!
//! - A small file makes large ones leave, the one unused longest first, until all small ones fit
//!   or no large one is left.
//! - A new version of a large file makes others leave only if it then fits beside the small ones,
//!   and only others that are not much larger.
//! - A file that left comes back when there is room that nobody above claims; nothing leaves for
//!   it. So nothing goes round in circles.
//!
//! What leaves is free only after sweeps; until then it counts for those that wait already.

use std::collections::BTreeSet;
use std::sync::Arc;

use tftp_ebpf::abi::kind;

use super::waiting::Claim;
use super::{Directory, Files, Outcome, is_small};
use crate::content::Version;
use crate::kernel::Error;
use crate::kernel::slabs::{Banks, Extent};

/// Sweeps after which a bank that was refused is asked for again: some seconds.
const ASK_AGAIN_SWEEPS: u64 = 64;

/// A large file leaves for another only if it is at most so many times as large: one large file
/// out for a much smaller one that is no more urgent is not worth it.
const WORTH: u64 = 4;

/// Space that a version left, and the sweep that must pass before it may be used again.
pub(super) struct Retired {
    extent: Extent,
    free_after_sweep: u64,
}

impl<F: Files, B: Banks<Error = Error>> Directory<F, B> {
    /// The content of a name is no longer what its entry says.
    pub(super) fn retire_content(&mut self, text: &Arc<str>) {
        let Some(name) = self.names.get_mut(text) else {
            return;
        };
        let Some(extent) = name.extent.take() else {
            return;
        };
        if self.evictable.remove(&name.used_at).is_some() {
            self.large_bytes -= extent.len;
        }
        if extent.len > 0 {
            self.placed.remove(&extent.position);
        }
        self.counts.files -= 1;
        self.retire(extent);
    }

    /// What is in this space is in no entry any more, but transfers may read it.
    pub(super) fn retire(&mut self, extent: Extent) {
        self.retired_bytes += extent.len;
        // The sweep that runs now may have passed a transfer that a program, still at the old
        // entry, is about to insert: the one after the next has certainly not.
        self.retired.push(Retired {
            extent,
            free_after_sweep: self.sweep + 2,
        });
    }

    /// Frees the space that no transfer refers to; tells whether there was any.
    pub(super) fn free_retired(&mut self, referred: &BTreeSet<u64>) -> bool {
        let sweep = self.sweep;
        let mut free = Vec::new();
        self.retired.retain(|retired| {
            let Extent { position, .. } = retired.extent;
            // What was taken over may be several versions that could not be told apart.
            let within = position..retired.extent.end().max(position + 1);
            let done = sweep >= retired.free_after_sweep && referred.range(within).next().is_none();
            if done {
                free.push(retired.extent);
            }
            !done
        });
        for extent in &free {
            self.retired_bytes -= extent.len;
            self.slabs.release(*extent);
        }
        !free.is_empty()
    }

    /// No room for a version: the daemon serves it, and it waits if it may ever fit.
    pub(super) fn leave_to_daemon(
        &mut self,
        text: &Arc<str>,
        version: Arc<Version>,
    ) -> Result<(), Error> {
        // The old version is outdated: its space is the first that makes room.
        self.describe(text, kind::ELSEWHERE)?;
        self.counts.refused += 1;
        self.warn_full("content", "kernel.memory_limit");
        let len = version.bytes.len() as u64;
        if len > self.slabs.max_capacity() || u32::try_from(len).is_err() {
            return Ok(());
        }
        let small = is_small(&version);
        if let Some(name) = self.names.get_mut(text) {
            name.version = Some(version);
        }
        if small {
            self.wait(text, Claim::Small);
            return self.evict_for_small();
        }
        let Some(victims) = self.victims_for_large(len) else {
            self.wait(text, Claim::Spare);
            return Ok(());
        };
        self.wait(text, Claim::Large);
        for victim in victims {
            self.evict(&victim)?;
        }
        Ok(())
    }

    pub(super) fn wait(&mut self, text: &Arc<str>, claim: Claim) {
        self.stop_waiting(text);
        if let Some(name) = self.names.get_mut(text)
            && let Some(version) = &name.version
        {
            let len = version.bytes.len() as u64;
            name.waits = Some(self.waiting.insert(text, claim, len));
        }
    }

    pub(super) fn stop_waiting(&mut self, text: &Arc<str>) {
        if let Some(place) = self.names.get_mut(text).and_then(|name| name.waits.take()) {
            self.waiting.remove(text, place);
        }
    }

    /// Takes large files out until what becomes free is enough for all that claim it.
    fn evict_for_small(&mut self) -> Result<(), Error> {
        while self.retired_bytes < self.waiting.claimed_bytes() {
            let Some((_, victim)) = self.evictable.first_key_value() else {
                break;
            };
            let victim = Arc::clone(victim);
            self.evict(&victim)?;
        }
        Ok(())
    }

    /// The files that have to leave for a large one of `len` bytes, `None` if it would not fit
    /// even so.
    fn victims_for_large(&self, len: u64) -> Option<Vec<Arc<str>>> {
        let claimed = self.waiting.claimed_bytes() + len;
        let small = self.slabs.used() - self.retired_bytes - self.large_bytes;
        if claimed + small > self.slabs.capacity() {
            return None;
        }
        let mut room = self.retired_bytes;
        let mut victims = Vec::new();
        let mut oldest = self.evictable.values();
        while room < claimed {
            let victim = oldest.next()?;
            let extent = self.names.get(victim)?.extent?;
            if extent.len > len * WORTH {
                return None;
            }
            room += extent.len;
            victims.push(Arc::clone(victim));
        }
        Some(victims)
    }

    /// Takes a file out of the slabs; it comes back when there is room.
    fn evict(&mut self, text: &Arc<str>) -> Result<(), Error> {
        self.take_out(text, kind::ELSEWHERE)?;
        self.counts.evicted += 1;
        self.wait(text, Claim::Spare);
        Ok(())
    }

    /// Whether those that wait may have room now.
    pub(super) fn is_due(&mut self, freed: bool) -> bool {
        let ask_again = self.sweep.is_multiple_of(ASK_AGAIN_SWEEPS);
        if ask_again {
            self.slabs.ask_again();
        }
        (freed || ask_again) && !self.waiting.is_empty()
    }

    /// Gives room to those that wait. One that fails waits on, and the others get their turn; the
    /// first error is returned.
    pub(super) fn retry(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        if !self.retry_all(Claim::Small, &mut result) {
            return result.and_then(|()| self.evict_for_small());
        }
        if !self.retry_all(Claim::Large, &mut result) {
            if self.retired_bytes > 0 {
                return result;
            }
            // All that left for them is free, and it is not enough, or not in one piece.
            for (_, text) in self.waiting.with(Claim::Large) {
                self.wait(&text, Claim::Spare);
            }
        }
        self.retry_all(Claim::Spare, &mut result);
        result
    }

    /// Tries all names with a claim; tells whether none is left for want of room.
    fn retry_all(&mut self, claim: Claim, result: &mut Result<(), Error>) -> bool {
        let mut too_large = u64::MAX;
        for (place, text) in self.waiting.with(claim) {
            if place.len >= too_large {
                continue;
            }
            let version = self.names.get(&text).and_then(|name| name.version.clone());
            let Some(version) = version else {
                self.stop_waiting(&text);
                continue;
            };
            let outcome = self.place(&text, &version).and_then(|outcome| {
                if outcome == Outcome::Unsound {
                    self.counts.refused += 1;
                    self.describe(&text, kind::ELSEWHERE)?;
                }
                Ok(outcome)
            });
            match outcome {
                Ok(Outcome::NoRoom) => too_large = place.len,
                Ok(Outcome::Placed | Outcome::Unsound) => {}
                Err(error) if result.is_ok() => *result = Err(error),
                Err(_) => {}
            }
        }
        too_large == u64::MAX
    }
}
