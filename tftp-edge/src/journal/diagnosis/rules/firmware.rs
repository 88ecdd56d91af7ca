//! Firmware that is not here, or that the phone does not take.
//!
//! A phone whose configuration names a load it does not run fetches `<load>.loads`, then every image
//! that file names, and restarts. If one of them is not here it restarts all the same, and begins
//! again.

use std::collections::BTreeMap;

use tftp_ebpf::stage::Stage as FileStage;

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood, Step, listed, times};
use super::super::served::Held;
use crate::firmware::Loads;
use crate::journal::{Fact, Outcome};

/// `Last=` of SCCP's Alarm, and `cisco-alarm` of SIP: why the phone did not take a load.
fn rejection(code: u16) -> Option<&'static str> {
    Some(match code {
        0 => "it does not fit the phone's hardware",
        1 => "its size is wrong",
        2 => "it cannot be unpacked",
        3 => "its version is wrong",
        4 => "there is no room for it",
        5 => "its checksum is wrong",
        _ => return None,
    })
}

/// The number for a load that was not found.
const NOT_FOUND: u16 = 6;

/// What the inventory tells it to run, and where that is said.
fn told_to_run(case: &Case<'_>) -> Option<(String, String)> {
    let (inventory, device) = (case.inventory?, case.device?);
    let load = inventory.load(device)?;
    let change = match &device.load {
        Some(_) => format!("`tftp-edge phones edit {} load=`", device.name),
        None => format!(
            "`tftp-edge inventory model set {} {}=LOAD`",
            device.model, device.protocol
        ),
    };
    Some((load.to_owned(), change))
}

/// Images of a load that are not here.
fn missing_images(case: &Case<'_>, load: &str) -> Vec<String> {
    let list = format!("{}.loads", load.to_ascii_lowercase());
    let Held::Bytes(list) = case.served.file(&list, case.client()) else {
        return Vec::new();
    };
    let images = Loads::parse(&list).map_or_else(|_| Vec::new(), |loads| loads.images);
    let is_missing = |name: &String| case.served.file(name, case.client()).is_absent();
    let names = images.into_iter().map(|image| image.name);
    names.filter(is_missing).collect()
}

pub fn load_missing(case: &Case<'_>) -> Option<Found> {
    let trouble = case.trouble();
    // By file: how often it was not there, since when, and in how many boots.
    let mut missing: BTreeMap<&str, (u32, u64, Vec<u32>)> = BTreeMap::new();
    let mut not_found = None;
    for step in &trouble {
        if let Some(Fact::Alarm {
            code: Some(NOT_FOUND),
            text,
        }) = step.fact()
        {
            not_found = Some((step.first_ms(), text.clone()));
        }
        let Some(file) = step.file().filter(|it| it.stage() == FileStage::Firmware) else {
            continue;
        };
        match file.outcome {
            Outcome::Absent | Outcome::Refused => {
                let (asked, _, boots) = missing
                    .entry(&*file.name)
                    .or_insert_with(|| (0, step.first_ms(), Vec::new()));
                *asked += step.entry.times;
                if !boots.contains(&step.boot.number) {
                    boots.push(step.boot.number);
                }
            }
            Outcome::Complete | Outcome::Unconfirmed => {
                missing.remove(&*file.name);
            }
            _ => {}
        }
    }
    let worst = missing.iter().max_by_key(|(_, (asked, ..))| *asked);
    let (since_ms, seen) = match (worst, not_found) {
        (Some((name, (asked, since_ms, boots))), _) => {
            let boots = match boots.len() {
                1 => String::new(),
                boots => format!(" in {boots} boots: it restarts again and again for it"),
            };
            let seen = format!(
                "it asked {} for {name}, and there is no such file{boots}",
                times(*asked)
            );
            (*since_ms, seen)
        }
        (None, Some((since_ms, text))) => {
            (since_ms, format!("it says that it found no load: {text}"))
        }
        (None, None) => return None,
    };
    if !case.has_lasted(since_ms) {
        return None;
    }
    let told = told_to_run(case);
    let mut text = seen;
    let mut name_another = String::new();
    match &told {
        Some((load, change)) => {
            text += &format!("; the inventory tells it to run {load}");
            let images = missing_images(case, load);
            if !images.is_empty() {
                text += &format!(", which names {}, not here", listed(&images));
            }
            name_another = format!(", or name another load with {change}");
        }
        None => text += "; the inventory names no load for it",
    }
    let advice = format!(
        "unpack the whole load into content.root itself, not a folder of it; `tftp-edge firmware \
         check` lists what is missing{name_another}"
    );
    Some(case.found(
        Likelihood::Certain,
        Cause::LoadMissing,
        since_ms,
        text,
        advice,
    ))
}

