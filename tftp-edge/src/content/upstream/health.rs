//! Which servers answer, and what came of asking them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::outcome::Failure;
use super::settings::Server;
use crate::alarms::{AlarmKind, Alarms};

/// How long a server that failed is left alone: at first, and at most.
const FIRST_BACK_OFF: Duration = Duration::from_secs(2);
const LAST_BACK_OFF: Duration = Duration::from_secs(60);

/// One server, asked from many tasks.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) server: Server,
    state: Mutex<State>,
    found: AtomicU64,
    failed: [AtomicU64; Failure::ALL.len()],
    skipped: AtomicU64,
    alarms: Arc<Alarms>,
}

#[derive(Debug, Default)]
struct State {
    /// One after the other.
    failures: u32,
    last: Option<Failure>,
    skip_until: Option<Instant>,
}

/// What is told of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSnapshot {
    /// As in `[upstream] servers`, with the port.
    pub server: String,
    pub is_up: bool,
    /// Why it is not.
    pub problem: Option<String>,
    /// How often it was asked, by outcome; `skipped` is how often it was not.
    pub fetches: BTreeMap<String, u64>,
}

impl Health {
    pub(super) fn new(server: Server, alarms: Arc<Alarms>) -> Self {
        Self {
            server,
            state: Mutex::default(),
            found: AtomicU64::new(0),
            failed: Default::default(),
            skipped: AtomicU64::new(0),
            alarms,
        }
    }

    /// Whether it may be asked now.
    pub(super) fn is_up(&self, now: Instant) -> bool {
        self.state
            .lock()
            .skip_until
            .is_none_or(|until| until <= now)
    }

    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn found(&self) {
        self.found.fetch_add(1, Ordering::Relaxed);
        self.answered();
    }

    pub(super) fn failed(&self, failure: Failure, now: Instant) {
        self.failed[failure as usize].fetch_add(1, Ordering::Relaxed);
        if !failure.is_of_server() {
            return self.answered();
        }
        {
            let mut state = self.state.lock();
            state.last = Some(failure);
            // Those that were under way when it failed say nothing new.
            if state.skip_until.is_some_and(|until| until > now) {
                return;
            }
            let back_off = FIRST_BACK_OFF * 2_u32.saturating_pow(state.failures.min(10));
            state.failures += 1;
            state.skip_until = Some(now + back_off.min(LAST_BACK_OFF));
        }
        let problem = format!(
            "it {}; what it has is served as long as it is in memory, then met with silence",
            failure.problem()
        );
        let subject = self.server.to_string();
        self.alarms.raise(AlarmKind::Upstream, &subject, problem);
    }

    fn answered(&self) {
        let was_down = std::mem::take(&mut *self.state.lock()).failures > 0;
        if was_down {
            let subject = self.server.to_string();
            self.alarms.clear(AlarmKind::Upstream, &subject);
        }
    }

    pub(super) fn snapshot(&self, now: Instant) -> ServerSnapshot {
        let count = |name: &str, cell: &AtomicU64| (name.to_owned(), cell.load(Ordering::Relaxed));
        let failed = |it: Failure| count(it.as_str(), &self.failed[it as usize]);
        let others = [count("found", &self.found), count("skipped", &self.skipped)];
        let state = self.state.lock();
        let next = |until: Instant| until.saturating_duration_since(now).as_secs() + 1;
        let problem = state.last.map(|failure| match state.skip_until {
            Some(until) if until > now => {
                format!("{}; asked again in {} s", failure.problem(), next(until))
            }
            _ => format!("{}; asked again with the next name", failure.problem()),
        });
        ServerSnapshot {
            server: self.server.to_string(),
            is_up: state.failures == 0,
            problem,
            fetches: Failure::ALL.map(failed).into_iter().chain(others).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> (Health, Arc<Alarms>) {
        let alarms = Arc::new(Alarms::default());
        let server = "tftp://10.0.0.1".parse().unwrap();
        (Health::new(server, alarms.clone()), alarms)
    }

    #[test]
    fn a_server_that_fails_is_left_alone_longer_and_longer_up_to_a_minute() {
        let (health, alarms) = health();
        let mut now = Instant::now();
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            assert!(health.is_up(now));
            health.failed(Failure::Timeout, now);
            // Another fetch that was under way.
            health.failed(Failure::Timeout, now);
            let almost = Duration::from_secs(seconds) - Duration::from_millis(1);
            assert!(!health.is_up(now + almost), "{seconds}");
            now += Duration::from_secs(seconds);
        }
        assert_eq!(alarms.count(AlarmKind::Upstream), 1);
        health.found();
        assert!(health.is_up(now) && alarms.list().is_empty());
        health.failed(Failure::Unreachable, now);
        assert!(health.is_up(now + FIRST_BACK_OFF), "it begins anew");
    }

    #[test]
    fn an_answer_is_a_sign_of_life_whatever_it_says() {
        let (health, alarms) = health();
        let now = Instant::now();
        health.failed(Failure::Unavailable, now);
        for failure in [Failure::NotFound, Failure::Broken, Failure::TooLarge] {
            health.failed(failure, now);
            assert!(health.is_up(now), "{failure:?}");
        }
        assert!(alarms.list().is_empty());
    }
}
