//! The settings as they are in force, for people to read.
//!
//! The list comes from the commented file that ships with the program, which tests hold to be
//! complete and to have the defaults: no key can be forgotten here. What the configuration sets is
//! laid over it. Of passwords only that there is one is kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde::Serialize;
use toml::{Table, Value};

use super::Config;
use super::keys::{Effect, effect};
use crate::inventory::is_secret as is_password;

/// The commented file that ships with the program.
pub const SHIPPED: &str = include_str!("../../tftp-edge.toml");

/// What stands in the place of a password.
pub const HIDDEN: &str = "(set, not shown)";

/// Words in the names of phones' elements whose values are nobody's business.
const SECRET_WORDS: [&str; 6] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "credential",
    "pin",
];

/// A table of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// As it is written, such as `tftp.resend`.
    pub name: String,
    /// What the shipped file says of it.
    pub about: String,
    pub keys: Vec<Key>,
}

/// A setting and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    pub key: String,
    /// As TOML; a path as it is used. Of a password, only whether there is one.
    pub value: String,
    pub default: String,
    pub is_default: bool,
    /// Where it is set, as `FILE:LINE`; also if it is set to its default.
    pub from: Option<String>,
    /// When a change takes effect.
    pub effect: Effect,
    pub about: String,
}

/// All settings, in the order of the shipped file.
pub(super) fn sections(config: &Config) -> Vec<Section> {
    let written = &config.written;
    let values = written.values();
    let mut paths = config.clone();
    let paths = paths.paths();
    let used = |dotted: &str| {
        let path = paths.iter().find(|(key, _)| *key == dotted);
        path.map(|(_, path)| path.as_path())
    };
    let mut sections = outline();
    for section in &mut sections {
        let own = table(&values, &section.name);
        let others = others(section, own);
        section.keys.extend(others);
        for key in &mut section.keys {
            let dotted = format!("{}.{}", section.name, key.key);
            let default = defaults().get(&dotted);
            let set = own.and_then(|it| it.get(&key.key));
            key.is_default = set.is_none_or(|set| Some(set) == default);
            key.default = default.map_or_else(String::new, |it| told(&key.key, it, None));
            let value = set.or(default);
            key.value =
                value.map_or_else(String::new, |value| told(&key.key, value, used(&dotted)));
            let path: Vec<_> = section.name.split('.').chain([&*key.key]).collect();
            key.from = set
                .and_then(|_| written.place_of(&path))
                .map(|place| place.to_string());
            key.effect = effect(&dotted).unwrap_or(Effect::Restart);
        }
    }
    sections
}

/// Keys that are set and have no line of their own in the shipped file: elements by their name.
fn others(section: &Section, own: Option<&Table>) -> Vec<Key> {
    let known = |key: &str| section.keys.iter().any(|it| it.key == key);
    let set = own.into_iter().flatten();
    let set = set.filter(|(key, value)| !known(key) && !value.is_table());
    set.map(|(key, _)| named(key, String::new())).collect()
}

fn named(key: &str, about: String) -> Key {
    Key {
        key: key.to_owned(),
        value: String::new(),
        default: String::new(),
        is_default: true,
        from: None,
        effect: Effect::Restart,
        about,
    }
}

/// Every key of the shipped file, given with dots, and its default.
pub(super) fn defaults() -> &'static BTreeMap<String, Value> {
    static DEFAULTS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
        let table: Table = switched_on().parse().unwrap_or_default();
        flattened(&table)
    });
    &DEFAULTS
}

/// Every value that is no table, by its key with dots.
pub(super) fn flattened(table: &Table) -> BTreeMap<String, Value> {
    fn add(table: &Table, path: &str, to: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            match value.as_table() {
                Some(inner) => add(inner, &format!("{path}{key}."), to),
                None => {
                    to.insert(format!("{path}{key}"), value.clone());
                }
            }
        }
    }
    let mut flat = BTreeMap::new();
    add(table, "", &mut flat);
    flat
}

/// The table of a section, if it is there.
fn table<'t>(all: &'t Table, section: &str) -> Option<&'t Table> {
    let mut steps = section.split('.');
    steps.try_fold(all, |table, step| table.get(step)?.as_table())
}

/// A value as TOML, or `path` in its place; of what is nobody's business, only that it is set.
pub(super) fn told(key: &str, value: &Value, path: Option<&Path>) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        _ if is_secret(key) => HIDDEN.to_owned(),
        _ => match path {
            Some(path) => Value::String(path.display().to_string()).to_string(),
            None => without_credentials(value).to_string(),
        },
    }
}

pub(super) fn is_secret(key: &str) -> bool {
    // Elements have names that phones made up, with a dot in front; ours end in `password`.
    let name = key.to_ascii_lowercase();
    let is_elements = name.contains('.') && SECRET_WORDS.iter().any(|it| name.contains(it));
    is_elements || is_password(key)
}

/// URLs may have a user and a password before the host (RFC 3986 3.2.1).
fn without_credentials(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_userinfo(text)),
        Value::Array(values) => Value::Array(values.iter().map(without_credentials).collect()),
        Value::Table(inner) => {
            let inner = inner.iter().map(|(key, value)| {
                let value = match is_secret(key) {
                    true => Value::String(HIDDEN.to_owned()),
                    false => without_credentials(value),
                };
                (key.clone(), value)
            });
            Value::Table(inner.collect())
        }
        other => other.clone(),
    }
}

