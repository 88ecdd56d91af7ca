//! Which settings are passwords, and what is shown of them.

use std::collections::BTreeMap;

use serde::Serializer;

/// What is shown of a setting: of a password, only that there is one.
pub(in crate::inventory) fn shown<'v>(key: &str, value: &'v str) -> &'v str {
    match is_secret(key) {
        true => "(set, not shown)",
        false => value,
    }
}

/// Whether a key holds a password. `vpn_keep_password` is one of true and false.
pub fn is_secret(key: &str) -> bool {
    key != "vpn_keep_password" && key.to_ascii_lowercase().ends_with("password")
}

/// Settings for people to read: of a password, only that there is one.
pub(in crate::inventory) fn without_secrets<S: Serializer>(
    settings: &BTreeMap<String, String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(settings.iter().map(|(key, value)| (key, shown(key, value))))
}
