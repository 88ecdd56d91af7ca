//! What all threads share of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::admission::Admission;
use super::budget::Budget;
use super::watch::{Sight, Watch};
use super::{Applicant, Decision, Settings, Snapshot, Tally, Told, Turn};
use crate::inventory::{DeviceName, Protocol};
use crate::live::Live;
use crate::misses::Rate;

/// Watches arrivals and departures of the queue, and decides.
#[derive(Debug)]
pub struct Storm {
    settings: Live<Settings>,
    /// Refreshes need no lock.
    refreshes: [AtomicU64; Protocol::ALL.len()],
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Those that it goes by.
    settings: Arc<Settings>,
    admission: Admission,
    watch: Watch,
    tallies: [Tally; Protocol::ALL.len()],
    budget: Budget,
}

impl Storm {
    pub fn new(settings: impl Into<Live<Settings>>) -> Self {
        Self::starting(settings, Instant::now())
    }

    pub(super) fn starting(settings: impl Into<Live<Settings>>, now: Instant) -> Self {
        let live = settings.into();
        let settings = live.take();
        Self {
            refreshes: Default::default(),
            inner: Mutex::new(Inner {
                admission: Admission::new(&settings, now),
                watch: Watch::new(&settings, now),
                tallies: Default::default(),
                budget: Budget::new(settings.kernel_percent),
                settings,
            }),
            settings: live,
        }
    }

    /// Never waits. The times it says are whole seconds, and not shorter than the protocol allows:
    /// phones are to be told just them.
    pub fn ask(&self, applicant: &Applicant<'_>, now: Instant) -> Decision {
        let protocol = applicant.protocol;
        let age = now.saturating_duration_since(applicant.arrived);
        let is_stale = age > self.settings.get().stale_after(protocol);
        if applicant.is_refresh && !is_stale {
            self.refreshes[protocol as usize].fetch_add(1, Ordering::Relaxed);
            return Decision::Admit;
        }
        let mut inner = self.inner.lock();
        let Inner {
            admission, tallies, ..
        } = &mut *inner;
        let tally = &mut tallies[protocol as usize];
        admission.capacity.aged(age);
        tally.aged(age);
        if is_stale {
            tally.count(Told::Stale);
            return Decision::Stale;
        }
        let verdict = admission.ask(applicant.device, protocol, now);
        tally.count(verdict.told);
        match verdict.wait_s {
            None => Decision::Admit,
            Some(seconds) => {
                tally.waits(seconds);
                Decision::Wait(Duration::from_secs(seconds))
            }
        }
    }

    /// Whether a message that is to be answered in any case waited too long for that: one that has
    /// to prove where it is from before it is asked what it wants.
    pub fn is_late(&self, applicant: &Applicant<'_>, now: Instant) -> bool {
        let protocol = applicant.protocol;
        let age = now.saturating_duration_since(applicant.arrived);
        let mut inner = self.inner.lock();
        let Inner {
            admission, tallies, ..
        } = &mut *inner;
        let tally = &mut tallies[protocol as usize];
        admission.capacity.aged(age);
        tally.aged(age);
        let is_late = age > self.settings.get().stale_after(protocol);
        if is_late {
            tally.count(Told::Stale);
        }
        is_late
    }

    /// As [`Self::ask`] for a name that nobody has: it hears what a phone would hear, and neither is
    /// let in at the cost of one nor gets a place. Made-up names cost nothing but the looking.
    pub fn glance(&self, applicant: &Applicant<'_>, now: Instant) -> Decision {
        let protocol = applicant.protocol;
        let age = now.saturating_duration_since(applicant.arrived);
        let mut inner = self.inner.lock();
        let Inner {
            admission, tallies, ..
        } = &mut *inner;
        let tally = &mut tallies[protocol as usize];
        if age > self.settings.get().stale_after(protocol) {
            tally.count(Told::Stale);
            return Decision::Stale;
        }
        tally.count(Told::Stranger);
        match admission.glance(protocol, now) {
            None => Decision::Admit,
            Some(seconds) => Decision::Wait(Duration::from_secs(seconds)),
        }
    }

    /// An applicant that was admitted is registered. By now it may look like a refresh.
    pub fn served(&self, applicant: &Applicant<'_>, now: Instant) {
        self.inner.lock().admission.served(applicant.device, now);
    }