fn without_userinfo(text: &str) -> String {
    let mut rest = text;
    let mut shown = String::new();
    while let Some((scheme, after)) = rest.split_once("://") {
        let end = after.find(['/', '?', '#', ' ', ',', ';']);
        let (authority, others) = after.split_at(end.unwrap_or(after.len()));
        shown += scheme;
        shown += "://";
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                shown += "(not shown)@";
                shown += host;
            }
            None => shown += authority,
        }
        rest = others;
    }
    shown + rest
}

/// Sections, keys and what is said of them, as they stand in the shipped file; without values.
pub(super) fn outline() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut about: Vec<&str> = Vec::new();
    for line in SHIPPED.lines() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = bare.strip_prefix('[') {
            sections.push(Section {
                name: name.trim_end_matches(']').to_owned(),
                about: std::mem::take(&mut about).join(" "),
                keys: Vec::new(),
            });
        } else if let Some((key, _)) = setting(bare)
            && let Some(section) = sections.last_mut()
        {
            let about = std::mem::take(&mut about).join(" ");
            section.keys.push(named(key, about));
        } else if let Some(text) = line.strip_prefix("# ") {
            about.push(text);
        } else {
            about.clear();
        }
    }
    sections
}

/// A line that sets a key, commented out or not.
fn setting(line: &str) -> Option<(&str, &str)> {
    let is_key = line.starts_with(|first: char| first.is_ascii_lowercase());
    line.split_once(" = ").filter(|_| is_key)
}

/// The shipped file with every default set.
fn switched_on() -> String {
    let lines = SHIPPED.lines().map(|line| match line.strip_prefix('#') {
        Some(bare) if bare.starts_with('[') || setting(bare).is_some() => bare,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::written::Written;
    use super::*;

    fn shown(text: &str) -> Vec<Section> {
        let file = Path::new("/etc/tftp-edge/tftp-edge.toml").to_owned();
        let written = Written::new([(file, text.to_owned())]).unwrap();
        let mut config = Config::of(Arc::new(written)).unwrap();
        config.resolve_paths();
        sections(&config)
    }

    fn key(sections: &[Section], section: &str, key: &str) -> Key {
        let section = sections.iter().find(|it| it.name == section).unwrap();
        section
            .keys
            .iter()
            .find(|it| it.key == key)
            .unwrap()
            .clone()
    }

    #[test]
    fn every_key_of_the_shipped_file_is_shown_with_its_default() {
        let wanted: Vec<_> = defaults().keys().cloned().collect();
        assert!(wanted.len() > 150, "{}", wanted.len());
        let sections = shown("");
        let all = sections.iter().flat_map(|section| {
            let keys = section.keys.iter();
            keys.map(|key| format!("{}.{}", section.name, key.key))
        });
        let mut all: Vec<_> = all.collect();
        all.sort();
        assert_eq!(all, wanted);
        for section in &sections {
            for key in &section.keys {
                assert!(key.is_default && !key.default.is_empty(), "{key:?}");
            }
        }
        assert!(
            key(&sections, "tftp", "listen")
                .about
                .contains("Addresses requests")
        );
    }

    #[test]
    fn what_is_set_is_shown_in_force_and_marked() {
        let sections = shown(
            "[tftp]\nworkers = 4\nwindowsize = 64\n[content]\nroot = \"files\"\n\
             [register.storm]\nmax_waiting = 1_000\n",
        );
        let workers = key(&sections, "tftp", "workers");
        assert_eq!((&*workers.value, &*workers.default), ("4", "0"));
        assert!(!workers.is_default);
        let from = Some("/etc/tftp-edge/tftp-edge.toml:2");
        assert_eq!(
            (workers.from.as_deref(), workers.effect),
            (from, Effect::Restart)
        );
        let windowsize = key(&sections, "tftp", "windowsize");
        assert!(windowsize.is_default && windowsize.from.is_some());
        assert_eq!(windowsize.effect, Effect::Live);
        assert_eq!(key(&sections, "tftp", "listen").from, None);
        let root = key(&sections, "content", "root");
        assert_eq!(root.value, "\"/etc/tftp-edge/files\"");
        assert_eq!(
            key(&sections, "register.storm", "max_waiting").value,
            "1000"
        );
    }

    #[test]
    fn no_secret_is_shown_wherever_it_is_written() {
        let planted = "sw0rdf1sh";
        let text = format!(
            "[inventory.defaults]\nphone_password = \"{planted}\"\nssh_password = \"{planted}\"\n\
             services_url = \"http://user:{planted}@10.1.1.1/menu\"\n\
             \"vendor.adminPassword\" = \"{planted}\"\n\
             \"xml.dndReminderTimer\" = 10\n"
        );
        let sections = shown(&text);
        let json = serde_json::to_string(&sections).unwrap();
        assert!(!json.contains(planted), "{json}");
        let defaults = "inventory.defaults";
        assert_eq!(key(&sections, defaults, "ssh_password").value, HIDDEN);
        let url = key(&sections, defaults, "services_url").value;
        assert_eq!(url, "\"http://(not shown)@10.1.1.1/menu\"");
        let timer = key(&sections, defaults, "xml.dndReminderTimer");
        assert_eq!(timer.value, "10");
        assert!(!timer.is_default);
        for element in ["vendor.adminPassword", "xml.snmpToken", "vendor.phonePIN"] {
            assert!(is_secret(element), "{element}");
        }
        // That there is none is no secret, nor whether phones may keep theirs.
        assert_eq!(key(&shown(""), defaults, "phone_password").value, "\"\"");
        assert_eq!(key(&sections, defaults, "vpn_keep_password").value, "true");
    }
}
