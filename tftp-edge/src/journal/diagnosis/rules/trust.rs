//! Trust lists of another server.
//!
//! A phone that holds an initial trust list (ITL) or a certificate trust list (CTL) takes only files
//! that are signed by somebody on it: it adds `.sgn` to every name, and refuses a configuration
//! without a signature. It takes another list only if one of its own vouches for it. So a phone that
//! comes from another cluster gets nowhere until its list is erased by hand.

use sha1::{Digest as _, Sha1};
use tftp_ebpf::stage::Stage as FileStage;

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood, times};
use super::super::served::Held;
use crate::journal::{Fact, File, Outcome, Stage};

/// `Last=` of a phone whose check of a signature failed.
const FILE_AUTHENTICATION: u16 = 31;

const ERASE: &str = "erase its trust list: on 79xx, Settings > Security Configuration > Trust List > \
                     ITL File, unlock with **# and press Erase; on 78xx and 88xx, Settings > Admin \
                     settings > Reset settings > Security settings. Or put the signed files and \
                     trust lists of the server it comes from beneath content.root";

fn is_sealed_config(file: &File) -> bool {
    file.stage() == FileStage::Config && file.name.ends_with(".sgn")
}

/// The last configuration it asked for is a signed one, and there is none.
pub fn asks_for_signed_files(case: &Case<'_>) -> Option<Found> {
    let present = case.present();
    let is_config = |file: &File| file.stage() == FileStage::Config;
    let last = present
        .iter()
        .rev()
        .find(|it| it.file().is_some_and(is_config))?;
    let file = last.file().filter(|file| is_sealed_config(file))?;
    if !matches!(file.outcome, Outcome::Absent | Outcome::Refused) {
        return None;
    }
    let trouble = case.trouble();
    let asked = trouble
        .iter()
        .filter(|it| it.file().is_some_and(is_sealed_config));
    let asked: Vec<_> = asked.collect();
    let since_ms = asked.first().map_or(last.first_ms(), |it| it.first_ms());
    let asked: u32 = asked.iter().map(|it| it.entry.times).sum();
    if !case.has_lasted(since_ms) {
        return None;
    }
    let text = format!(
        "it asked {} for {} and for none without a signature: it holds a trust list, and takes signed \
         files alone, which are not here",
        times(asked),
        file.name
    );
    let cause = Cause::TrustListMismatch;
    Some(case.found(Likelihood::Certain, cause, since_ms, text, ERASE.to_owned()))
}

/// It says that a signature is wrong: `registration rejected: security error` is what its user sees.
pub fn says_so(case: &Case<'_>) -> Option<Found> {
    let trouble = case.trouble();
    let (step, said) = trouble.iter().rev().find_map(|step| match step.fact()? {
        Fact::Alarm { code, text } => {
            let words = text.to_ascii_lowercase();
            let is_it = *code == Some(FILE_AUTHENTICATION)
                || words.contains("security error")
                || words.contains("file auth");
            is_it.then_some((step, text))
        }
        _ => None,
    })?;
    if !case.has_lasted(step.first_ms()) {
        return None;
    }
    let text = format!("it says that the signature of a file is none it trusts: {said}");
    let (since_ms, cause) = (step.first_ms(), Cause::TrustListMismatch);
    Some(case.found(Likelihood::Certain, cause, since_ms, text, ERASE.to_owned()))
}

/// The list of this device, or the one of all, in hex; none if there is none. `Err` if that is not
/// known.
fn served_list(case: &Case<'_>, kind: &str) -> Result<Option<String>, ()> {
    let own = format!("{kind}{}.tlv", case.name.as_str().to_ascii_lowercase());
    for name in [own, format!("{kind}file.tlv")] {
        match case.served.file(&name, case.client()) {
            Held::Bytes(bytes) => {
                let sum = Sha1::digest(&bytes);
                return Ok(Some(sum.iter().map(|byte| format!("{byte:02x}")).collect()));
            }
            Held::Absent | Held::Refused => {}
            Held::OnDisk | Held::Elsewhere => return Err(()),
        }
    }
    Ok(None)
}