    /// To be called several times a second. Says what the kernel program is to let in, if that has
    /// changed: none lets in all.
    pub fn tick(&self, now: Instant) -> Option<Option<Rate>> {
        let mut inner = self.inner.lock();
        inner.follow(&self.settings);
        let Inner {
            admission,
            watch,
            budget,
            ..
        } = &mut *inner;
        admission.tick(now);
        let rate = admission.capacity.rate();
        let sight = Sight {
            waiting: admission.places.len() + admission.unplaced.rate(now) as usize,
            arrivals: admission.arrivals.rate(now),
            rate,
        };
        if let Some(state) = watch.look(sight, now) {
            let Sight {
                waiting, arrivals, ..
            } = sight;
            let served = admission.capacity.drained(now);
            tracing::warn!(
                event = "storm.changed", %state,
                waiting,
                arrivals_per_second = arrivals.round(),
                served_per_second = served.round(),
                capacity_per_second = rate.round(),
                "registrations"
            );
        }
        budget.follow(watch.state(), rate)
    }

    /// When it is the turn of a phone that was told to come again. Looks at all that wait.
    pub fn turn(&self, device: &DeviceName, now: Instant) -> Option<Turn> {
        self.inner.lock().admission.turn(device, now)
    }

    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut inner = self.inner.lock();
        let Inner {
            admission,
            watch,
            tallies,
            budget,
            ..
        } = &mut *inner;
        let mut tallies = tallies.clone();
        for (tally, refreshes) in tallies.iter_mut().zip(&self.refreshes) {
            tally.told[Told::Refresh as usize] = refreshes.load(Ordering::Relaxed);
        }
        let rate = admission.capacity.rate();
        Snapshot {
            state: watch.state(),
            lasted: now.saturating_duration_since(watch.since()),
            storms: watch.storms(),
            arrivals_per_second: admission.arrivals.rate(now),
            served_per_second: admission.capacity.drained(now),
            capacity_per_second: Some(rate).filter(|it| it.is_finite()),
            waiting: admission.places.len() as u64,
            waiting_limit: admission.places.most() as u64,
            longest_wait: admission.longest_wait(now),
            in_progress: admission.admitted.in_progress() as u64,
            in_progress_limit: admission.capacity.in_progress_limit(now) as u64,
            missed: admission.missed,
            abandoned: admission.admitted.abandoned(),
            replanned: admission.replanned,
            kernel_budget: budget.per_second(),
            tallies,
        }
    }
}

