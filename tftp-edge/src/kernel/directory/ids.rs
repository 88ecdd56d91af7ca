//! File ids: what events call a file by.

use std::collections::VecDeque;
use std::sync::Arc;

/// File id → name.
#[derive(Default)]
pub(super) struct Ids {
    names: Vec<Arc<str>>,
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
            self.names[id as usize] = Arc::clone(text);
            return id;
        }
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(Arc::clone(text));
        id
    }

    pub(super) fn give_back(&mut self, id: u32, free_after_sweep: u64) {
        self.free.push_back((free_after_sweep, id));
    }

    pub(super) fn name(&self, id: u32) -> Option<&Arc<str>> {
        self.names.get(id as usize)
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
}
