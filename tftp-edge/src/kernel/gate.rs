//! The registrars' hold on the kernel program: how many newcomers come in, and who goes first.
//!
//! Whoever calls never waits for the kernel: addresses are noted here, and the thread of the kernel
//! side writes them to the map at its next tick.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aya::maps::{Array, HashMap as BpfHashMap, MapData};
use parking_lot::Mutex;
use tftp_ebpf::abi::Address;
use tftp_ebpf::abi::registration::Registration;

use super::host;
use crate::misses::Rate;
use crate::register::{Guard, KernelMode};

/// What a CPU may sample: more than any wave of registrations that is let in, so that only what is
/// refused or repeated is left out. The ring holds what one CPU may sample at once; what several do
/// in one tick may not find room, which is counted.
const SAMPLES: u32 = 400;
const SAMPLES_PER_SECOND: u32 = 2000;

/// Phones that are registered keep their precedence over a restart for so long: those that are still
/// there have said so by then.
const ADOPTED_FOR: Duration = Duration::from_secs(300);

pub(super) struct Gate {
    rule: Mutex<(Array<MapData, Registration>, Registration)>,
    sources: Mutex<Sources>,
    /// Addresses that found no room in the map. For the thread that writes alone.
    outside: Mutex<HashSet<Address>>,
    limit: u32,
    /// Sources that are in the map.
    written: AtomicU64,
    /// How often a source found no room in the map, and so was a newcomer there.
    overflow: AtomicU64,
}

/// Phones by the address they are registered from, and the addresses that are not in the map as
/// they are here. As many as the registrar takes at most.
#[derive(Default)]
struct Sources {
    phones: HashMap<Address, u32>,
    /// Addresses that a daemon before has written, until their phones are heard of or it is time to
    /// do without.
    adopted: Option<(Instant, HashSet<Address>)>,
    changed: HashSet<Address>,
}

/// What the gate is like at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct GateStatus {
    /// Packets of newcomers a second, and at once; none while everybody comes in.
    pub budget: Option<Rate>,
    /// Addresses that the program knows phones to be registered from, the most there may be, and how
    /// often one was too many.
    pub sources: u64,
    pub sources_limit: u64,
    pub overflow: u64,
}

/// The map `REGISTERED`, as far as it is written.
trait Addresses {
    /// Whether there was room for it.
    fn put(&mut self, address: &Address) -> bool;
    fn take_out(&mut self, address: &Address);
}

impl Addresses for BpfHashMap<MapData, Address, u32> {
    fn put(&mut self, address: &Address) -> bool {
        self.insert(address, 1, 0).is_ok()
    }

    fn take_out(&mut self, address: &Address) {
        // May never have been there.
        let _ = self.remove(address);
    }
}

/// Writes what has changed, and then those that found no room before, as far as there is some now.
/// Returns how many of those that have come find none.
fn bring_up(
    map: &mut impl Addresses,
    changed: &[(Address, bool)],
    outside: &mut HashSet<Address>,
) -> u64 {
    for (address, _) in changed.iter().filter(|(_, is_there)| !is_there) {
        outside.remove(address);
        map.take_out(address);
    }
    let mut failed = 0;
    for (address, _) in changed.iter().filter(|(_, is_there)| *is_there) {
        match map.put(address) {
            true => {
                outside.remove(address);
            }
            // One that has left and come again is none more.
            false => failed += u64::from(outside.insert(*address)),
        }
    }
    // The first that finds no room speaks for the others.
    while let Some(address) = outside.iter().next().copied()
        && map.put(&address)
    {
        outside.remove(&address);
    }
    failed
}

impl Gate {
    pub(super) fn new(
        mode: KernelMode,
        map: Array<MapData, Registration>,
        limit: u32,
    ) -> Result<Self, super::Error> {
        let rule = first_rule(mode);
        let mut map = map;
        map.set(0, rule, 0)
            .map_err(|error| super::Error::map("REGISTRATION", "written", error))?;
        Ok(Self {
            rule: Mutex::new((map, rule)),
            sources: Mutex::default(),
            outside: Mutex::default(),
            limit,
            written: AtomicU64::new(0),
            overflow: AtomicU64::new(0),
        })
    }

    /// A daemon before has written these addresses.
    pub(super) fn adopt(&self, addresses: HashSet<Address>, now: Instant) {
        self.sources.lock().adopted = Some((now + ADOPTED_FOR, addresses));
    }

    /// Brings the map up to what was noted. For one thread alone.
    pub(super) fn write(&self, map: &mut BpfHashMap<MapData, Address, u32>) {
        let (changed, all): (Vec<_>, _) = {
            let mut sources = self.sources.lock();
            let Sources {
                phones,
                changed,
                adopted,
            } = &mut *sources;
            if let Some((_, addresses)) = adopted.take_if(|(until, _)| Instant::now() >= *until) {
                let unheard = addresses.into_iter();
                changed.extend(unheard.filter(|address| !phones.contains_key(address)));
            }
            let is_there = |address| phones.contains_key(&address);
            let changed = changed.drain();
            let changed = changed.map(|address| (address, is_there(address)));
            (changed.collect(), phones.len() as u64)
        };
        let mut outside = self.outside.lock();
        if changed.is_empty() && outside.is_empty() {
            return;
        }
        let failed = bring_up(map, &changed, &mut outside);
        let written = all.saturating_sub(outside.len() as u64);
        self.written.store(written, Ordering::Relaxed);
        if failed > 0 {
            let before = self.overflow.fetch_add(failed, Ordering::Relaxed);
            if before == 0 {
                tracing::warn!(
                    event = "kernel.registered_full",
                    "the kernel has no room for more registered phones: the others are newcomers there"
                );
            }
        }
    }

