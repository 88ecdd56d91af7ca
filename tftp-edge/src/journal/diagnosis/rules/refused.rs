//! Phones that ask to be registered and are told no.

use tftp_ebpf::stage::Stage as FileStage;

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood, Step, times};
use crate::journal::{Fact, File, Outcome};
use crate::register::Refusal;

/// The last thing it was told, if that was no.
fn last_refusal<'a>(steps: &[Step<'a>]) -> Option<(Step<'a>, Refusal, Option<&'a str>)> {
    let last = steps.iter().rev().find(|step| {
        let fact = step.fact();
        fact.is_some_and(|it| matches!(it, Fact::Refused { .. } | Fact::Left(_)))
    })?;
    match last.fact()? {
        Fact::Refused {
            refusal, detail, ..
        } => Some((*last, *refusal, detail.as_deref())),
        _ => None,
    }
}

pub fn refused(case: &Case<'_>) -> Option<Found> {
    let present = case.present();
    let (last, refusal, detail) = last_refusal(&present)?;
    if refusal == Refusal::Storm {
        return None;
    }
    let is_same = |step: &&Step<'_>| matches!(step.fact(), Some(Fact::Refused { refusal: it, .. }) if *it == refusal);
    let same: Vec<_> = present.iter().filter(is_same).collect();
    let count: u32 = same.iter().map(|step| step.entry.times).sum();
    let since_ms = same.first().map_or(last.first_ms(), |step| step.first_ms());
    if !case.has_lasted(since_ms) {
        return None;
    }
    let detail = detail
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default();
    let text = format!(
        "it was refused {}: {}{detail}",
        times(count),
        words(refusal, case)
    );
    let cause = Cause::of_refusal(refusal);
    Some(case.found(
        Likelihood::Certain,
        cause,
        since_ms,
        text,
        advice(refusal, case),
    ))
}

fn words(refusal: Refusal, case: &Case<'_>) -> String {
    let model = case.device.map_or("another", |device| &device.model);
    let protocol = case
        .device
        .map_or("another", |device| device.protocol.as_str());
    match refusal {
        Refusal::UnknownDevice => "the inventory has no such device, or no such line".into(),
        Refusal::BadConfiguration => "its settings in the inventory cannot be used".into(),
        Refusal::Capacity => "as many phones are registered as there may be".into(),
        Refusal::Authentication => "its password is wrong, or there is none to check it by".into(),
        Refusal::LineMismatch => "it asks for a line that is not its own".into(),
        Refusal::Malformed => "its message cannot be understood".into(),
        Refusal::ProtocolMismatch => {
            format!("the inventory says that it speaks {protocol}, and it came with the other")
        }
        Refusal::Duplicate => {
            "a phone of this name is registered from another address, and alive there".into()
        }
        Refusal::OldVersion => "it speaks a version of SCCP that is too old".into(),
        Refusal::Sequence => "its messages came in an order that no phone has".into(),
        Refusal::CapabilitiesTimeout => "it did not say what it can do when it was asked".into(),
        Refusal::AutoRegistration => "it cannot be taken in by itself".into(),
        Refusal::WrongModel => format!("it says it is another model than the inventory's {model}"),
        Refusal::Denied => "its address is none of access.allow".into(),
        Refusal::Banned => "its address is shut out for what it tried before".into(),
        Refusal::Storm => "it was told to come again".into(),
        Refusal::Stale => "its messages wait so long that it does not wait for the answer".into(),
    }
}

