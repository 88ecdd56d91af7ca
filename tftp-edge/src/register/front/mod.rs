//! In front of servers that phones register at: their packets are classified, paced and reported
//! here, and answered there.
//!
//! Nothing is known but what the kernel program sees pass: how many phones ask, how many are answered,
//! and what became of some of them. What the servers can take is learnt from it as in a registrar of
//! our own ([`Capacity`]): when many that asked are not answered, what is answered is the limit. Then
//! the kernel program holds back newcomers, and the phones' own back-off brings them again: TCP's
//! repeated SYN and SIP's timers. No wait can be told to a phone whose packets are not ours to answer.

mod classes;
mod phones;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use phones::{Phones, Seen, Stage, Step};
pub use settings::Settings;

use super::storm::{self, Budget, Capacity, Meter, Sight, Watch};
use crate::journal::Journal;
use crate::live::Live;
use crate::misses::Rate;
use crate::register;

/// Phones that are told one by one.
const MISSING: usize = 50;

/// Unanswered phones are those of so many seconds.
const UNANSWERED: Duration = Duration::from_secs(2);

/// So many unanswered ones are no storm: some phones are just too far away.
const FEW: f64 = 10.0;

/// What has passed since the start, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Register, REGISTER, and connections that were held back.
    pub asked: u64,
    /// Of those, what the server asked who it is: it comes again at once.
    pub challenged: u64,
    /// RegisterAck, and 200 to REGISTER.
    pub registered: u64,
    /// Rejects, and failures of all kinds.
    pub refused: u64,
    /// What the kernel program has held back, or would have.
    pub held_back: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Front {
    /// To tell what a connection that was held back was for.
    sip_ports: Vec<u16>,
    journal: Arc<Journal>,
    storm: Live<storm::Settings>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Those that it goes by.
    settings: Arc<storm::Settings>,
    totals: Totals,
    arrivals: Meter,
    answers: Meter,
    capacity: Capacity,
    watch: Watch,
    budget: Budget,
    phones: Phones,
}

/// The front at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub totals: Totals,
    /// Phones by [`Stage`], as last seen.
    pub stages: [u64; Stage::ALL.len()],
    pub phones_limit: u64,
    pub forgotten: u64,
    /// Phones that are not registered, the last seen first; not all of many.
    pub missing: Vec<Seen>,
    pub storm: storm::Snapshot,
}

impl Front {
    pub fn new(settings: &register::Settings, now: Instant) -> Self {
        let live = Live::from(&settings.storm);
        let storm = &*live.take();
        Self {
            sip_ports: settings.sip.listen.iter().map(SocketAddr::port).collect(),
            journal: Arc::default(),
            inner: Mutex::new(Inner {
                settings: live.take(),
                totals: Totals::default(),
                arrivals: Meter::new(now),
                answers: Meter::new(now),
                capacity: Capacity::new(storm, now),
                watch: Watch::new(storm, now),
                budget: Budget::new(storm.kernel_percent),
                phones: Phones::new(settings.front.max_phones as usize),
            }),
            storm: live,
        }
    }

    /// Goes by settings that may change while it runs.
    pub fn following(mut self, storm: Live<storm::Settings>) -> Self {
        self.storm = storm;
        self
    }

    /// Has the journal told what is seen of each phone.
    pub fn telling(mut self, journal: Arc<Journal>) -> Self {
        self.journal = journal;
        self
    }

    /// A packet was seen that says something of one phone.
    pub fn saw(&self, step: &Step, now: Instant) {
        self.inner.lock().phones.saw(step, now);
    }

    /// To be called several times a second with what has passed by then. Says what the kernel program
    /// is to let in, if that has changed: none lets in all.
    pub fn tick(&self, totals: Totals, now: Instant) -> Option<Option<Rate>> {
        let mut inner = self.inner.lock();
        inner.follow(&self.storm);
        let before = std::mem::replace(&mut inner.totals, totals);
        inner.count(before, totals, now);
        let unanswered = inner.unanswered(now);
        let is_behind = unanswered > FEW;
        let Inner {
            arrivals,
            capacity,
            watch,
            budget,
            ..
        } = &mut *inner;
        if is_behind {
            capacity.filled(now);
        }
        capacity.review(is_behind, now);
        let sight = Sight {
            waiting: unanswered as usize,
            arrivals: arrivals.rate(now),
            rate: capacity.rate(),
        };
        if let Some(state) = watch.look(sight, now) {
            let served = capacity.drained(now);
            tracing::warn!(
                event = "front.storm", %state,
                unanswered = unanswered.round(),
                arrivals_per_second = sight.arrivals.round(),
                served_per_second = served.round(),
                capacity_per_second = sight.rate.round(),
                "registrations behind this host"
            );
        }
        budget.follow(watch.state(), sight.rate)
    }

    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut inner = self.inner.lock();
        let waiting = inner.unanswered(now) as u64;
        let Inner {
            totals,
            arrivals,
            capacity,
            watch,
            budget,
            phones,
            ..
        } = &mut *inner;
        Snapshot {
            totals: *totals,
            stages: phones.counts(),
            phones_limit: phones.most() as u64,
            forgotten: phones.forgotten(),
            missing: phones.missing(MISSING, now),
            storm: storm::Snapshot {
                state: watch.state(),
                lasted: now.saturating_duration_since(watch.since()),
                storms: watch.storms(),
                arrivals_per_second: arrivals.rate(now),
                served_per_second: capacity.drained(now),
                capacity_per_second: Some(capacity.rate()).filter(|it| it.is_finite()),
                waiting,
                kernel_budget: budget.per_second(),
                ..storm::Snapshot::default()
            },
        }
    }
}

impl Inner {
    fn follow(&mut self, live: &Live<storm::Settings>) {
        let settings = live.take();
        if !Arc::ptr_eq(&settings, &self.settings) {
            self.capacity.follow(&settings);
            self.watch.follow(&settings);
            self.budget.follow_percent(settings.kernel_percent);
            self.settings = settings;
        }
    }

    fn count(&mut self, before: Totals, now_totals: Totals, now: Instant) {
        // A kernel program that was loaded anew counts from zero.
        let more = |of: fn(&Totals) -> u64| {
            let more = of(&now_totals).saturating_sub(of(&before));
            u32::try_from(more).unwrap_or(u32::MAX)
        };
        let challenged = more(|it| it.challenged);
        self.arrivals
            .add(more(|it| it.asked).saturating_sub(challenged), now);
        let registered = more(|it| it.registered);
        self.answers
            .add(registered.saturating_add(more(|it| it.refused)), now);
        self.capacity.seen_served(registered, now);
    }

    /// Questions of the last seconds that were not answered.
    fn unanswered(&mut self, now: Instant) -> f64 {
        let open = self.arrivals.rate(now) - self.answers.rate(now);
        open.max(0.0) * UNANSWERED.as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
