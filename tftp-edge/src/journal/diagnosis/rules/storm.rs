//! Phones that wait for their turn.
//!
//! In a storm a phone is told when to come again. One that waits is not stuck; one whose time is
//! over and that has not come is.

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood};
use crate::journal::Fact;
use crate::register::{Refusal, front};

/// After its time, a phone may take so long to come.
const LATE_MS: u64 = 15_000;

pub fn storm_wait(case: &Case<'_>) -> Option<Found> {
    let present = case.present();
    let last = present.iter().rev().find(|step| step.fact().is_some())?;
    let wait_s = match last.fact()? {
        Fact::Refused {
            refusal: Refusal::Storm,
            wait_s,
            ..
        } => wait_s.unwrap_or_default(),
        Fact::Seen(front::Stage::Waits | front::Stage::HeldBack) => 0,
        _ => return None,
    };
    let due_ms = last.last_ms() + u64::from(wait_s) * 1000;
    let since_ms = last.first_ms();
    let told = format!("it was told to come again in {wait_s} s");
    if case.now_ms > due_ms + LATE_MS.max(case.fault_patience_ms) {
        let over_s = (case.now_ms - due_ms) / 1000;
        let text = format!("{told}, and has not come for {over_s} s since");
        let advice = "it may have gone to another server of its configuration or lost its link; \
                      restarting it brings it back"
            .to_owned();
        return Some(case.found(Likelihood::Likely, Cause::StormWait, since_ms, text, advice));
    }
    let place = match case.turn {
        Some(turn) => format!(
            "; {} phones are before it, and its turn is in {} s",
            turn.before,
            turn.due_in.as_secs()
        ),
        None => String::new(),
    };
    let text = format!("many phones register now and {told}{place}");
    let advice = "nothing: it is not stuck, and comes by itself; restarting it only makes it wait \
                  again"
        .to_owned();
    Some(case.found(
        Likelihood::Certain,
        Cause::StormWait,
        since_ms,
        text,
        advice,
    ))
}

/// Whether it is all right that it waits.
pub fn waits(case: &Case<'_>) -> bool {
    let found = storm_wait(case);
    found.is_some_and(|found| found.likelihood == Likelihood::Certain)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::scene::Scene;
    use super::*;
    use crate::register::storm::Turn;

    #[test]
    fn a_phone_in_a_storm_waits_and_is_told_its_place() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.fetches_config().registering();
        scene.refused(Refusal::Storm, Some(90), "").after(60_000);
        scene.turn = Some(Turn {
            before: 312,
            due_in: Duration::from_secs(30),
        });
        let finding = scene.first(Cause::StormWait);
        assert!(
            finding.text.contains("312 phones are before it"),
            "{finding:?}"
        );
        assert!(finding.advice.starts_with("nothing"), "{finding:?}");
        assert_eq!(scene.causes(), [Cause::StormWait]);
        scene.after(120_000);
        let finding = scene.first(Cause::StormWait);
        assert!(
            finding.text.contains("has not come for 90 s"),
            "{finding:?}"
        );
    }
}
