//! A phone of the inventory that gets no configuration.
//!
//! It asks for `SEP<MAC>.cnf.xml`, then for `XMLDefault.cnf.xml`, shows "File not found", and does so
//! for ever.

use tftp_ebpf::stage::Stage as FileStage;

use super::super::Cause;
use super::super::case::{Case, Found, Likelihood, times};
use super::super::served::Held;
use crate::journal::{File, Outcome};

/// A configuration of its own, and none that is sealed.
fn is_config(file: &File) -> bool {
    file.stage() == FileStage::Config && !file.name.ends_with(".sgn")
}

pub fn config_missing(case: &Case<'_>) -> Option<Found> {
    case.device?;
    let present = case.present();
    let last = present
        .iter()
        .rev()
        .find(|it| it.file().is_some_and(is_config))?;
    let file = last.file()?;
    if !matches!(file.outcome, Outcome::Absent | Outcome::Refused) {
        return None;
    }
    let (mut asked, mut since_ms) = (0, last.first_ms());
    for step in case.trouble() {
        if step
            .file()
            .is_some_and(|it| it.name == file.name && it.outcome == file.outcome)
        {
            asked += step.entry.times;
            since_ms = since_ms.min(step.first_ms());
        }
    }
    if !case.has_lasted(since_ms) {
        return None;
    }
    let told = format!(
        "it asked {} for {} and was told that {}",
        times(asked),
        file.name,
        match file.outcome {
            Outcome::Refused => "it cannot have it",
            _ => "there is no such file",
        }
    );
    let name = case.name;
    let (why, advice) = if case.is_shut_out {
        (
            "its provisioning window is closed".to_owned(),
            format!("`tftp-edge phones open {name}`, and let it ask again or restart it"),
        )
    } else if let Some(fault) = case.not_rendered {
        (
            format!("it {fault}"),
            format!("put that right; `tftp-edge render {name}` shows whether it can be made"),
        )
    } else {
        match case.served.file(&case.name.config_file(), case.client()) {
            Held::Refused => (
                "what lies under this name beneath content.root cannot be served: a folder, a link \
                 out of it, or a file that cannot be read"
                    .to_owned(),
                format!(
                    "put a file there that can be read, or have one generated: `tftp-edge render \
                     {name}` shows whether it can be"
                ),
            ),
            Held::Bytes(_) | Held::OnDisk => (
                "it is there now".to_owned(),
                "the phone asks again by itself; restarting it is quicker".to_owned(),
            ),
            Held::Absent | Held::Elsewhere => (
                "there is none here".to_owned(),
                format!(
                    "`tftp-edge render {name}` shows whether it can be made, and `tftp-edge status` \
                     the alarms there are"
                ),
            ),
        }
    };
    let text = format!("{told}: {why}");
    Some(case.found(
        Likelihood::Certain,
        Cause::ConfigMissing,
        since_ms,
        text,
        advice,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::scene::Scene;
    use super::*;

    fn asks_in_vain() -> Scene {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        let config = scene.config();
        for _ in 0..3 {
            scene.gets("ctlsep000000000001.tlv", Outcome::Absent);
            scene.gets(&config, Outcome::Absent);
            scene
                .gets("xmldefault.cnf.xml", Outcome::Absent)
                .after(15_000);
        }
        scene
    }

    #[test]
    fn a_configuration_that_is_not_there_is_told_with_the_reason() {
        let mut scene = asks_in_vain();
        let finding = scene.first(Cause::ConfigMissing);
        assert!(
            finding.text.starts_with("it asked 3 times for sep"),
            "{finding:?}"
        );
        assert!(finding.text.ends_with("there is none here"), "{finding:?}");

        let config = scene.config();
        scene.files.insert(config.clone(), Held::Refused);
        let finding = scene.first(Cause::ConfigMissing);
        assert!(finding.text.contains("cannot be served"), "{finding:?}");

        scene.files.insert(config, Held::OnDisk);
        let finding = scene.first(Cause::ConfigMissing);
        assert!(finding.text.ends_with("it is there now"), "{finding:?}");

        scene.not_rendered = Some("cannot be generated: site \"x\": ntp: no address");
        let finding = scene.first(Cause::ConfigMissing);
        assert!(finding.text.contains("ntp: no address"), "{finding:?}");

        scene.is_shut_out = true;
        let finding = scene.first(Cause::ConfigMissing);
        assert!(
            finding.advice.contains("phones open SEP000000000001"),
            "{finding:?}"
        );
    }

    #[test]
    fn a_phone_that_was_given_one_in_the_end_misses_none() {
        let mut scene = asks_in_vain();
        let config = scene.config();
        scene.gets(&config, Outcome::Complete).after(1_000);
        assert!(!scene.causes().contains(&Cause::ConfigMissing));
    }
}
