//! Who is shut out, and until when.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tftp_ebpf::abi::Source;

use super::Offence;
use crate::recent::name_of;

/// One source that did too much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ban {
    pub(super) offence: Offence,
    pub(super) since: Instant,
    pub(super) until: Instant,
    /// It is not shut out: its phones are registered, or the inventory knows its network.
    pub(super) is_spared: bool,
    /// Messages and connections that were refused for it.
    pub(super) refused: u64,
}

/// One source as status tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banned {
    /// An IPv4 address or an IPv6 /64.
    pub source: String,
    pub offence: Offence,
    pub is_spared: bool,
    pub for_s: u64,
    pub seconds_left: u64,
    pub refused: u64,
}

/// Bounded; who is in it leaves it by itself.
#[derive(Debug)]
pub(super) struct List {
    sources: HashMap<Source, Ban>,
    most: usize,
}

impl List {
    pub(super) fn new(most: usize) -> Self {
        Self {
            sources: HashMap::new(),
            most,
        }
    }

    /// Whether there was space for it.
    pub(super) fn put(&mut self, source: Source, ban: Ban) -> bool {
        if self.sources.len() >= self.most && !self.sources.contains_key(&source) {
            return false;
        }
        self.sources.insert(source, ban);
        true
    }

    /// Whether it is shut out; counts that it was refused.
    pub(super) fn refuses(&mut self, source: &Source, now: Instant) -> bool {
        let ban = self.sources.get_mut(source);
        let Some(ban) = ban.filter(|it| !it.is_spared && now < it.until) else {
            return false;
        };
        ban.refused += 1;
        true
    }

    /// Takes out those that are named; which of them were in it, the first to leave first.
    pub(super) fn lift(
        &mut self,
        mut is_named: impl FnMut(&Source) -> bool,
        now: Instant,
    ) -> Vec<Banned> {
        self.expire(now);
        let mut lifted = Self::new(self.most);
        let named = self.sources.extract_if(|source, _| is_named(source));
        lifted.sources.extend(named);
        lifted.told(now)
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.sources.retain(|_, ban| now < ban.until);
    }

    /// The first to leave first.
    pub(super) fn told(&self, now: Instant) -> Vec<Banned> {
        let mut bans: Vec<_> = self.sources.iter().collect();
        bans.sort_unstable_by_key(|(source, ban)| (ban.until, **source));
        let since = |then: Instant, now: Instant| now.saturating_duration_since(then);
        let whole = |time: Duration| time.as_millis().div_ceil(1000) as u64;
        let tell = |(source, ban): (&Source, &Ban)| Banned {
            source: name_of(source),
            offence: ban.offence,
            is_spared: ban.is_spared,
            for_s: since(ban.since, now).as_secs(),
            seconds_left: whole(since(now, ban.until)),
            refused: ban.refused,
        };
        bans.into_iter().map(tell).collect()
    }
}
