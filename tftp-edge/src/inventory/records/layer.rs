//! Settings of a site, a profile or a device. Each is a column of its own; of a device, all of them
//! are the column `settings` too: `voicemail=8500;vendor.webAccess=1`.

use std::collections::BTreeMap;

use super::super::notation::{entries, join, quote, split_once, unquote};
use super::super::settings::{is_secret, shown};
use super::super::{KEYS, LayerSettings, PhoneSettings, SITE_KEYS, SettingError, Site};
use super::{Column, Reference, Secrets, Table};

pub(super) const SITE: &[Column] = &[Column::key("name", "as devices have it in site")];
pub(super) const PROFILE: &[Column] = &[Column::key("name", "as devices have it in profile")];

/// What is written for a setting that is to be nothing, whatever the layers below say.
const NOTHING: &str = "''";

/// Whose settings they are: only sites have those of [`SITE_KEYS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Site,
    Other,
}

impl Layer {
    fn check(self, key: &str, value: &str) -> Result<(), SettingError> {
        match self {
            Self::Site => Site::default().set(key, value),
            Self::Other => PhoneSettings::default().set(key, value),
        }
    }

    /// Whether there is a setting of that name.
    pub(super) fn has(self, key: &str) -> bool {
        let group = key
            .split_once('.')
            .map(|(group, _)| format!("{group}.NAME"));
        let name = group.as_deref().unwrap_or(key);
        let of_phones = KEYS.iter().any(|(known, _)| *known == name);
        of_phones || (self == Self::Site && SITE_KEYS.iter().any(|(known, _)| *known == key))
    }

    /// The names of all settings.
    pub(super) fn keys(self) -> impl Iterator<Item = &'static str> {
        let of_sites = match self {
            Self::Site => SITE_KEYS,
            Self::Other => &[],
        };
        of_sites.iter().chain(KEYS).map(|(key, _)| *key)
    }

    /// Takes the text of a setting's column. An empty one leaves it to the layers below.
    pub(super) fn set(
        self,
        settings: &mut LayerSettings,
        key: &str,
        field: &str,
    ) -> Result<(), String> {
        let value = match field.trim() {
            NOTHING => "",
            "" => {
                settings.remove(key);
                return Ok(());
            }
            value => value,
        };
        self.check(key, value).map_err(told)?;
        settings.insert(key.into(), value.into());
        Ok(())
    }

    /// Takes the column `settings`.
    pub(super) fn parse(self, field: &str) -> Result<LayerSettings, String> {
        let mut settings = LayerSettings::new();
        for entry in entries(field)? {
            let (key, value) = split_once(entry, '=')?;
            let Some(value) = value else {
                return Err(format!("{key:?} has no value; expected KEY=VALUE"));
            };
            let value = unquote(value)?;
            self.check(key, &value).map_err(|error| error.to_string())?;
            if settings.insert(key.into(), value.trim().into()).is_some() {
                return Err(format!("{key} is there twice"));
            }
        }
        Ok(settings)
    }
}

/// The column names the setting already.
fn told(error: SettingError) -> String {
    match error {
        SettingError::Value {
            problem, expected, ..
        } => format!("{problem}; expected {expected}"),
        error => error.to_string(),
    }
}

/// The text of a setting's column.
pub(super) fn get(settings: &LayerSettings, key: &str, secrets: Secrets) -> String {
    match settings.get(key).map(String::as_str) {
        None => String::new(),
        Some("") => NOTHING.into(),
        Some(value) => secrets.of(key, value).into(),
    }
}

/// The text of the column `settings`.
pub(super) fn print(settings: &LayerSettings, secrets: Secrets) -> String {
    join(settings.iter().map(|(key, value)| {
        let value = secrets.of(key, value);
        format!("{key}={}", quote(value, ""))
    }))
}

impl Secrets {
    fn of<'v>(self, key: &str, value: &'v str) -> &'v str {
        match self {
            Self::Told => value,
            Self::Hidden => shown(key, value),
        }
    }
}

/// The settings by their keys, for JSON.
pub(super) fn json(settings: &LayerSettings) -> serde_json::Value {
    let shown: BTreeMap<_, _> = settings
        .iter()
        .map(|(key, value)| (key, Secrets::Hidden.of(key, value)))
        .collect();
    serde_json::json!(shown)
}

/// The names of columns in the order of the help, those with a dot by their names.
pub(in super::super) fn in_order(keys: impl IntoIterator<Item = String>) -> Vec<String> {
    let place = |key: &String| {
        let known = SITE_KEYS.iter().chain(KEYS);
        let group = key.split('.').next().unwrap_or_default().len();
        let name = match group == key.len() {
            true => key.clone(),
            false => format!("{}.NAME", &key[..group]),
        };
        known.take_while(|(known, _)| *known != name).count()
    };
    let mut keys: Vec<_> = keys.into_iter().map(|key| (place(&key), key)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(|(_, key)| key).collect()
}

/// Whether a column holds a password.
pub(in super::super) fn hides(column: &str) -> bool {
    column == "secret" || is_secret(column)
}

/// What settings name. A name that ends in `.xml` is that of a file.
pub(super) fn references(settings: &LayerSettings) -> Vec<Reference> {
    let mut references = Vec::new();
    for (key, table) in [
        ("server_group", Table::ServerGroups),
        ("dial_template", Table::DialPlans),
        ("soft_keys", Table::SoftKeys),
        ("feature_policy", Table::FeaturePolicies),
        ("services", Table::Services),
        ("auto_registration_profile", Table::Profiles),
    ] {
        let Some(value) = settings.get(key) else {
            continue;
        };
        let names = match table {
            Table::Services => value.split(';').collect(),
            _ => vec![value.as_str()],
        };
        let of_files = matches!(
            table,
            Table::DialPlans | Table::SoftKeys | Table::FeaturePolicies
        );
        for name in names.into_iter().map(str::trim) {
            let is_file = of_files && name.to_ascii_lowercase().ends_with(".xml");
            if !name.is_empty() && !is_file {
                references.push(Reference {
                    column: key.into(),
                    table,
                    key: name.into(),
                });
            }
        }
    }
    references
}
