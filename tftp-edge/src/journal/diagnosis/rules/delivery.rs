//! Files that do not reach the phone: nothing of them, or not all.

use std::collections::BTreeMap;

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood, listed, times};
use crate::journal::{File, Outcome};

/// Requests in vain after which it is no accident: a phone asks twice within a second.
const IN_VAIN: u32 = 3;

/// Transfers that have to stop in the middle.
const STOPPED: u32 = 2;

/// It asks again and again and nothing that it is sent is acknowledged.
pub fn no_reply(case: &Case<'_>) -> Option<Found> {
    let steps = case.present();
    let mut asked = 0;
    let mut names = Vec::new();
    let mut since_ms = case.now_ms;
    let mut last: Option<&File> = None;
    for step in steps.iter().rev() {
        let Some(file) = step.file() else { break };
        let is_in_vain = match file.outcome {
            Outcome::Unheard | Outcome::Unreachable => true,
            // Nothing is known of its end; that it asked again says enough.
            Outcome::Pending => step.entry.times > 1,
            _ => false,
        };
        if !is_in_vain {
            break;
        }
        asked += step.entry.times;
        since_ms = step.first_ms();
        last.get_or_insert(file);
        let name = file.name.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let file = last.filter(|_| asked >= IN_VAIN && case.has_lasted(since_ms))?;
    names.reverse();
    let address = case.client();
    let answered = match file.outcome {
        Outcome::Unreachable => format!("the network says that {address} cannot be reached"),
        _ => "it acknowledged nothing that it was sent".to_owned(),
    };
    let text = format!(
        "it asked {} for {}, and {answered} (answered by {})",
        times(asked),
        listed(&names),
        file.path().as_str(),
    );
    let advice = format!(
        "its packets come and ours do not arrive: let UDP pass from the ports of tftp.port_range and \
         kernel.tid_ports of this host to {address}, or set tftp.single_port = true for a firewall \
         or NAT that knows no TFTP; check the route back (`ip route get {address}`) and the phone's \
         netmask and default router; `tftp-edge trace {}` shows every packet",
        case.name
    );
    Some(case.found(Likelihood::Certain, Cause::NoReply, since_ms, text, advice))
}

#[derive(Default)]
struct Stops {
    stopped: u32,
    resends: u32,
    since_ms: u64,
    len_bytes: u32,
    is_aborted: bool,
    is_over: bool,
}

/// A transfer stops in the middle again and again.
pub fn transfer_stops(case: &Case<'_>) -> Option<Found> {
    let mut files: BTreeMap<&str, Stops> = BTreeMap::new();
    for step in case.trouble() {
        let Some(file) = step.file() else { continue };
        let stops = files.entry(&*file.name).or_default();
        match file.outcome {
            Outcome::TimedOut | Outcome::Aborted => {
                if stops.stopped == 0 {
                    stops.since_ms = step.first_ms();
                }
                stops.stopped += step.entry.times;
                stops.resends = stops.resends.saturating_add(file.resends);
                stops.len_bytes = file.len_bytes;
                stops.is_aborted = file.outcome == Outcome::Aborted;
                stops.is_over = false;
            }
            Outcome::Complete | Outcome::Unconfirmed => stops.is_over = true,
            _ => {}
        }
    }
    let stopping = files.iter().filter(|(_, stops)| !stops.is_over);
    let (name, stops) = stopping.max_by_key(|(_, stops)| stops.stopped)?;
    if stops.stopped < STOPPED || !case.has_lasted(stops.since_ms) {
        return None;
    }
    let (length, stopped) = (stops.len_bytes, times(stops.stopped));
    let (text, advice) = match stops.is_aborted {
        true => (
            format!("it ended the transfer of {name} ({length} bytes) in the middle, {stopped}"),
            "phones do so when a file is too long or their memory is full; Settings > Status > \
             Status messages on the phone says why, and a reset of the phone makes room"
                .to_owned(),
        ),
        false => (
            format!(
                "the transfer of {name} ({length} bytes) stopped in the middle {stopped}; {} blocks \
                 were sent again",
                stops.resends
            ),
            format!(
                "packets are lost or too long on their way: `tracepath {}` tells the MTU, \
                 tftp.max_blksize = 1428 or less makes blocks fit, and the counters of the switch \
                 port show errors and drops",
                case.client()
            ),
        ),
    };
    let found = case.found(
        Likelihood::Likely,
        Cause::TransferStops,
        stops.since_ms,
        text,
        advice,
    );
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;

    const CONFIG: &str = "sep000000000001.cnf.xml";

    #[test]
    fn a_phone_that_asks_again_and_acknowledges_nothing_hears_nothing() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        for _ in 0..2 {
            scene
                .gets("ctlsep000000000001.tlv", Outcome::Unheard)
                .after(8_000);
            scene.gets(CONFIG, Outcome::Unheard).after(8_000);
        }
        let finding = scene.first(Cause::NoReply);
        assert!(
            finding.text.starts_with("it asked 4 times for ctlsep"),
            "{finding:?}"
        );
        assert!(
            finding.advice.contains("ip route get 10.0.0.9"),
            "{finding:?}"
        );
        // One acknowledgement, and it is another story.
        scene.gets(CONFIG, Outcome::Complete).after(100);
        assert_eq!(scene.causes(), []);
    }

    #[test]
    fn a_request_that_was_repeated_once_is_no_fault() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.asks(CONFIG).after(500).asks(CONFIG).after(60_000);
        assert!(!scene.causes().contains(&Cause::NoReply));
        scene.asks(CONFIG);
        assert_eq!(
            scene.first(Cause::NoReply).since_ms,
            scene.phone.boots[0].began_ms
        );
    }

    #[test]
    fn a_file_that_stops_in_the_middle_twice_points_at_the_way() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.len_bytes = 700_000;
        scene
            .fetches_config()
            .gets("sip88xx.loads", Outcome::Complete);
        scene
            .gets("rootfs88xx.sbn", Outcome::TimedOut)
            .after(60_000)
            .is_well();
        scene
            .gets("rootfs88xx.sbn", Outcome::TimedOut)
            .after(60_000);
        let finding = scene.first(Cause::TransferStops);
        assert!(finding.text.contains("700000 bytes"), "{finding:?}");
        assert!(finding.text.contains("twice; 10 blocks"), "{finding:?}");
        scene.gets("rootfs88xx.sbn", Outcome::Complete);
        assert!(!scene.causes().contains(&Cause::TransferStops));
    }
}
