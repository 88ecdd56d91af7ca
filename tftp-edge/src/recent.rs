//! A bounded table of what is remembered of each source.
//!
//! A source is an IPv4 address or an IPv6 /64, as the kernel program has it. A part of the table
//! that is full forgets the half that was not heard of for longest, so that addresses nobody has
//! cannot fill the memory, nor push out those who are heard of all the time.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use parking_lot::Mutex;
use tftp_ebpf::abi::{self, Source};
use tftp_ebpf::plan;

const SHARDS: usize = 16;

/// Who answers for what comes from an address. The two families cannot meet: the prefix `::/64`
/// holds v4-mapped addresses and loopback only.
pub fn source_of(ip: IpAddr) -> Source {
    match ip.to_canonical() {
        IpAddr::V4(ip) => abi::mapped(ip.octets()),
        IpAddr::V6(ip) => plan::source(&abi::address(&ip.octets()), true),
    }
}

/// A source as an operator writes it: an address, or a prefix.
pub fn name_of(source: &Source) -> String {
    let mut octets = [0; 16];
    for (place, word) in octets.chunks_mut(4).zip(source) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let ip = Ipv6Addr::from(octets);
    match ip.to_ipv4_mapped() {
        Some(ip) => Ipv4Addr::to_string(&ip),
        None => format!("{ip}/64"),
    }
}

#[derive(Debug)]
struct Shard<V> {
    recent: HashMap<Source, V>,
    older: HashMap<Source, V>,
}

/// The table; see the module.
#[derive(Debug)]
pub struct Recent<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    hasher: RandomState,
    /// Entries of `recent` in one shard at which `older` is forgotten.
    generation: usize,
}

impl<V> Recent<V> {
    /// For so many sources.
    pub fn new(sources: usize) -> Self {
        let shard = |_| {
            Mutex::new(Shard {
                recent: HashMap::new(),
                older: HashMap::new(),
            })
        };
        Self {
            shards: std::array::from_fn(shard),
            hasher: RandomState::new(),
            generation: (sources / SHARDS / 2).max(1),
        }
    }

    /// Works on what is remembered of a source: a fresh value if that is nothing.
    pub fn with<T>(
        &self,
        source: Source,
        fresh: impl FnOnce() -> V,
        act: impl FnOnce(&mut V) -> T,
    ) -> T {
        let mut shard = self.shard(source).lock();
        let shard = &mut *shard;
        if let Some(value) = shard.recent.get_mut(&source) {
            return act(value);
        }
        if shard.recent.len() >= self.generation {
            shard.older = std::mem::take(&mut shard.recent);
        }
        let value = shard.older.remove(&source).unwrap_or_else(fresh);
        act(shard.recent.entry(source).or_insert(value))
    }

    /// Looks at what is remembered, without that counting as hearing of the source.
    pub fn peek<T>(&self, source: Source, look: impl FnOnce(&V) -> T) -> Option<T> {
        let shard = self.shard(source).lock();
        let value = shard
            .recent
            .get(&source)
            .or_else(|| shard.older.get(&source));
        value.map(look)
    }

    fn shard(&self, source: Source) -> &Mutex<Shard<V>> {
        &self.shards[self.hasher.hash_one(source) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_or_a_64_and_mapped_ones_are_ipv4() {
        let named = |ip: &str| name_of(&source_of(ip.parse().unwrap()));
        assert_eq!(named("10.0.0.9"), "10.0.0.9");
        assert_eq!(named("::ffff:10.0.0.9"), "10.0.0.9");
        assert_eq!(named("fd00:0:0:1:2:3:4:5"), "fd00:0:0:1::/64");
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_in_use() {
        let table = Recent::new(64);
        let used = source_of([192, 168, 0, 1].into());
        for address in 0..10_000_u32 {
            let other = source_of(IpAddr::V4((0x0a00_0000 + address).into()));
            table.with(other, || 0, |value| *value += 1);
            table.with(used, || 0, |value| *value += 1);
        }
        let shards = table.shards.iter().map(|shard| shard.lock());
        let kept: usize = shards
            .map(|shard| shard.recent.len() + shard.older.len())
            .sum();
        assert!(kept <= 64 + SHARDS, "{kept}");
        assert_eq!(table.peek(used, |value| *value), Some(10_000));
    }
}