fn advice(refusal: Refusal, case: &Case<'_>) -> String {
    let name = case.name;
    match refusal {
        Refusal::UnknownDevice if case.device.is_none() => adopt(case),
        Refusal::UnknownDevice | Refusal::LineMismatch => format!(
            "`tftp-edge phones show {name}` lists its lines; correct them with `tftp-edge phones edit \
             {name} lines=…`, and restart the phone if it runs on an older configuration"
        ),
        Refusal::BadConfiguration => {
            format!("`tftp-edge render {name}` says what is wrong with them")
        }
        Refusal::Capacity => "raise register.max_registrations, or remove phones".into(),
        Refusal::Authentication => format!(
            "set the password anew with `tftp-edge phones edit {name} secret=-`; the phone gets it \
             with its configuration when it restarts. A phone that should have it already runs on an \
             older configuration"
        ),
        Refusal::Malformed | Refusal::Sequence => {
            format!("`tftp-edge trace {name} --pcap FILE` shows what it sends")
        }
        Refusal::ProtocolMismatch => format!(
            "give it firmware of the protocol it is to speak, or say what it speaks with `tftp-edge \
             phones edit {name} protocol=…`"
        ),
        Refusal::Duplicate => format!(
            "`tftp-edge registrations {name}` tells where it is registered; two phones with one name \
             are a copy of a soft phone, or an address that was changed by hand. After a move it is \
             let in when the old one has gone quiet"
        ),
        Refusal::OldVersion => "give it newer firmware: `tftp-edge inventory model set`".into(),
        Refusal::CapabilitiesTimeout => "restart it; if it stays so, give it other firmware".into(),
        Refusal::AutoRegistration => format!(
            "its site needs auto_registration_numbers that are free, and a model that is known; or \
             take it in by hand: `tftp-edge phones adopt {name}`"
        ),
        Refusal::WrongModel => {
            format!("say what it is with `tftp-edge phones edit {name} model=…`, or exchange it")
        }
        Refusal::Denied => "put its network into access.allow and reload the daemon".into(),
        Refusal::Banned => {
            "`tftp-edge bans list` tells until when, and for what: many lines or devices tried in \
             vain, or what is no message of a phone. Name its network in the subnets of its site, \
             and `tftp-edge bans lift` its address"
                .into()
        }
        Refusal::Storm | Refusal::Stale => {
            "`tftp-edge status` tells how the storm goes; the host may be too slow for it".into()
        }
    }
}

fn adopt(case: &Case<'_>) -> String {
    let name = case.name;
    format!(
        "if it is yours, take it in with `tftp-edge phones adopt {name}`; `tftp-edge phones unknown` \
         lists all that ask. To take in all of a site by themselves: `tftp-edge inventory site set {} \
         auto_registration=true`",
        case.site
    )
}

/// It asks for files that are for devices of the inventory alone.
pub fn unknown_device(case: &Case<'_>) -> Option<Found> {
    if case.device.is_some() {
        return None;
    }
    let is_absent = |file: &File| {
        matches!(file.stage(), FileStage::Config | FileStage::Default)
            && matches!(file.outcome, Outcome::Absent | Outcome::Refused)
    };
    let present = case.present();
    let asked: Vec<_> = present
        .iter()
        .filter(|it| it.file().is_some_and(is_absent))
        .collect();
    let first = asked.first()?;
    let since_ms = first.first_ms();
    // Neither its own nor the one for all: it begins again, every few seconds.
    let is_default = |it: &Step<'_>| it.file().is_some_and(|it| it.stage() == FileStage::Default);
    let has_neither = asked.iter().any(|it| is_default(it));
    if !has_neither && !case.has_lasted(since_ms) {
        return None;
    }
    let names: Vec<_> = asked
        .iter()
        .filter_map(|it| it.file())
        .map(|it| it.name.to_string())
        .collect();
    let text = format!(
        "the inventory has no such device: it asked for {}, and there is no such file",
        super::super::case::listed(&names)
    );
    Some(case.found(
        Likelihood::Certain,
        Cause::UnknownDevice,
        since_ms,
        text,
        adopt(case),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;

    #[test]
    fn every_refusal_is_told_in_its_own_words_with_something_to_do() {
        let mut told = std::collections::BTreeSet::new();
        for refusal in Refusal::ALL {
            if refusal == Refusal::Storm {
                continue;
            }
            let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
            scene.fetches_config().registering();
            for _ in 0..3 {
                scene.refused(refusal, None, "as it is").after(20_000);
            }
            let finding = scene.first(Cause::of_refusal(refusal));
            assert!(finding.text.contains("refused 3 times"), "{finding:?}");
            assert!(finding.text.ends_with("(as it is)"), "{finding:?}");
            assert!(finding.advice.len() > 20, "{finding:?}");
            assert!(told.insert(finding.text));
        }
    }

    #[test]
    fn a_phone_that_was_let_in_after_all_is_well() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.fetches_config().registering();
        scene
            .refused(Refusal::Authentication, None, "")
            .after(40_000);
        scene.first(Cause::WrongPassword);
        scene.registered().is_well();
    }

    #[test]
    fn a_device_that_nobody_knows_is_to_be_taken_in() {
        let mut scene = Scene::of_stranger("SEP0000000000FF");
        for _ in 0..3 {
            scene.gets("sep0000000000ff.cnf.xml", Outcome::Absent);
            scene
                .gets("xmldefault.cnf.xml", Outcome::Absent)
                .after(15_000);
        }
        let finding = scene.first(Cause::UnknownDevice);
        assert!(
            finding.advice.contains("phones adopt SEP0000000000FF"),
            "{finding:?}"
        );
        assert!(finding.text.contains("xmldefault.cnf.xml"), "{finding:?}");
    }
}
