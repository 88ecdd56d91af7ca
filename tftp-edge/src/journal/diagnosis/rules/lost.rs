//! Phones that were registered, and are gone.

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood};
use crate::journal::Fact;
use crate::register::Departure;

pub fn lost(case: &Case<'_>) -> Option<Found> {
    let present = case.present();
    // Nothing since: what it did after it had left is another story.
    let last = present.last()?;
    let Fact::Left(why) = last.fact()? else {
        return None;
    };
    let since_ms = last.first_ms();
    if !case.has_lasted(since_ms) {
        return None;
    }
    let address = case.client();
    let (cause, text, advice) = match why {
        Departure::KeepaliveTimeout | Departure::Connectivity | Departure::NoResponse => (
            Cause::KeepaliveLost,
            match why {
                Departure::KeepaliveTimeout => "its keepalives or refreshes stopped".to_owned(),
                Departure::NoResponse => "it did not answer what it was told".to_owned(),
                _ => "its connection was closed or lost".to_owned(),
            },
            format!(
                "it has no power or no link, or something between drops what it sends: `ping \
                 {address}`, and look at its switch port; if it answers, restart it"
            ),
        ),
        why => (
            Cause::NotBack,
            format!("it left: {}", why.as_str().replace('_', " ")),
            format!(
                "a restart takes a few minutes, with new firmware more; then `ping {address}`, and \
                 look at its switch port. If it registers elsewhere, its configuration names other \
                 servers"
            ),
        ),
    };
    let text = format!("{text}, and nothing was heard of it since");
    Some(case.found(Likelihood::Certain, cause, since_ms, text, advice))
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;

    fn left(why: Departure) -> Scene {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene
            .fetches_config()
            .registering()
            .registered()
            .after(3_600_000);
        scene
            .is_well()
            .fact(Fact::Left(why))
            .is_well()
            .after(40_000);
        scene
    }

    #[test]
    fn a_phone_whose_keepalives_stopped_and_that_is_not_back_is_lost() {
        let scene = left(Departure::KeepaliveTimeout);
        let finding = scene.first(Cause::KeepaliveLost);
        assert!(finding.advice.contains("ping 10.0.0.9"), "{finding:?}");
        assert_eq!(finding.since_ms, scene.at_ms - 40_000);
        left(Departure::Connectivity).first(Cause::KeepaliveLost);
    }

    #[test]
    fn one_that_left_by_itself_is_not_back() {
        let mut scene = left(Departure::Restart);
        scene.first(Cause::NotBack);
        let config = scene.config();
        scene
            .gets(&config, crate::journal::Outcome::Complete)
            .is_well();
    }
}
