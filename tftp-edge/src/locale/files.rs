//! The files that phones of a model ask for in the folder of a locale.

use crate::inventory::Protocol;

/// In the folder of the user locale; none for models of which no public source tells it.
pub(super) fn of_user(model: &str, protocol: Protocol) -> Vec<String> {
    let jar = |prefix: &str| vec![format!("{prefix}-{protocol}.jar")];
    let fixed = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect();
    match model {
        "6901" | "6911" | "6921" | "6941" | "6945" | "6961" => jar("rtl"),
        "7811" | "7821" | "7841" | "7861" => jar("sp"),
        "7906" | "7911" => jar("tc"),
        "7941" | "7941GE" | "7942" | "7961" | "7961GE" | "7962" => jar("mk"),
        "7945" | "7965" => jar("be"),
        "7970" | "7971" | "7975" => jar("td"),
        "8841" | "8851" => jar("sl-be"),
        "8845" | "8865" => jar("sl-bev"),
        // One file for both protocols.
        "8941" | "8945" => fixed(&["gb-sccp-sip.jar"]),
        "8961" => jar("gh"),
        "9951" => jar("lk"),
        "9971" => jar("gd"),
        "CIPC" => jar("ipc"),
        "7940" | "7960" if protocol == Protocol::Sccp => {
            fixed(&["7960-dictionary.xml", "7960-font.xml", "7960-kate.xml"])
        }
        "7905" | "7912" => fixed(&["7905-dictionary.xml", "7905-font.xml", "7905-kate.xml"]),
        "7921" | "7925" | "7926" => {
            fixed(&["7921-dictionary.xml", "7921-font.dat", "7921-kate.xml"])
        }
        _ => Vec::new(),
    }
}

/// In the folder of the network locale.
pub(super) fn of_network(model: &str, protocol: Protocol) -> &'static [&'static str] {
    match model {
        "7940" | "7960" if protocol == Protocol::Sccp => &["7960-tones.xml"],
        // Phones of another make: no JAR file, no tones file, or none that is known.
        "7902" | "7905" | "7910" | "7912" | "7920" | "7921" | "7925" | "7926" | "7935" | "7936"
        | "7937" | "7940" | "7960" | "7985" => &[],
        "9951" | "9971" => &["g4-tones.xml"],
        model if is_of_series(model, &["69", "78", "79", "88", "89"]) => &["g3-tones.xml"],
        _ => &[],
    }
}

fn is_of_series(model: &str, series: &[&str]) -> bool {
    model.len() >= 4 && series.iter().any(|series| model.starts_with(series))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_own_file_and_each_protocol_its_own_suffix() {
        for (model, protocol, files) in [
            ("7941", Protocol::Sip, &["mk-sip.jar"][..]),
            ("7941", Protocol::Sccp, &["mk-sccp.jar"]),
            ("8865", Protocol::Sip, &["sl-bev-sip.jar"]),
            ("8945", Protocol::Sccp, &["gb-sccp-sip.jar"]),
            ("9971", Protocol::Sip, &["gd-sip.jar"]),
            ("7940", Protocol::Sip, &[]),
            ("ATA186", Protocol::Sccp, &[]),
        ] {
            assert_eq!(of_user(model, protocol), files, "{model} {protocol}");
        }
    }

    #[test]
    fn the_tones_are_those_of_the_series() {
        for (model, protocol, files) in [
            ("6921", Protocol::Sip, &["g3-tones.xml"][..]),
            ("8845", Protocol::Sip, &["g3-tones.xml"]),
            ("9951", Protocol::Sip, &["g4-tones.xml"]),
            ("7960", Protocol::Sccp, &["7960-tones.xml"]),
            ("7960", Protocol::Sip, &[]),
            ("CSF", Protocol::Sip, &[]),
        ] {
            assert_eq!(of_network(model, protocol), files, "{model} {protocol}");
        }
    }
}