impl Inner {
    /// What it has learnt and whom it has told something stays.
    fn follow(&mut self, live: &Live<Settings>) {
        let settings = live.take();
        if !Arc::ptr_eq(&settings, &self.settings) {
            self.admission.follow(&settings);
            self.watch.follow(&settings);
            self.budget.follow_percent(settings.kernel_percent);
            self.settings = settings;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(storm: &Storm, number: u32, now: Instant) -> Decision {
        let device = format!("SEP{number:012X}").parse().unwrap();
        let applicant = Applicant {
            device: &device,
            protocol: Protocol::Sip,
            is_refresh: false,
            arrived: now,
        };
        storm.ask(&applicant, now)
    }

    #[test]
    fn other_settings_hold_from_the_next_tick_on_and_nobody_loses_a_place() {
        let now = Instant::now();
        let settings = Live::new(Settings::default());
        let storm = Storm::starting(settings.clone(), now);
        assert_eq!(wait(&storm, 0, now), Decision::Admit);
        settings.set(Settings {
            max_registrations_per_second: 1,
            max_waiting: 2,
            min_wait_sip_s: 7,
            begin_waiting: 1,
            begin_after_ms: 0,
            kernel_percent: 10_000,
            ..Settings::default()
        });
        let told_first = storm.tick(now);
        let waits: Vec<_> = (1..=6).map(|it| wait(&storm, it, now)).collect();
        let told =
            |decision: &Decision| matches!(decision, Decision::Wait(wait) if wait.as_secs() >= 7);
        assert!(waits.iter().filter(|it| told(it)).count() >= 4, "{waits:?}");
        let snapshot = storm.snapshot(now);
        assert_eq!((snapshot.waiting, snapshot.waiting_limit), (2, 2));
        assert_eq!(snapshot.capacity_per_second, Some(1.0));
        let budget = storm.tick(now).or(told_first).flatten().unwrap();
        assert_eq!(budget.burst_ns / budget.interval_ns, 100);
        assert!(storm.snapshot(now).state.is_storm());

        settings.set(Settings::default());
        storm.tick(now);
        let snapshot = storm.snapshot(now);
        assert_eq!((snapshot.waiting, snapshot.waiting_limit), (2, 100_000));
        assert_eq!(snapshot.capacity_per_second, None);
        assert_eq!(wait(&storm, 100, now), Decision::Admit);
    }

    #[test]
    fn what_is_stale_is_asked_of_the_settings_at_once() {
        let now = Instant::now();
        let settings = Live::new(Settings::default());
        let storm = Storm::starting(settings.clone(), now);
        let later = now + Duration::from_secs(1);
        let device = "SEP000000000001".parse().unwrap();
        let applicant = Applicant {
            device: &device,
            protocol: Protocol::Sip,
            is_refresh: true,
            arrived: now,
        };
        assert_eq!(storm.ask(&applicant, later), Decision::Admit);
        settings.set(Settings {
            stale_sip_ms: 500,
            ..Settings::default()
        });
        assert_eq!(storm.ask(&applicant, later), Decision::Stale);
    }
    #[test]
    fn waits_places_and_the_end_of_a_storm_go_by_the_settings_of_the_moment() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let busy = Settings {
            max_registrations_per_second: 1,
            begin_waiting: 1,
            begin_after_ms: 0,
            ..Settings::default()
        };
        let settings = Live::new(busy.clone());
        let storm = Storm::starting(settings.clone(), now);
        storm.tick(now);
        let ask = |number: u32, arrived, now| {
            let device = format!("SEP{number:012X}").parse().unwrap();
            let applicant = Applicant {
                device: &device,
                protocol: Protocol::Sccp,
                is_refresh: false,
                arrived,
            };
            storm.ask(&applicant, now)
        };
        let before = storm.snapshot(now).in_progress_limit;
        settings.set(Settings {
            max_in_progress: 3,
            min_wait_sccp_s: 50,
            max_wait_s: 60,
            grace_s: 5,
            stale_sccp_ms: 400,
            ..busy.clone()
        });
        storm.tick(now);
        let limit = storm.snapshot(now).in_progress_limit;
        assert!(limit == 3 && before > 3, "{limit}, {before} before");
        assert_eq!(ask(0, now, now + second), Decision::Stale);
        assert_eq!(ask(0, now, now), Decision::Admit);
        let waits = (1..=100).map(|number| match ask(number, now, now) {
            Decision::Wait(wait) => wait.as_secs(),
            other => panic!("{number}: {other:?}"),
        });
        let waits: Vec<_> = waits.collect();
        assert!(waits.iter().all(|it| (50..=60).contains(it)), "{waits:?}");
        storm.tick(now);
        assert!(storm.snapshot(now).state.is_storm());

        // Nobody comes back: their places are given up, and the storm is over.
        let gone = now + 200 * second;
        storm.tick(gone);
        assert_eq!(storm.snapshot(gone).waiting, 0);
        storm.tick(gone + 5 * second);
        settings.set(Settings {
            calm_after_s: 100,
            ..busy.clone()
        });
        for later in 6..60 {
            storm.tick(gone + later * second);
        }
        assert!(storm.snapshot(gone + 60 * second).state.is_storm());
        settings.set(Settings {
            calm_after_s: 1,
            ..busy
        });
        storm.tick(gone + 60 * second);
        assert!(!storm.snapshot(gone + 60 * second).state.is_storm());
    }

    #[test]
    fn how_late_a_phone_may_be_is_asked_of_the_settings() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let patient = Settings {
            max_registrations_per_second: 1,
            grace_s: 1_000,
            ..Settings::default()
        };
        let settings = Live::new(patient.clone());
        let storm = Storm::starting(settings.clone(), now);
        storm.tick(now);
        for number in 0..3 {
            wait(&storm, number, now);
        }
        let later = now + 60 * second;
        storm.tick(later);
        assert!(storm.snapshot(later).waiting > 0);
        settings.set(Settings {
            grace_s: 5,
            ..patient
        });
        storm.tick(later + 2 * second);
        assert_eq!(storm.snapshot(later).waiting, 0);
    }
}
