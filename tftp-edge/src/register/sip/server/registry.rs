//! The connections there are, by their number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::link::Link;
use crate::register::ConnectionId;

const SHARDS: u64 = 16;

/// See the module. As many entries as connections.
#[derive(Debug, Default)]
pub(super) struct Registry {
    next: AtomicU64,
    shards: [Mutex<HashMap<u64, Arc<Link>>>; SHARDS as usize],
}

impl Registry {
    /// A number that no connection had.
    pub(super) fn new_id(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn insert(&self, link: Arc<Link>) {
        self.shard(link.id).lock().insert(link.id.0, link);
    }

    pub(super) fn remove(&self, id: ConnectionId) {
        self.shard(id).lock().remove(&id.0);
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Link>> {
        self.shard(id).lock().get(&id.0).cloned()
    }

    /// Shows each connection; those that come or go meanwhile may be left out.
    pub(super) fn each(&self, mut show: impl FnMut(&Arc<Link>)) {
        for shard in &self.shards {
            shard.lock().values().for_each(&mut show);
        }
    }

    fn shard(&self, id: ConnectionId) -> &Mutex<HashMap<u64, Arc<Link>>> {
        &self.shards[(id.0 % SHARDS) as usize]
    }
}
