//! The names whose version found no room, in the order they get it.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Why a name may have room that becomes free; the order is that of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// A small file: large ones leave for it until it fits.
    Small,
    /// A new version of a large file, for which others have left.
    Large,
    /// What is left over: nothing leaves for it. Evicted files come back by this.
    Spare,
}

/// A name's place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) claim: Claim,
    /// Small files: their bytes, so that most of them get in; others: when they began to wait.
    order: u64,
    pub(super) len: u64,
}

#[derive(Default)]
pub(super) struct Waiting {
    queue: BTreeSet<(Place, Arc<str>)>,
    small_bytes: u64,
    large_bytes: u64,
    arrivals: u64,
}

impl Waiting {
    pub(super) fn insert(&mut self, text: &Arc<str>, claim: Claim, len: u64) -> Place {
        self.arrivals += 1;
        let order = match claim {
            Claim::Small => len,
            Claim::Large | Claim::Spare => self.arrivals,
        };
        let place = Place { claim, order, len };
        if self.queue.insert((place, Arc::clone(text)))
            && let Some(bytes) = self.bytes_of(claim)
        {
            *bytes += len;
        }
        place
    }

    pub(super) fn remove(&mut self, text: &Arc<str>, place: Place) {
        if self.queue.remove(&(place, Arc::clone(text)))
            && let Some(bytes) = self.bytes_of(place.claim)
        {
            *bytes -= place.len;
        }
    }

    fn bytes_of(&mut self, claim: Claim) -> Option<&mut u64> {
        match claim {
            Claim::Small => Some(&mut self.small_bytes),
            Claim::Large => Some(&mut self.large_bytes),
            Claim::Spare => None,
        }
    }

    /// Bytes that names wait for and that others leave for.
    pub(super) fn claimed_bytes(&self) -> u64 {
        self.small_bytes + self.large_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The names with a claim, in the order they get room.
    pub(super) fn with(&self, claim: Claim) -> Vec<(Place, Arc<str>)> {
        self.queue
            .iter()
            .skip_while(|(place, _)| place.claim < claim)
            .take_while(|(place, _)| place.claim == claim)
            .cloned()
            .collect()
    }
}
