//! Names that found no room, in the order in which they came: that of a boot, at the start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::content::Change;

/// What is known of each now.
#[derive(Default)]
pub(super) struct Outside {
    changes: BTreeMap<u64, Change>,
    places: HashMap<Arc<str>, u64>,
    next: u64,
}

impl Outside {
    /// Keeps its place, if it has one.
    pub(super) fn insert(&mut self, change: &Change) {
        let place = *self
            .places
            .entry(Arc::clone(&change.name))
            .or_insert(self.next);
        self.next = self.next.max(place + 1);
        self.changes.insert(place, change.clone());
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        if let Some(place) = self.places.remove(name) {
            self.changes.remove(&place);
        }
    }

    /// The one that has waited longest.
    pub(super) fn take_first(&mut self) -> Option<Change> {
        let (_, change) = self.changes.pop_first()?;
        self.places.remove(&change.name);
        Some(change)
    }
}
