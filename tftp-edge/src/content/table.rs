//! The published names: read by every request, written by one thread.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::RwLock;

use super::Version;
use super::by_site::BySite;
use super::upstream::{Miss, Missing};

const SHARDS: usize = 64;

/// What a request for a name gets.
#[derive(Clone)]
pub(super) enum Entry {
    /// In memory for good.
    Pinned(Arc<Version>),
    /// In memory until the room is needed.
    Cached(Arc<Cached>),
    /// In memory, another version in each site.
    BySite(Arc<BySite<Arc<Version>>>),
    OnDisk,
    Absent,
    Refused,
    /// Fetched from an upstream server.
    Proxied(Arc<Proxied>),
    /// Not found there either.
    Missed(Arc<Missed>),
}

impl Entry {
    /// What is here, as opposed to upstream.
    pub(super) fn version(&self) -> Option<&Arc<Version>> {
        match self {
            Self::Pinned(version) => Some(version),
            Self::Cached(cached) => Some(&cached.version),
            _ => None,
        }
    }

    /// Phones ask for it in vain, and get on well without.
    pub(super) fn is_optional(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Missed(missed) => missed.is_optional,
            _ => false,
        }
    }
}

pub(super) struct Cached {
    pub(super) version: Arc<Version>,
    /// Milliseconds since the table was made.
    used_ms: AtomicU64,
}

impl Cached {
    pub(super) fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }
}

/// A file from upstream.
pub(super) struct Proxied {
    pub(super) version: Arc<Version>,
    /// By which it was found.
    pub(super) spelling: Arc<[u8]>,
    /// It has not outlived its lifetime.
    pub(super) is_fresh: bool,
    /// Listeners have it too.
    pub(super) is_told: bool,
    pub(super) uses: AtomicU32,
    used_ms: AtomicU64,
}

impl Proxied {
    pub(super) fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }
}

/// A name that was not found upstream, in these spellings.
pub(super) struct Missed {
    pub(super) misses: Vec<Miss>,
    /// Phones can do without it.
    pub(super) is_optional: bool,
    /// Listeners know that it is absent.
    pub(super) is_told: bool,
}

impl Missed {
    pub(super) fn of(&self, spelling: &[u8]) -> Option<Missing> {
        let mut misses = self.misses.iter();
        misses
            .find(|miss| &*miss.spelling == spelling)
            .map(|miss| miss.is)
    }
}

type Shard = RwLock<HashMap<Arc<str>, Entry>>;

/// A map in parts, so that a writer holds up only the few requests for the same part.
pub(super) struct Table {
    shards: Box<[Shard]>,
    hasher: RandomState,
    epoch: Instant,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            epoch: Instant::now(),
        }
    }
}

impl Table {
    pub(super) fn get(&self, name: &str) -> Option<Entry> {
        let entry = self.shard(name).read().get(name).cloned();
        let used_ms = match &entry {
            Some(Entry::Cached(cached)) => Some(&cached.used_ms),
            Some(Entry::Proxied(proxied)) => Some(&proxied.used_ms),
            _ => None,
        };
        if let Some(used_ms) = used_ms {
            used_ms.store(self.now_ms(), Ordering::Relaxed);
        }
        entry
    }

    /// Without counting as a use.
    pub(super) fn peek(&self, name: &str) -> Option<Entry> {
        self.shard(name).read().get(name).cloned()
    }

    /// Names that have content and that `is_wanted`, one shard after the other. What was asked for
    /// upstream in vain has none: clients choose those names.
    pub(super) fn found(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let has_content =
                |entry: &Entry| !matches!(entry, Entry::Absent | Entry::Refused | Entry::Missed(_));
            let found = shard
                .iter()
                .filter(|(name, entry)| has_content(entry) && is_wanted(name));
            names.extend(found.map(|(name, _)| name.clone()));
        }
        names
    }

    pub(super) fn cached(&self, version: Arc<Version>) -> Entry {
        Entry::Cached(Arc::new(Cached {
            version,
            used_ms: AtomicU64::new(self.now_ms()),
        }))
    }

    pub(super) fn proxied(
        &self,
        version: Arc<Version>,
        spelling: Arc<[u8]>,
        is_fresh: bool,
        is_told: bool,
    ) -> Entry {
        Entry::Proxied(Arc::new(Proxied {
            version,
            spelling,
            is_fresh,
            is_told,
            uses: AtomicU32::new(0),
            used_ms: AtomicU64::new(self.now_ms()),
        }))
    }

    pub(super) fn set(&self, name: &Arc<str>, entry: Option<Entry>) {
        // What was there is dropped after the lock is given back: it may be large.
        let before = {
            let mut shard = self.shard(name).write();
            match entry {
                Some(entry) => shard.insert(name.clone(), entry),
                None => shard.remove(name),
            }
        };
        drop(before);
    }

    fn shard(&self, name: &str) -> &Shard {
        &self.shards[self.hasher.hash_one(name) as usize % SHARDS]
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
