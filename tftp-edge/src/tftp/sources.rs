//! What is remembered of each source: what it may still cost, and whether it has proved that it is
//! where it says it is.
//!
//! A source is an IPv4 address or an IPv6 /64. The sockets of all workers share one table, since
//! the kernel spreads one phone's requests over all of them; it is asked once for each request and
//! each first ACK, never for each block. Its size is bounded: a shard that is full forgets the half
//! that was not heard of for longest.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::settings::BudgetSettings;
use crate::budget::{Bucket, Rate, Source as Key};

/// How long a source counts as known after its last first ACK: longer than a boot takes.
pub const KNOWN_FOR: Duration = Duration::from_secs(600);

const SHARDS: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Source {
    first: Bucket,
    misses: Bucket,
    errors: Bucket,
    proved: Option<Instant>,
}

impl Source {
    fn is_known(&self, now: Instant) -> bool {
        self.proved
            .is_some_and(|at| now.saturating_duration_since(at) < KNOWN_FOR)
    }
}

#[derive(Debug, Default)]
struct Shard {
    recent: HashMap<Key, Source>,
    older: HashMap<Key, Source>,
    /// Transfers under way, where there are any: as many entries as transfers at most, and none
    /// is forgotten before its end.
    open: HashMap<Key, u32>,
}

/// The table.
#[derive(Debug)]
pub struct Sources {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    first: Rate,
    misses: Rate,
    errors: Rate,
    /// Transfers of one source at one time.
    max_open: u32,
    /// Entries of `recent` in one shard at which `older` is forgotten.
    generation: usize,
}

