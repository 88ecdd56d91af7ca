//! What is another value in one configuration than in another.

use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Value;

use super::Config;
use super::keys::{Effect, effect};
use super::shown::{defaults, flattened, told};

/// A key with another value than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// With dots.
    pub key: String,
    /// As TOML; of passwords only whether there is one.
    pub before: String,
    pub after: String,
    pub effect: Effect,
}

impl fmt::Display for Changed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.before == self.after {
            // Both are hidden.
            true => write!(formatter, "{}: another value, not shown", self.key),
            false => write!(formatter, "{}: {} -> {}", self.key, self.before, self.after),
        }
    }
}

/// The keys whose values differ, in their order.
pub fn changed(before: &Config, after: &Config) -> Vec<Changed> {
    let (old, new) = (values(before), values(after));
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let tell = |key: &str, value: Option<&Value>| {
        let name = key.rsplit('.').next().unwrap_or(key);
        // The whole name of an element is needed to tell whether it is a password.
        let name = key.strip_prefix("inventory.defaults.").unwrap_or(name);
        value.map_or_else(|| "not set".to_owned(), |value| told(name, value, None))
    };
    let mut all = Vec::new();
    for key in keys {
        let default = defaults().get(key);
        let before = old.get(key).or(default);
        let after = new.get(key).or(default);
        if before != after {
            all.push(Changed {
                key: key.clone(),
                before: tell(key, before),
                after: tell(key, after),
                effect: effect(key).unwrap_or(Effect::Restart),
            });
        }
    }
    all
}

/// All that is set, paths as they are used.
fn values(config: &Config) -> std::collections::BTreeMap<String, Value> {
    let mut values = flattened(&config.written.values());
    for (key, path) in config.clone().paths() {
        if let Some(value) = values.get_mut(key)
            && !path.as_os_str().is_empty()
        {
            *value = Value::String(path.display().to_string());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn load(folder: &Path, text: &str) -> Config {
        let file = folder.join("edge.toml");
        fs::write(&file, text).unwrap();
        Config::load(&file).unwrap()
    }

    #[test]
    fn what_differs_is_told_whatever_the_files_look_like() {
        let folder = tempfile::tempdir().unwrap();
        let one = load(folder.path(), "[tftp]\nworkers = 2\nwindowsize = 64\n");
        let other = load(
            folder.path(),
            "tftp.workers = 3\nlog.level = \"warn\"\ncontent.root = \"files\"\n",
        );
        let told: Vec<_> = changed(&one, &other)
            .iter()
            .map(ToString::to_string)
            .collect();
        let root = folder.path().join("files");
        assert_eq!(
            told,
            [
                format!("content.root: \"/srv/tftp\" -> \"{}\"", root.display()),
                "log.level: \"info\" -> \"warn\"".to_owned(),
                "tftp.workers: 2 -> 3".to_owned()
            ]
        );
        assert_eq!(changed(&one, &one), []);
        let effects: Vec<_> = changed(&one, &other).iter().map(|it| it.effect).collect();
        assert_eq!(effects, [Effect::Restart, Effect::Live, Effect::Restart]);
    }

    #[test]
    fn a_relative_path_in_another_file_is_another_path() {
        let folder = tempfile::tempdir().unwrap();
        let one = load(folder.path(), "content.root = \"files\"");
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        let fragment = folder.path().join("conf.d/a.toml");
        fs::write(&fragment, "content.root = \"files\"").unwrap();
        let other = load(folder.path(), "");
        assert_eq!(changed(&one, &other).len(), 1);
    }

    #[test]
    fn no_password_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let password = |of: &str| {
            let text = format!(
                "[inventory.defaults]\nssh_password = \"{of}\"\n\"vendor.adminPassword\" = \"{of}\"\n"
            );
            load(folder.path(), &text)
        };
        let told = changed(&password("sw0rdf1sh"), &password("swordf1sh2"));
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "inventory.defaults.ssh_password: another value, not shown",
                "inventory.defaults.vendor.adminPassword: another value, not shown"
            ]
        );
    }
}
