//! How much a second, from two answers.

use std::time::{Duration, Instant};

use crate::ops::status::{Served, Status};

/// What one path did in a second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PathRate {
    pub(super) path: String,
    pub(super) requests: f64,
    pub(super) complete: f64,
    pub(super) failed: f64,
    pub(super) resent: f64,
    pub(super) bytes: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) paths: Vec<PathRate>,
    /// By how much the registered phones of SIP and SCCP grew in a second.
    pub(super) registered: Option<[f64; 2]>,
}

impl Rates {
    /// Nothing if the daemon has been started anew in between, or no time has passed.
    pub(super) fn between(before: (Instant, &Status), after: (Instant, &Status)) -> Option<Self> {
        let passed = after.0.saturating_duration_since(before.0);
        let (before, after) = (before.1, after.1);
        if passed < Duration::from_millis(1) || before.pid != after.pid {
            return None;
        }
        let seconds = passed.as_secs_f64();
        let pairs = before.rungs.iter().zip(&after.rungs);
        Some(Self {
            paths: pairs
                .map(|(before, after)| PathRate::between(before, after, seconds))
                .collect(),
            registered: registered(before)
                .zip(registered(after))
                .map(|(before, after)| [0, 1].map(|at| (after[at] - before[at]) / seconds)),
        })
    }
}

impl PathRate {
    fn between(before: &Served, after: &Served, seconds: f64) -> Self {
        let of =
            |count: fn(&Served) -> u64| count(after).saturating_sub(count(before)) as f64 / seconds;
        Self {
            path: after.path.clone(),
            requests: of(|it| it.requests),
            complete: of(|it| it.complete),
            failed: of(|it| it.failed),
            resent: of(|it| it.resent),
            bytes: of(|it| it.bytes),
        }
    }
}

/// SIP and SCCP; none where phones register elsewhere.
fn registered(status: &Status) -> Option<[f64; 2]> {
    let table = status.register.as_ref()?.table?;
    Some([table.sip as f64, table.sccp as f64])
}