    pub(super) fn status(&self) -> GateStatus {
        let rule = self.rule.lock().1;
        let budget = (rule.burst_ns > 0).then_some(Rate {
            interval_ns: rule.interval_ns,
            burst_ns: rule.burst_ns,
        });
        GateStatus {
            budget,
            sources: self.written.load(Ordering::Relaxed),
            sources_limit: self.limit.into(),
            overflow: self.overflow.load(Ordering::Relaxed),
        }
    }
}

impl Guard for Gate {
    fn admit(&self, newcomers: Option<Rate>) {
        let mut rule = self.rule.lock();
        let (map, value) = &mut *rule;
        let new = ruled(*value, newcomers);
        if new == *value {
            return;
        }
        match map.set(0, new, 0) {
            Ok(()) => *value = new,
            Err(error) => {
                tracing::error!(event = "kernel.admission_untold", %error, "the kernel could not be told how many may register");
            }
        }
    }

    fn registered(&self, source: IpAddr) {
        let address = host::map_address(source.to_canonical());
        let mut sources = self.sources.lock();
        let phones = sources.phones.entry(address).or_default();
        *phones += 1;
        if *phones == 1 {
            sources.changed.insert(address);
        }
    }

    fn left(&self, source: IpAddr) {
        let address = host::map_address(source.to_canonical());
        let mut sources = self.sources.lock();
        let Some(phones) = sources.phones.get_mut(&address) else {
            return;
        };
        *phones -= 1;
        if *phones == 0 {
            sources.phones.remove(&address);
            sources.changed.insert(address);
        }
    }
}

fn first_rule(mode: KernelMode) -> Registration {
    let samples = Rate::new(SAMPLES, SAMPLES_PER_SECOND);
    Registration {
        sample_interval_ns: samples.interval_ns,
        sample_burst_ns: samples.burst_ns,
        is_strict: (mode == KernelMode::On).into(),
        ..Registration::default()
    }
}

/// The rule with another budget. A budget lets in one at a time at least: none at all would be for
/// ever, since nobody would ever be served again.
fn ruled(rule: Registration, newcomers: Option<Rate>) -> Registration {
    let (interval_ns, burst_ns) = newcomers.map_or((0, 0), |rate| {
        let interval_ns = rate.interval_ns.max(1);
        (interval_ns, rate.burst_ns.max(interval_ns))
    });
    Registration {
        interval_ns,
        burst_ns,
        reserve_ns: Registration::reserve(interval_ns, burst_ns),
        ..rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_nothing_still_lets_one_in() {
        let rule = ruled(first_rule(KernelMode::On), Some(Rate::new(0, 10)));
        assert_eq!(
            (rule.interval_ns, rule.burst_ns),
            (100_000_000, 100_000_000)
        );
        assert_eq!(rule.reserve_ns, 0);
    }

    #[test]
    fn without_a_budget_everybody_comes_in() {
        let stormy = ruled(first_rule(KernelMode::On), Some(Rate::new(50, 100)));
        assert_eq!(stormy.reserve_ns, stormy.burst_ns / 2);
        let calm = ruled(stormy, None);
        assert_eq!(calm, first_rule(KernelMode::On));
    }

    /// A map with room for two.
    #[derive(Default)]
    struct Two(HashSet<Address>);

    impl Addresses for Two {
        fn put(&mut self, address: &Address) -> bool {
            self.0.contains(address) || self.0.len() < 2 && self.0.insert(*address)
        }

        fn take_out(&mut self, address: &Address) {
            self.0.remove(address);
        }
    }

    #[test]
    fn who_finds_the_map_full_comes_in_when_another_leaves() {
        let [a, b, c, d] =
            [1, 2, 3, 4].map(|last| host::map_address(IpAddr::from([10, 0, 0, last])));
        let (mut map, mut outside) = (Two::default(), HashSet::new());
        let came = [a, b, c, d].map(|address| (address, true));
        assert_eq!(bring_up(&mut map, &came, &mut outside), 2);
        assert_eq!(outside, HashSet::from([c, d]));
        // Told once more, it is still one.
        assert_eq!(bring_up(&mut map, &[(c, true)], &mut outside), 0);
        assert_eq!(outside, HashSet::from([c, d]));
        // One of them has left before there was room.
        assert_eq!(bring_up(&mut map, &[(d, false)], &mut outside), 0);
        assert_eq!(
            bring_up(&mut map, &[(d, true), (a, false)], &mut outside),
            0
        );
        assert_eq!((&map.0, &outside), (&[b, d].into(), &[c].into()));
        assert_eq!(bring_up(&mut map, &[(b, false)], &mut outside), 0);
        assert_eq!((map.0, outside), ([c, d].into(), [].into()));
    }

    #[test]
    fn only_the_strict_drop() {
        assert_eq!(first_rule(KernelMode::On).is_strict, 1);
        assert_eq!(first_rule(KernelMode::Observe).is_strict, 0);
    }
}
