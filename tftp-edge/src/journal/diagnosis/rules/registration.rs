//! Phones that have all their files and are not registered here.

use std::net::IpAddr;

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood, times};
use crate::journal::{Fact, Stage};
use crate::register::{Mode, front};

/// Servers as its configuration names them, and whether one of them is this host.
fn servers(case: &Case<'_>) -> Option<(Vec<String>, Option<bool>)> {
    let settings = case.inventory?.settings(case.device?).ok()?;
    let hosts: Vec<_> = settings
        .phone
        .servers
        .iter()
        .map(|it| it.host.clone())
        .collect();
    let addresses = hosts.iter().map(|host| host.parse::<IpAddr>().ok());
    // A name may be anybody's.
    let ours = addresses.map(|it| it.map(case.is_ours)).collect::<Vec<_>>();
    let is_ours = match ours.contains(&Some(true)) {
        true => Some(true),
        false if ours.contains(&None) => None,
        false => Some(false),
    };
    Some((hosts, is_ours))
}

pub fn no_registration(case: &Case<'_>) -> Option<Found> {
    if case.mode == Mode::Off || case.has_registration || !case.is_late() {
        return None;
    }
    let present = case.present();
    let config = present.iter().rev().find(|step| {
        let file = step.file();
        file.is_some_and(|it| it.outcome.has_arrived() && step.stage() == Some(Stage::Config))
    });
    let said = present.iter().rev().find_map(|step| match step.fact()? {
        Fact::Registering { .. } => Some((step, Asked::Here)),
        Fact::Seen(front::Stage::Asks) => Some((step, Asked::Behind("no answer was seen"))),
        Fact::Seen(front::Stage::Refused) => Some((step, Asked::Behind("was refused there"))),
        Fact::Refused { .. } | Fact::Left(_) => Some((step, Asked::Told)),
        _ => None,
    });
    match (said, config) {
        (Some((_, Asked::Told)), _) | (None, None) => None,
        (Some((step, Asked::Here)), _) => {
            let text = format!(
                "it asked {} to be registered and did not go on after the answer",
                times(step.entry.times)
            );
            let advice = format!(
                "the answers do not reach it, or it was asked for a password and has none: `tftp-edge \
                 phones edit {0} secret=-` sets one, and `tftp-edge trace {0}` shows both sides",
                case.name
            );
            let since_ms = step.first_ms();
            Some(case.found(
                Likelihood::Likely,
                Cause::NoRegistration,
                since_ms,
                text,
                advice,
            ))
        }
        (Some((step, Asked::Behind(what))), _) => {
            let text = format!("it asked a server behind this host to be registered, and {what}");
            let advice = "look at it in that server; it may not know the phone".to_owned();
            let since_ms = step.first_ms();
            Some(case.found(
                Likelihood::Likely,
                Cause::NoRegistration,
                since_ms,
                text,
                advice,
            ))
        }
        (None, Some(config)) => Some(never_asked(case, config.last_ms())),
    }
}

enum Asked {
    Here,
    Behind(&'static str),
    /// It was told something: that is another rule's.
    Told,
}

fn never_asked(case: &Case<'_>, since_ms: u64) -> Found {
    let seen = "it has its configuration, and no message of a registration came";
    let (text, mut advice) = match servers(case) {
        Some((hosts, _)) if hosts.is_empty() => (
            format!("{seen}: its configuration names no server"),
            format!(
                "`tftp-edge inventory site set {} servers=ADDRESS`",
                case.site
            ),
        ),
        Some((hosts, Some(false))) if case.mode == Mode::Registrar => (
            format!(
                "{seen}: its configuration sends it to {}, none of them this host",
                hosts.join(", ")
            ),
            format!(
                "if it is to register here: `tftp-edge inventory site set {} servers=ADDRESS`; else it \
                 is registered there, and not seen from here",
                case.site
            ),
        ),
        Some((hosts, _)) => (
            format!("{seen}; its configuration sends it to {}", hosts.join(", ")),
            "let TCP and UDP pass from the phone to ports 2000, 5060 and 5061 of these".to_owned(),
        ),
        None => (
            format!("{seen}; what servers it names is not known"),
            "let TCP and UDP pass from the phone to ports 2000, 5060 and 5061".to_owned(),
        ),
    };
    if case.stage() == Stage::Firmware {
        advice =
            format!("it may still be writing its firmware: leave it its power. Then: {advice}");
    }
    case.found(
        Likelihood::Possible,
        Cause::NoRegistration,
        since_ms,
        text,
        advice,
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;
    use crate::journal::Outcome;

    #[test]
    fn a_phone_that_has_its_files_and_never_asks_is_sent_somewhere() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene
            .fetches_config()
            .gets("appdialrules.xml", Outcome::Absent);
        scene.after(29_000).is_well().after(1_000);
        let finding = scene.first(Cause::NoRegistration);
        assert!(finding.text.contains("10.0.0.1, 10.0.0.2"), "{finding:?}");
        assert!(finding.advice.contains("5060"), "{finding:?}");
        // Where nobody is registered, nobody is missed.
        scene.mode = Mode::Off;
        scene.is_well();
    }

    #[test]
    fn one_that_goes_no_further_than_asking_hears_no_answer() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.fetches_config().registering().after(40_000);
        let finding = scene.first(Cause::NoRegistration);
        assert!(finding.text.contains("asked once"), "{finding:?}");
    }

    #[test]
    fn a_server_behind_this_host_may_refuse_it() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.mode = Mode::Front;
        scene
            .fetches_config()
            .fact(Fact::Seen(front::Stage::Refused))
            .after(40_000);
        let finding = scene.first(Cause::NoRegistration);
        assert!(finding.text.contains("refused there"), "{finding:?}");
    }
}