pub fn load_rejected(case: &Case<'_>) -> Option<Found> {
    let trouble = case.trouble();
    let said = |step: &&Step<'_>| match step.fact() {
        Some(Fact::Alarm { code, .. }) => (*code).and_then(rejection),
        _ => None,
    };
    let step = trouble.iter().rev().find(|step| said(step).is_some())?;
    let why = said(&step)?;
    let since_ms = step.first_ms();
    if !case.has_lasted(since_ms) {
        return None;
    }
    let told = told_to_run(case);
    let load = told.as_ref().map_or("the load", |(load, _)| load);
    let text = format!("it does not take {load}: {why}, it says");
    let advice = match &told {
        Some((_, change)) => format!(
            "`tftp-edge firmware check` compares sizes and sums; if it is whole, it is no load for \
             this hardware: name another with {change}. From before 8.3.3, 79xx phones take 8.5.2 \
             first"
        ),
        None => "`tftp-edge firmware check` compares sizes and sums".to_owned(),
    };
    Some(case.found(
        Likelihood::Certain,
        Cause::LoadRejected,
        since_ms,
        text,
        advice,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;

    #[test]
    fn a_phone_that_restarts_for_a_load_that_is_not_here_is_in_a_loop() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001,sip88xx.14-1");
        for _ in 0..3 {
            scene.fetches_config();
            scene
                .gets("sip88xx.14-1.loads", Outcome::Absent)
                .after(60_000);
        }
        let finding = scene.first(Cause::LoadMissing);
        assert!(
            finding.text.contains("3 times for sip88xx.14-1.loads")
                && finding.text.contains("in 3 boots")
                && finding.text.contains("tells it to run sip88xx.14-1"),
            "{finding:?}"
        );
        assert!(
            finding.advice.contains("phones edit SEP000000000001 load="),
            "{finding:?}"
        );
        assert_eq!(finding.since_ms, scene.phone.boots[0].began_ms + 20);
        scene.registering().registered().is_well();
    }

    #[test]
    fn an_image_that_a_load_names_and_that_is_not_here_is_named() {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001,sip88xx.14-1");
        let list = "kern88xx.sbn\r\nrootfs88xx.sbn\r\n".as_bytes();
        scene
            .files
            .insert("sip88xx.14-1.loads".into(), Held::Bytes(list.into()));
        scene.files.insert("kern88xx.sbn".into(), Held::OnDisk);
        scene
            .fetches_config()
            .gets("sip88xx.14-1.loads", Outcome::Complete);
        scene.gets("kern88xx.sbn", Outcome::Complete);
        scene.gets("rootfs88xx.sbn", Outcome::Absent).is_well();
        scene.after(40_000);
        let finding = scene.first(Cause::LoadMissing);
        assert!(
            finding.text.contains("names rootfs88xx.sbn, not here"),
            "{finding:?}"
        );
    }

    #[test]
    fn a_load_the_phone_does_not_take_is_told_in_its_words() {
        let mut scene = Scene::of("SEP000000000001,7961,sccp,1001,sccp41.9");
        scene
            .fetches_config()
            .alarm(5, "Name=SEP000000000001 Last=5")
            .after(40_000);
        let finding = scene.first(Cause::LoadRejected);
        assert!(finding.text.contains("checksum"), "{finding:?}");
        let mut scene = Scene::of("SEP000000000001,7961,sccp,1001,sccp41.9");
        scene.fetches_config().alarm(6, "Last=6").after(40_000);
        scene.first(Cause::LoadMissing);
    }
}