/// It says which lists it holds, and they are not those that are served.
pub fn holds_another_list(case: &Case<'_>) -> Option<Found> {
    let trouble = case.trouble();
    let (step, ctl, itl) = trouble.iter().rev().find_map(|step| match step.fact()? {
        Fact::TrustLists { ctl, itl } => Some((step, ctl, itl)),
        _ => None,
    })?;
    if !case.has_lasted(step.first_ms()) {
        return None;
    }
    let differs = |kind: &str, held: &Option<Box<str>>| {
        let held = held.as_deref()?;
        match served_list(case, kind) {
            Ok(Some(served)) if !served.eq_ignore_ascii_case(held) => Some(format!(
                "holds the {} {held}, and {served} is served",
                kind.to_uppercase()
            )),
            Ok(None) => Some(format!(
                "holds the {} {held}, and none is served",
                kind.to_uppercase()
            )),
            Ok(Some(_)) | Err(()) => None,
        }
    };
    let text = differs("itl", itl).or_else(|| differs("ctl", ctl))?;
    // One that comes as far as a refusal has read its configuration.
    let likelihood = match case.stage() {
        Stage::Register => Likelihood::Possible,
        _ => Likelihood::Likely,
    };
    let (since_ms, cause) = (step.first_ms(), Cause::TrustListMismatch);
    let text = format!("it {text} (SHA-1)");
    Some(case.found(likelihood, cause, since_ms, text, ERASE.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;

    const SIGNED: &str = "sep000000000001.cnf.xml.sgn";

    fn scene() -> Scene {
        Scene::of("SEP000000000001,8851,sip,1001")
    }

    #[test]
    fn a_phone_that_asks_for_signed_files_alone_trusts_another_server() {
        let mut scene = scene();
        for _ in 0..3 {
            scene
                .gets("itlsep000000000001.tlv", Outcome::Absent)
                .after(10);
            scene.gets(SIGNED, Outcome::Absent).after(20_000);
        }
        let finding = scene.first(Cause::TrustListMismatch);
        assert!(
            finding
                .text
                .contains("3 times for sep000000000001.cnf.xml.sgn"),
            "{finding:?}"
        );
        assert!(finding.advice.contains("**#"), "{finding:?}");
        // One that takes the plain file has no list.
        let config = scene.config();
        scene.gets(&config, Outcome::Complete).after(1_000);
        assert!(!scene.causes().contains(&Cause::TrustListMismatch));
    }

    #[test]
    fn a_phone_that_complains_of_a_signature_is_believed() {
        let mut scene = scene();
        scene
            .fetches_config()
            .alarm(31, "Name=SEP000000000001 Last=File Auth Fail");
        scene.after(40_000);
        let finding = scene.first(Cause::TrustListMismatch);
        assert!(finding.text.contains("File Auth Fail"), "{finding:?}");
    }

    #[test]
    fn what_it_holds_is_compared_with_what_is_served() {
        let held = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33";
        let mut scene = scene();
        scene.fetches_config().fact(Fact::TrustLists {
            ctl: None,
            itl: Some(held.into()),
        });
        scene.after(40_000);
        let finding = scene.first(Cause::TrustListMismatch);
        assert!(finding.text.contains("and none is served"), "{finding:?}");
        let list = |text: &'static str| Held::Bytes(text.as_bytes().into());
        scene.files.insert("itlfile.tlv".into(), list("bar"));
        let finding = scene.first(Cause::TrustListMismatch);
        let served = "62cdb7020ff920e5aa642c3d4066950dd1f01f4d";
        assert!(
            finding.text.contains(&format!("{held}, and {served}")),
            "{finding:?}"
        );
        // SHA-1 of "foo".
        scene
            .files
            .insert("itlsep000000000001.tlv".into(), list("foo"));
        assert!(!scene.causes().contains(&Cause::TrustListMismatch));
    }
}
