//! Phones that stopped, with nothing that says why.

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood};
use super::storm;
use crate::journal::{Stage, What};
use crate::register::Mode;

pub fn unexplained(case: &Case<'_>) -> Option<Found> {
    let phone = case.phone?;
    let boot = phone.boot()?;
    if case.has_registration || !case.is_late() || storm::waits(case) {
        return None;
    }
    // Where nobody is registered, one that has its configuration is where it is to be.
    let has_config = boot.entries.iter().any(|entry| match &entry.what {
        What::File(file) => {
            Stage::of_file(file.stage()) == Some(Stage::Config) && file.outcome.has_arrived()
        }
        What::Fact(_) => false,
    });
    if case.mode == Mode::Off && has_config {
        return None;
    }
    let text = match boot.entries.last().map(|entry| &entry.what) {
        Some(What::File(file)) => format!(
            "nothing was heard of it since it asked for {} ({})",
            file.name,
            file.outcome.as_str().replace('_', " ")
        ),
        Some(What::Fact(fact)) => format!(
            "nothing was heard of it since: {}",
            crate::journal::view::fact_text(fact)
        ),
        None => "nothing was heard of it since it began to boot".to_owned(),
    };
    let advice = format!(
        "`tftp-edge phones show {0}` has all that it did, `tftp-edge trace {0}` what it does; Settings \
         > Status > Status messages on the phone may say more",
        case.name
    );
    let since_ms = case.since_ms();
    Some(case.found(
        Likelihood::Possible,
        Cause::Unexplained,
        since_ms,
        text,
        advice,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;
    use crate::journal::{Gap, Outcome};

    #[test]
    fn a_phone_that_stops_for_no_reason_is_told_with_the_last_that_was_heard() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene
            .gets("ctlsep000000000001.tlv", Outcome::Absent)
            .after(29_000)
            .is_well();
        scene.after(1_000);
        let finding = scene.first(Cause::Unexplained);
        assert!(
            finding.text.contains("ctlsep000000000001.tlv (absent)"),
            "{finding:?}"
        );
        assert_eq!(scene.causes(), [Cause::Unexplained]);
    }

    #[test]
    fn what_has_another_cause_is_not_unexplained() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.fetches_config().after(30_000);
        assert_eq!(scene.causes(), [Cause::NoRegistration]);
    }

    #[test]
    fn what_is_found_while_events_were_lost_is_uncertain() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.gets("ctlsep000000000001.tlv", Outcome::Absent);
        let gap = |from_ms, until_ms| Gap {
            from_ms,
            until_ms,
            events: 17,
        };
        scene.gaps = vec![gap(scene.at_ms - 2_000, scene.at_ms - 1_000)];
        scene.after(40_000);
        assert!(
            !scene.first(Cause::Unexplained).is_uncertain,
            "before it began"
        );
        scene
            .gaps
            .push(gap(scene.at_ms - 2_000, scene.at_ms - 1_000));
        assert!(scene.first(Cause::Unexplained).is_uncertain);
    }
}
