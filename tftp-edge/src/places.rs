//! How many connections a server may have, in all and from one source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;
use tftp_ebpf::abi::Source;

use crate::recent::source_of;

/// The places there are.
#[derive(Debug)]
pub struct Places {
    connections: AtomicUsize,
    /// The most that descriptors were asked for so far, and that there were.
    asked: AtomicUsize,
    granted: AtomicUsize,
    per_source: AtomicUsize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// As many entries as connections at most.
    sources: HashMap<Source, usize>,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    source: Source,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// Those of the source are.
    Source,
}

impl Places {
    /// As many as are wanted, as far as the system has descriptors for them. `key` is the setting
    /// that wants them.
    pub(crate) fn open(wanted: usize, per_source: usize, key: &'static str) -> Arc<Self> {
        Self::granted(wanted, connections_allowed(wanted, key), per_source)
    }

    fn granted(asked: usize, granted: usize, per_source: usize) -> Arc<Self> {
        Arc::new(Self {
            connections: granted.into(),
            asked: asked.into(),
            granted: granted.into(),
            per_source: per_source.into(),
            held: Mutex::default(),
        })
    }

    pub fn limit(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// From now on there may be so many, as far as the system has descriptors for them. Those that
    /// there are stay. `key` is the setting that wants them. To be called by one thread at a time.
    pub(crate) fn follow(&self, wanted: usize, per_source: usize, key: &'static str) {
        let asked = self.asked.load(Ordering::Relaxed);
        let mut granted = self.granted.load(Ordering::Relaxed);
        if wanted > asked {
            granted += connections_allowed(wanted - asked, key);
            self.asked.store(wanted, Ordering::Relaxed);
            self.granted.store(granted, Ordering::Relaxed);
        }
        self.connections
            .store(wanted.min(granted), Ordering::Relaxed);
        self.per_source.store(per_source, Ordering::Relaxed);
    }

    pub fn take(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let source = source_of(client);
        let mut held = self.held.lock();
        if held.all >= self.limit() {
            return Err(Full::All);
        }
        let of_source = held.sources.get(&source).copied().unwrap_or(0);
        if of_source >= self.per_source.load(Ordering::Relaxed) {
            return Err(Full::Source);
        }
        held.all += 1;
        held.sources.insert(source, of_source + 1);
        Ok(Place {
            places: Arc::clone(self),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock();
        held.all -= 1;
        if let Some(of_source) = held.sources.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                held.sources.remove(&self.source);
            }
        }
    }
}

/// As many connections as are wanted, if the system has descriptors for them. The soft limit on open
/// files is the account: each server adds to it what it wants, so that what was there before stays
/// with the rest of the daemon. `key` is the setting that wants them.
fn connections_allowed(wanted: usize, key: &'static str) -> usize {
    /// Descriptors that servers wanted and did not get: what one is told to raise the limit to is
    /// enough for those before it, too.
    static MISSING: AtomicU64 = AtomicU64::new(0);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    let needed = soft.saturating_add(wanted as u64);
    let set = |soft: u64, hard: u64| setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map(|()| soft);
    // Past the hard limit if we may, up to it if we may not.
    let limit = set(needed, hard.max(needed)).or_else(|_| set(needed.min(hard), hard));
    let limit = limit.unwrap_or(soft);
    // Half, where the limit cannot be raised.
    let left = (limit - soft).max(limit / 2);
    let allowed = left.min(wanted as u64) as usize;
    if allowed < wanted {
        let missing = needed.saturating_sub(hard);
        let enough = hard + missing + MISSING.fetch_add(missing, Ordering::Relaxed);
        tracing::warn!(
            event = "listen.files_limited",
            allowed,
            wanted,
            setting = key,
            "fewer connections than {key}: the system allows {hard} open files; raise LimitNOFILE \
             to {enough}"
        );
    }
    allowed.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let places = Places::granted(2, 2, 2);
        let first = places.take(ip("10.0.0.1")).unwrap();
        let _second = places.take(ip("10.0.0.2")).unwrap();
        let full = places.take(ip("10.0.0.3")).unwrap_err();
        assert_eq!(full, Full::All);
        drop(first);
        assert!(places.take(ip("10.0.0.3")).is_ok());
    }

    #[test]
    fn one_source_cannot_take_all_places() {
        let places = Places::granted(10, 10, 2);
        let _held = [(); 2].map(|()| places.take(ip("10.0.0.1")).unwrap());
        // The same address, as an IPv6 socket would name it.
        let over = places.take(ip("::ffff:10.0.0.1")).unwrap_err();
        assert_eq!(over, Full::Source);
        assert!(places.take(ip("10.0.0.2")).is_ok());
    }

    #[test]
    fn what_the_system_did_not_grant_is_not_asked_for_with_each_reload() {
        let places = Places::granted(10, 4, 10);
        places.follow(10, 10, "http.max_connections");
        assert_eq!(places.limit(), 4);
        places.follow(3, 10, "http.max_connections");
        assert_eq!(places.limit(), 3);
        places.follow(10, 10, "http.max_connections");
        assert_eq!(places.limit(), 4);
    }

    #[test]
    fn limits_may_change_and_nobody_loses_a_place() {
        let places = Places::granted(2, 2, 2);
        let held = [(); 2].map(|()| places.take(ip("10.0.0.1")).unwrap());
        places.follow(1, 1, "http.max_connections");
        assert_eq!(places.take(ip("10.0.0.2")).unwrap_err(), Full::All);
        drop(held);
        let _first = places.take(ip("10.0.0.1")).unwrap();
        places.follow(3, 1, "http.max_connections");
        assert_eq!(places.limit(), 3);
        assert_eq!(places.take(ip("10.0.0.1")).unwrap_err(), Full::Source);
        assert!(places.take(ip("10.0.0.2")).is_ok());
    }

    #[test]
    fn sources_without_connections_take_no_memory() {
        let places = Places::granted(10, 10, 10);
        for last in 0..100 {
            drop(places.take(IpAddr::from([10, 0, 0, last])).unwrap());
        }
        assert!(places.held.lock().sources.is_empty());
    }
}
