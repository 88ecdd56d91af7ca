//! Files that the phone was given whole and cannot read.
//!
//! A phone drops an XML file that is not well-formed as a whole, says nothing, and fetches it again:
//! an 8851 about every 15 seconds, other 88xx with their whole list every 45.

use std::net::IpAddr;

use tftp_ebpf::stage::Stage as FileStage;

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood, times};
use super::super::served::{Held, Served};
use crate::journal::{File, Stage};

/// From so many on a phone does not only look whether a file has changed.
const AGAIN: u32 = 3;

/// An 88xx drops a dial template that is longer, without a word.
const DIAL_TEMPLATE_MAX: u32 = 8_191;

fn is_xml(file: &File) -> bool {
    file.name.ends_with(".xml")
}

/// What is wrong with a file as XML, with line and column; nothing if it is well-formed, or cannot
/// be looked at.
fn malformed(served: &dyn Served, name: &str, client: IpAddr) -> Option<String> {
    let Held::Bytes(bytes) = served.file(name, client) else {
        return None;
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => return Some(format!("no UTF-8 at byte {}", error.valid_up_to())),
    };
    let error = roxmltree::Document::parse(text).err()?;
    let at = error.pos();
    // The error says the place as `at 3:17` once more.
    let what = error.to_string();
    let what = what.split(" at ").next().unwrap_or_default();
    Some(format!("line {}, column {}: {what}", at.row, at.col))
}

pub fn invalid_xml(case: &Case<'_>) -> Option<Found> {
    let trouble = case.trouble();
    // The last XML file that it has, and nothing of a later stage after it.
    let last = trouble.iter().rev().find(|step| {
        let file = step.file();
        file.is_some_and(|it| is_xml(it) && it.outcome.has_arrived())
    })?;
    let file = last.file()?;
    let stage = last.stage().unwrap_or(Stage::Config);
    let has_got_on =
        |step: &super::super::case::Step<'_>| step.stage().is_some_and(|it| it > stage);
    if case.present().iter().any(has_got_on) {
        return None;
    }
    let same = trouble.iter().filter(|step| {
        step.file().is_some_and(|it| {
            it.name == file.name && it.generation == file.generation && it.outcome.has_arrived()
        })
    });
    let (mut fetched, mut since_ms) = (0, u64::MAX);
    for step in same {
        fetched += step.entry.times;
        since_ms = since_ms.min(step.first_ms());
    }
    if !case.has_lasted(since_ms) {
        return None;
    }
    let name = &file.name;
    let seen = format!(
        "it fetched the same {name} ({} bytes) {}, whole, and asked for nothing after it",
        file.len_bytes,
        times(fetched)
    );
    let by_hand = "a file of this name beneath content.root or a template of content.templates makes \
                   it; correct it there";
    match malformed(case.served, name, case.client()) {
        Some(fault) => {
            let text = format!("{seen}; it is no well-formed XML: {fault}");
            let advice = format!("phones drop such a file as a whole: {by_hand}");
            Some(case.found(
                Likelihood::Certain,
                Cause::InvalidXml,
                since_ms,
                text,
                advice,
            ))
        }
        None if fetched >= AGAIN && stage == Stage::Config => {
            let text = format!(
                "{seen}; it is well-formed, so there is a value in it that it does not take"
            );
            let advice = format!(
                "compare it with that of a phone of the same model that registers (`tftp-edge render \
                 {}`): deviceProtocol, loadInformation, the order of elements; {by_hand}. Settings > \
                 Status > Status messages on the phone may say more",
                case.name
            );
            Some(case.found(
                Likelihood::Possible,
                Cause::InvalidXml,
                since_ms,
                text,
                advice,
            ))
        }
        None => None,
    }
}

/// A dial template that is too long is dropped as if it were not there.
pub fn dial_template_too_long(case: &Case<'_>) -> Option<Found> {
    let present = case.present();
    let step = present.iter().rev().find(|step| {
        step.file().is_some_and(|file| {
            file.stage() == FileStage::DialRules
                && file.outcome.has_arrived()
                && file.len_bytes > DIAL_TEMPLATE_MAX
        })
    })?;
    let since_ms = step.first_ms();
    if !case.has_lasted(since_ms) {
        return None;
    }
    let file = step.file()?;
    let text = format!(
        "its dial template {} has {} bytes; 88xx phones drop one over {DIAL_TEMPLATE_MAX}",
        file.name, file.len_bytes
    );
    let advice =
        "shorten the dial plan: patterns that differ in their last digits alone can be one \
                  with . for each digit; `tftp-edge inventory list dial-plans` shows it"
            .to_owned();
    Some(case.found(
        Likelihood::Possible,
        Cause::InvalidXml,
        since_ms,
        text,
        advice,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;
    use crate::journal::Outcome;

    fn fetches(times: u32) -> Scene {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        for _ in 0..times {
            scene.fetches_config().after(15_000);
        }
        scene
    }

    fn serve(scene: &mut Scene, text: &'static str) {
        let config = scene.config();
        scene
            .files
            .insert(config, Held::Bytes(text.as_bytes().into()));
    }

    #[test]
    fn a_configuration_that_is_no_xml_is_told_with_its_place() {
        let mut scene = fetches(3);
        serve(&mut scene, "<device>\n  <member>\n</device>\n");
        let finding = scene.first(Cause::InvalidXml);
        assert!(finding.text.contains("line 3, column"), "{finding:?}");
        assert!(finding.text.contains("3 times, whole"), "{finding:?}");
        serve(&mut scene, "<device><a>&b</a></device>");
        let finding = scene.first(Cause::InvalidXml);
        assert!(finding.text.contains("line 1, column"), "{finding:?}");
    }

    #[test]
    fn one_that_is_well_formed_may_still_have_a_value_that_is_not_taken() {
        let mut scene = fetches(3);
        serve(&mut scene, "<device/>");
        assert!(scene.causes().contains(&Cause::InvalidXml));
        // A new version each time, and it is another story.
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        for _ in 0..3 {
            scene.generation += 1;
            scene.fetches_config().after(15_000);
        }
        serve(&mut scene, "<device/>");
        assert!(!scene.causes().contains(&Cause::InvalidXml));
    }

    #[test]
    fn a_phone_that_goes_on_has_read_it() {
        let mut scene = fetches(3);
        serve(&mut scene, "<device>");
        scene.registering().after(40_000);
        assert!(!scene.causes().contains(&Cause::InvalidXml));
    }

    #[test]
    fn a_dial_template_that_is_too_long_is_told() {
        let mut scene = fetches(1);
        scene.len_bytes = 8_192;
        scene.gets("dr1234.xml", Outcome::Complete).after(40_000);
        let all = scene.findings();
        let finding = all.iter().find(|it| it.cause == Cause::InvalidXml).unwrap();
        assert!(finding.text.contains("8192 bytes"), "{finding:?}");
    }
}
