//! A phone that nothing was ever heard of.
//!
//! Phones learn from DHCP where their files are: option 150, a list of addresses, or 66, one name.
//! A phone that was told neither, or another server, never asks here.

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood};
use crate::journal::Stage;

pub fn no_dhcp_option(case: &Case<'_>) -> Option<Found> {
    let device = case.device?;
    if case.phone.is_some_and(|phone| !phone.boots.is_empty()) {
        return None;
    }
    // A site that is dark as a whole has no power; of one that is just booting nobody is late.
    let heard = case.neighbours_heard?;
    let waited_ms = case.now_ms.saturating_sub(heard.since_ms);
    if case.stage() != Stage::Dhcp || waited_ms < case.silence_ms {
        return None;
    }
    let others = match heard.phones {
        1 => "another phone".to_owned(),
        phones => format!("{phones} other phones"),
    };
    let site = case.site;
    let known = format!("nothing was ever heard of it, and of {others} of site {site} there was");
    let (likelihood, text) = match case.neighbour {
        Some(address) => (
            Likelihood::Certain,
            format!(
                "{known}; it is on the network all the same: this host knows its Ethernet address, \
                 at {address}"
            ),
        ),
        None => (Likelihood::Likely, known),
    };
    let first = match case.neighbour {
        Some(_) => "",
        None => "see that it has power and a link, and is in the voice VLAN; ",
    };
    let advice = format!(
        "{first}have DHCP tell it option 150 with the address of this host: `tftp-edge dhcp` prints \
         the settings; on the phone, Settings > Network > TFTP server 1 shows what it was told, and \
         an alternate TFTP server goes before it. If there is no such phone: `tftp-edge phones \
         remove {}`",
        device.name
    );
    Some(case.found(
        likelihood,
        Cause::NoDhcpOption,
        heard.since_ms,
        text,
        advice,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::case::Heard;
    use super::super::super::scene::{STARTED_MS, Scene};
    use super::*;

    #[test]
    fn a_phone_that_never_asks_while_others_of_its_site_do_was_not_told_where_we_are() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.after(3_600_000).is_well();
        scene.heard = Some(Heard {
            phones: 41,
            since_ms: scene.at_ms,
        });
        scene.after(299_000).is_well();
        scene.after(1_000);
        let finding = scene.first(Cause::NoDhcpOption);
        assert!(finding.text.contains("41 other phones"), "{finding:?}");
        assert!(finding.advice.contains("has power"), "{finding:?}");
        assert_eq!(finding.since_ms, STARTED_MS + 3_600_000);
        scene.neighbour = Some([10, 0, 0, 77].into());
        let finding = scene.first(Cause::NoDhcpOption);
        assert!(finding.text.contains("10.0.0.77"), "{finding:?}");
        assert!(!finding.advice.contains("has power"), "{finding:?}");
    }

    #[test]
    fn a_phone_that_nobody_expects_is_not_missed() {
        let mut scene = Scene::of_stranger("SEP0000000000FF");
        scene.heard = Some(Heard {
            phones: 41,
            since_ms: STARTED_MS,
        });
        scene.after(3_600_000).is_well();
    }
}
