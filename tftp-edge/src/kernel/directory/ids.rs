//! File ids: what events call a file by.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// File id → name.
#[derive(Default)]
pub(super) struct Ids {
    names: HashMap<u32, Arc<str>>,
    next: u32,
    /// Ids of forgotten names with the sweep that must be complete before they mean another, the
    /// oldest first: until then events of the old name may be on their way.
    free: VecDeque<(u64, u32)>,
}

impl Ids {
    /// An id for a new name; `sweep` counts the sweeps that are complete.
    pub(super) fn take(&mut self, text: &Arc<str>, sweep: u64) -> u32 {
        if let Some(&(free_after_sweep, id)) = self.free.front()
            && sweep >= free_after_sweep
        {
            self.free.pop_front();
            self.names.insert(id, Arc::clone(text));
            return id;
        }
        // There are far fewer names than numbers.
        while self.names.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.names.insert(id, Arc::clone(text));
        id
    }

    /// A name that a daemon before has given this id. No smaller one is given to another: events of
    /// who had it may be on their way.
    pub(super) fn adopt(&mut self, id: u32, text: &Arc<str>) {
        self.names.insert(id, Arc::clone(text));
        self.reserve(id);
    }

    /// As [`Ids::adopt`], of a name that is not known any more.
    pub(super) fn reserve(&mut self, id: u32) {
        self.next = self.next.max(id.saturating_add(1));
    }

    pub(super) fn give_back(&mut self, id: u32, free_after_sweep: u64) {
        self.free.push_back((free_after_sweep, id));
    }

    pub(super) fn name(&self, id: u32) -> Option<&Arc<str>> {
        self.names.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_used_again_only_after_the_sweeps_it_waits_for() {
        let mut ids = Ids::default();
        let first = ids.take(&"a".into(), 0);
        ids.give_back(first, 2);
        assert_ne!(ids.take(&"b".into(), 1), first);
        assert_eq!(ids.name(first).map(|name| &**name), Some("a"));
        assert_eq!(ids.take(&"c".into(), 2), first);
        assert_eq!(ids.name(first).map(|name| &**name), Some("c"));
    }

    #[test]
    fn ids_of_the_daemon_before_keep_their_names_and_are_given_to_nobody_else() {
        let mut ids = Ids::default();
        for (id, name) in [(7, "a"), (3, "b"), (u32::MAX, "c")] {
            ids.adopt(id, &name.into());
        }
        assert_eq!(ids.name(3).map(|name| &**name), Some("b"));
        let new = [ids.take(&"d".into(), 0), ids.take(&"e".into(), 0)];
        assert_eq!(new, [0, 1], "behind the last number comes the first");
    }
}
