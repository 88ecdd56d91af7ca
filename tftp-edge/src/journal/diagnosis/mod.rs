//! Why a phone does not get on.
//!
//! ```text
//! journal ──┐
//! inventory ┼─▶ Case ── rules ──▶ findings, the most likely first
//! catalog  ─┘
//! ```
//!
//! A rule is a function over a [`Case`]: what one phone did, what the inventory says of it and what
//! it would be given. It sees no clock, no socket and no lock, and says what was seen and what to
//! do. What phones do at a fault is in `rules`, beside the rule that goes by it.
//!
//! [`Reviewer`] goes over all phones every few seconds and puts those that are stuck on the board; a
//! single phone is looked at when somebody asks. Of phones whose events were lost in part, a finding
//! says that it is uncertain.

mod case;
mod cause;
mod examiner;
mod neighbours;
mod pace;
mod reviewer;
mod rules;
#[cfg(test)]
mod scene;
mod served;

pub use case::{Case, Found, Heard, Likelihood};
pub use cause::Cause;
pub use examiner::{Examined, Examiner, Patient, Surroundings};
pub use neighbours::Neighbours;
pub use pace::{Floors, Pace};
pub use reviewer::Reviewer;
pub use served::{FromCatalog, Held, Served};

use super::Finding;

/// What is the matter with a phone, the most likely first; nothing with one that is registered.
pub fn diagnose(case: &Case<'_>) -> Vec<Finding> {
    if case.is_registered {
        return Vec::new();
    }
    let mut found: Vec<_> = rules::ALL.iter().filter_map(|rule| rule(case)).collect();
    // Stable: of two that are as likely, the rule that stands first goes first.
    found.sort_by_key(|found| found.likelihood);
    let mut findings: Vec<Finding> = Vec::new();
    for found in found {
        if findings.iter().all(|it| it.cause != found.finding.cause) {
            findings.push(found.finding);
        }
    }
    // What is explained is not unexplained.
    if findings.len() > 1 {
        findings.retain(|it| it.cause != Cause::Unexplained);
    }
    findings
}
