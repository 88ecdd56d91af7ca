//! What is remembered of each source: what it may still cost, and whether it has proved that it is
//! where it says it is.
//!
//! The sockets of all workers share one table, since the kernel spreads one phone's requests over
//! all of them; it is asked once for each request and each first ACK, never for each block. HTTP
//! tells it who has proved an address. What a source asks for in vain is another account, which
//! other parts draw on as well: [`crate::misses`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tftp_ebpf::abi;

use super::settings::BudgetSettings;
use crate::budget::Bucket;
use crate::live::Live;
use crate::recent::{Recent, source_of};

/// How long a source counts as known after its last first ACK: longer than a boot takes.
pub const KNOWN_FOR: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug)]
struct Source {
    first: Bucket,
    errors: Bucket,
    proved: Option<Instant>,
}

impl Source {
    fn is_known(&self, now: Instant) -> bool {
        self.proved
            .is_some_and(|at| now.saturating_duration_since(at) < KNOWN_FOR)
    }
}

/// The table.
#[derive(Debug)]
pub struct Sources {
    table: Recent<Source>,
    /// Transfers under way, where there are any: as many entries as transfers at most, and none
    /// is forgotten before its end.
    open: Mutex<HashMap<abi::Source, u32>>,
    settings: Live<BudgetSettings>,
}

impl Sources {
    /// For as many sources as the settings have at the start.
    pub fn new(settings: impl Into<Live<BudgetSettings>>) -> Self {
        let settings = settings.into();
        Self {
            table: Recent::new(settings.get().sources),
            open: Mutex::default(),
            settings,
        }
    }

    /// Whether a first packet may be sent: a token that comes back with the first ACK. Sources
    /// that proved their address need none.
    pub fn take_first(&self, ip: IpAddr, now: Instant) -> bool {
        let first = self.settings.get().first();
        self.with(ip, now, |source| {
            source.is_known(now) || source.first.take(first, now)
        })
    }

    /// The first ACK of a transfer that took this many tokens came in.
    pub fn proved(&self, ip: IpAddr, now: Instant, tokens: u32) {
        let first = self.settings.get().first();
        self.with(ip, now, |source| {
            source.proved = Some(now);
            source.first.give_back(first, tokens);
        });
    }

    /// Whether an ERROR may be sent that says nothing of a name.
    pub fn take_error(&self, ip: IpAddr, now: Instant) -> bool {
        let errors = self.settings.get().errors();
        self.with(ip, now, |source| source.errors.take(errors, now))
    }

    /// Whether the source is in the middle of its boot: it acknowledged something lately.
    pub fn is_known(&self, ip: IpAddr, now: Instant) -> bool {
        let is_known = |source: &Source| source.is_known(now);
        self.table.peek(source_of(ip), is_known).unwrap_or(false)
    }

    /// Takes one of the source's transfers; false if it has as many as it may have. To be given
    /// back with [`Self::close`].
    pub fn open(&self, ip: IpAddr) -> bool {
        let mut open = self.open.lock();
        let open = open.entry(source_of(ip)).or_default();
        let may = *open < self.settings.get().max_transfers_per_source;
        *open += u32::from(may);
        may
    }

    /// A transfer of the source has ended.
    pub fn close(&self, ip: IpAddr) {
        let source = source_of(ip);
        let mut all = self.open.lock();
        if let Some(open) = all.get_mut(&source) {
            *open -= 1;
            if *open == 0 {
                all.remove(&source);
            }
        }
    }

    fn with<T>(&self, ip: IpAddr, now: Instant, act: impl FnOnce(&mut Source) -> T) -> T {
        let fresh = || {
            let settings = self.settings.get();
            Source {
                first: Bucket::full(settings.first(), now),
                errors: Bucket::full(settings.errors(), now),
                proved: None,
            }
        };
        self.table.with(source_of(ip), fresh, act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(first_burst: u32, sources: usize) -> Sources {
        Sources::new(&BudgetSettings {
            first_burst,
            first_per_second: 1,
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
    fn budgets_may_change_at_any_time() {
        let settings = Live::new(BudgetSettings {
            first_burst: 1,
            first_per_second: 1,
            error_burst: 1,
            error_per_second: 1,
            max_transfers_per_source: 1,
            ..BudgetSettings::default()
        });
        let (sources, now) = (Sources::new(settings.clone()), Instant::now());
        let client = ip("10.0.0.1");
        let all = |sources: &Sources, now| {
            [
                sources.take_first(client, now),
                sources.take_error(client, now),
                sources.open(client),
            ]
        };
        assert_eq!(all(&sources, now), [true; 3]);
        assert_eq!(all(&sources, now), [false; 3]);
        settings.set(BudgetSettings::default());
        let later = now + Duration::from_millis(100);
        assert_eq!(all(&sources, later), [true; 3]);
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
    fn the_defaults_let_a_site_of_2000_phones_boot_behind_one_address() {
        let (sources, now) = (Sources::new(BudgetSettings::default()), Instant::now());
        let site = ip("10.9.9.9");
        // Everybody at once, each asking twice before the first ACK comes through.
        assert!((0..4000).all(|_| sources.take_first(site, now)));
    }
}
