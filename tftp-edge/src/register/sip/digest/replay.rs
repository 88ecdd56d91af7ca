//! Which nonces were used, and how often: nobody may use what someone else was heard to send.
//!
//! The memory is bounded and never lets a replay through for being full: what is forgotten first is
//! what was not used for longest, and a nonce made before that time which is not known any more
//! counts as used up.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::nonce::Nonce;

const SHARDS: usize = 16;

/// How a nonce was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// `nc`.
    pub count: u32,
    /// Of the whole request.
    pub fingerprint: u64,
}

/// The uses of all nonces that still count.
#[derive(Debug)]
pub struct Replays {
    shards: [Mutex<Shard>; SHARDS],
    /// Nonces in one half of a shard at which the other is forgotten.
    half: usize,
    lifetime: Duration,
}

#[derive(Debug, Default)]
struct Shard {
    recent: HashMap<u64, Use>,
    older: HashMap<u64, Use>,
    /// When `recent` was begun.
    begun: Duration,
    /// What was forgotten was last used before.
    forgotten: Duration,
}

impl Replays {
    pub fn new(nonces: usize, lifetime: Duration) -> Self {
        Self {
            shards: Default::default(),
            half: (nonces / SHARDS / 2).max(1),
            lifetime,
        }
    }

    /// Notes a use. Returns whether it may be: the count is higher than any before, or it is the
    /// very same request as the last one.
    pub fn take(&self, nonce: &Nonce, used: Use, now: Duration) -> bool {
        let mut shard = self.shards[nonce.serial as usize % SHARDS].lock();
        let shard = &mut *shard;
        if shard.recent.len() >= self.half || now.saturating_sub(shard.begun) > self.lifetime {
            shard.older = std::mem::take(&mut shard.recent);
            shard.forgotten = std::mem::replace(&mut shard.begun, now);
        }
        let made = now.saturating_sub(nonce.age);
        let before = match shard.recent.get(&nonce.serial) {
            Some(&before) => Some(before),
            None => shard.older.remove(&nonce.serial),
        };
        let (is_fresh, kept) = match before {
            None => (made >= shard.forgotten, used),
            Some(before) if used == before => (true, before),
            Some(before) if used.count > before.count => (true, used),
            Some(before) => (false, before),
        };
        if is_fresh || before.is_some() {
            shard.recent.insert(nonce.serial, kept);
        }
        is_fresh
    }

    /// How many nonces are remembered.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        let shards = self.shards.iter().map(|shard| shard.lock());
        shards.map(|it| it.recent.len() + it.older.len()).sum()
    }
}
