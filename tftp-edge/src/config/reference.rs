//! `contrib/configuration.md`: every key in one table, written from what the program knows of it.

use super::Effect;
use super::keys::effect;
use super::shown::{defaults, outline, told};

const HEAD: &str = "\
# The configuration of tftp-edge

Every key, as the program knows it. This file is written by a test; the texts are those of the commented
`tftp-edge.toml`, which `tftp-edge config defaults` prints.

`/etc/tftp-edge/tftp-edge.toml` is read first, then `conf.d/*.toml` beside it, in the order of their names. Tables
are joined; of a key that is set twice the later file's value holds, and a list replaces a list.
`tftp-edge config show` says which file each value is from.

A change takes effect with a *reload* (`tftp-edge reload`, SIGHUP) or with a *restart*. What waits for a restart is
named by `tftp-edge reload`, in the log, and in `tftp-edge status` until it is so.

Relative paths are taken from the folder of the file that sets them. Sizes are bytes, or as in `\"64MiB\"`. The end of
a name is its unit: `_s` seconds, `_ms` milliseconds, `_bytes` bytes, `_percent` percent.
";

/// The whole file.
pub(super) fn reference() -> String {
    let mut text = HEAD.to_owned();
    for section in outline() {
        text += &format!("\n## [{}]\n\n", section.name);
        if !section.about.is_empty() {
            text += &format!("{}\n\n", section.about);
        }
        text +=
            "| key | type | default | takes effect with | what it is |\n|---|---|---|---|---|\n";
        for key in &section.keys {
            let dotted = format!("{}.{}", section.name, key.key);
            let Some(default) = defaults().get(&dotted) else {
                continue;
            };
            let when = effect(&dotted).map_or("", Effect::as_str);
            let (kind, default) = (kind(&key.key, default), told(&key.key, default, None));
            // In a table a bar would be the next column's beginning.
            let about = key.about.replace('|', "\\|");
            text += &format!(
                "| `{}` | {kind} | `{default}` | {when} | {about} |\n",
                key.key
            );
        }
    }
    text
}

/// The type of a value, and the unit that its name tells.
fn kind(key: &str, default: &toml::Value) -> String {
    let kind = match default {
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Array(_) => "list of text",
        toml::Value::Integer(_) => "number",
        _ => "text",
    };
    let unit = [
        ("_ms", "milliseconds"),
        ("_s", "seconds"),
        ("_bytes", "bytes"),
        ("_percent", "percent"),
        ("_per_second", "a second"),
        ("_minutes", "minutes"),
        ("_days", "days"),
    ];
    let is_number = kind == "number";
    let unit = unit.iter().find(|(end, _)| is_number && key.ends_with(end));
    match unit {
        Some((_, unit)) => format!("{kind}, {unit}"),
        None => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// `INSTA_UPDATE=always` writes it, as it does golden files.
    #[test]
    fn the_reference_is_what_the_program_knows() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/configuration.md");
        let wanted = reference();
        if std::env::var("INSTA_UPDATE").is_ok_and(|it| it == "always") {
            fs::write(&file, &wanted).unwrap();
        }
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == wanted,
            "contrib/configuration.md is not what the keys are; run: INSTA_UPDATE=always cargo \
             test -p tftp-edge --lib -- config::reference"
        );
    }

    #[test]
    fn types_and_units_are_told() {
        let text = reference();
        for row in [
            "| `windowsize` | number | `64` | reload |",
            "| `first_ms` | number, milliseconds | `1000` | reload |",
            "| `listen` | list of text | `[\"0.0.0.0:69\", \"[::]:69\"]` | restart |",
            "| `mode` | text | `\"auto\"` | restart |",
            "| `ssh_password` | text | `\"\"` | reload |",
        ] {
            assert!(text.contains(row), "{row}");
        }
        assert_eq!(text.matches("\n| `").count(), defaults().len());
    }
}