impl Sources {
    pub fn new(settings: &BudgetSettings) -> Self {
        let rate = |burst, per_second| Rate { burst, per_second };
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            first: rate(settings.first_burst, settings.first_per_second),
            misses: rate(settings.miss_burst, settings.miss_per_second),
            errors: rate(settings.error_burst, settings.error_per_second),
            max_open: settings.max_transfers_per_source,
            generation: (settings.sources / SHARDS / 2).max(1),
        }
    }

    /// Whether a first packet may be sent: a token that comes back with the first ACK. Sources
    /// that proved their address need none.
    pub fn take_first(&self, ip: IpAddr, now: Instant) -> bool {
        self.with(ip, now, |source| {
            source.is_known(now) || source.first.take(self.first, now)
        })
    }

    /// The first ACK of a transfer that took this many tokens came in.
    pub fn proved(&self, ip: IpAddr, now: Instant, tokens: u32) {
        self.with(ip, now, |source| {
            source.proved = Some(now);
            source.first.give_back(self.first, tokens);
        });
    }

    /// Whether an ERROR 1 or 2 may be sent.
    pub fn take_miss(&self, ip: IpAddr, now: Instant) -> bool {
        self.with(ip, now, |source| source.misses.take(self.misses, now))
    }

    /// Whether any other ERROR may be sent.
    pub fn take_error(&self, ip: IpAddr, now: Instant) -> bool {
        self.with(ip, now, |source| source.errors.take(self.errors, now))
    }

    /// Whether the source is in the middle of its boot: it acknowledged something lately.
    pub fn is_known(&self, ip: IpAddr, now: Instant) -> bool {
        let shard = self.shard(Key::of(ip)).lock();
        let key = Key::of(ip);
        let source = shard.recent.get(&key).or_else(|| shard.older.get(&key));
        source.is_some_and(|source| source.is_known(now))
    }

    /// Takes one of the source's transfers; false if it has as many as it may have. To be given
    /// back with [`Self::close`].
    pub fn open(&self, ip: IpAddr) -> bool {
        let key = Key::of(ip);
        let mut shard = self.shard(key).lock();
        let open = shard.open.entry(key).or_default();
        let may = *open < self.max_open;
        *open += u32::from(may);
        may
    }

    /// A transfer of the source has ended.
    pub fn close(&self, ip: IpAddr) {
        let key = Key::of(ip);
        let mut shard = self.shard(key).lock();
        if let Some(open) = shard.open.get_mut(&key) {
            *open -= 1;
            if *open == 0 {
                shard.open.remove(&key);
            }
        }
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    fn with<T>(&self, ip: IpAddr, now: Instant, act: impl FnOnce(&mut Source) -> T) -> T {
        let key = Key::of(ip);
        let mut shard = self.shard(key).lock();
        let shard = &mut *shard;
        if let Some(source) = shard.recent.get_mut(&key) {
            return act(source);
        }
        if shard.recent.len() >= self.generation {
            shard.older = std::mem::take(&mut shard.recent);
        }
        let source = shard.older.remove(&key).unwrap_or_else(|| Source {
            first: Bucket::full(self.first, now),
            misses: Bucket::full(self.misses, now),
            errors: Bucket::full(self.errors, now),
            proved: None,
        });
        act(shard.recent.entry(key).or_insert(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(first_burst: u32, sources: usize) -> Sources {
        Sources::new(&BudgetSettings {
            first_burst,
            first_per_second: 1,
            miss_burst: 2,
            miss_per_second: 1,
            sources,
            ..BudgetSettings::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn unanswered_first_packets_use_the_budget_up() {
        let (sources, now) = (sources(2, 1024), Instant::now());
        let client = ip("10.0.0.1");
        assert!(sources.take_first(client, now));
        assert!(sources.take_first(client, now));
        assert!(!sources.take_first(client, now));
        assert!(sources.take_first(ip("10.0.0.2"), now));
        assert!(sources.take_first(client, now + Duration::from_secs(1)));
    }

    #[test]
    fn a_source_that_acknowledged_is_free_for_a_while() {
        let (sources, now) = (sources(1, 1024), Instant::now());
        let client = ip("10.0.0.1");
        assert!(sources.take_first(client, now));
        sources.proved(client, now, 1);
        assert!((0..100).all(|_| sources.take_first(client, now)));
        assert!(sources.is_known(client, now));
        assert!(!sources.is_known(client, now + KNOWN_FOR));
    }

    #[test]
    fn addresses_of_one_64_share_a_budget_and_mapped_ones_are_ipv4() {
        let (sources, now) = (sources(1, 1024), Instant::now());
        assert!(sources.take_first(ip("fd00::1"), now));
        assert!(!sources.take_first(ip("fd00::2"), now));
        assert!(sources.take_first(ip("fd00:0:0:1::1"), now));
        assert!(sources.take_first(ip("::ffff:10.0.0.1"), now));
        assert!(!sources.take_first(ip("10.0.0.1"), now));
    }

    #[test]
    fn misses_have_their_own_budget() {
        let (sources, now) = (sources(1, 1024), Instant::now());
        let client = ip("10.0.0.1");
        sources.proved(client, now, 0);
        assert!(sources.take_miss(client, now));
        assert!(sources.take_miss(client, now));
        assert!(!sources.take_miss(client, now));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_in_use() {
        let (sources, now) = (sources(1, 64), Instant::now());
        let client = ip("192.168.0.1");
        sources.proved(client, now, 0);
        for address in 0..10_000_u32 {
            sources.take_first(IpAddr::V4((0x0a00_0000 + address).into()), now);
            sources.take_miss(client, now);
        }
        let entries: usize = sources
            .shards
            .iter()
            .map(|shard| shard.lock())
            .map(|shard| shard.recent.len() + shard.older.len())
            .sum();
        assert!(entries <= 64 + SHARDS, "{entries}");
        assert!(sources.is_known(client, now));
    }

    #[test]
    fn the_defaults_let_a_site_of_2000_phones_boot_behind_one_address() {
        let (sources, now) = (Sources::new(&BudgetSettings::default()), Instant::now());
        let site = ip("10.9.9.9");
        // Everybody at once, each asking twice before the first ACK comes through.
        assert!((0..4000).all(|_| sources.take_first(site, now)));
        assert!((0..2000 * 5).all(|_| sources.take_miss(site, now)));
    }
}
