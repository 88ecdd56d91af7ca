//! What devices refer to by name: groups of servers, soft keys, dial plans, policies, services.

mod dial_plan;
mod feature_policy;
mod soft_keys;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use dial_plan::{AppDialRule, DialPlan, DialRule, TONES};
pub use feature_policy::{FeaturePolicy, POLICY_FEATURES, PolicyFeature};
pub use soft_keys::{CALL_STATES, CallState, SOFT_KEYS, SoftKey, SoftKeySet};

use super::text;
use crate::nearest::nearest;

/// Longest name of an object that becomes part of a file's name.
const MAX_NAME: usize = 40;

/// Checks the name of a soft key set, a dial plan or a feature policy: it becomes part of the name
/// of a file.
pub fn check_object_name(name: &str) -> Result<(), String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(known) {
        return Err(format!(
            "{name:?} cannot be part of a file's name: expected 1 to {MAX_NAME} letters, digits, \
             - and _"
        ));
    }
    Ok(())
}

/// Says that a name is not known, and which one may be meant.
fn unknown<'n>(kind: &str, name: &str, known: impl IntoIterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("there is no {kind} {name:?}; is {near:?} meant?"),
        None => {
            let names: Vec<_> = known.into_iter().collect();
            format!(
                "there is no {kind} {name:?}; there are: {}",
                names.join(", ")
            )
        }
    }
}

/// A page behind the services button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneService {
    pub url: String,
    /// 0 an XML service, 1 a call list, 2 messages: `type` of `phoneService`.
    #[serde(default)]
    pub kind: u8,
    /// 0 XML, 1 Java MIDlet.
    #[serde(default)]
    pub category: u8,
    #[serde(default)]
    pub vendor: String,
    #[serde(default)]
    pub version: String,
}

impl PhoneService {
    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        if self.url.is_empty() {
            return Err("it has no url".into());
        }
        text::url(&self.url, 255)?;
        if self.kind > 2 {
            return Err(format!("kind {} is none of 0, 1 and 2", self.kind));
        }
        if self.category > 1 {
            return Err(format!("category {} is neither 0 nor 1", self.category));
        }
        text::value(&self.vendor, 50)?;
        text::value(&self.version, 50).map(|_| ())
    }
}

/// The names of a table that are used and not in it are told with the nearest that is.
fn check_names<'n, V>(
    kind: &str,
    used: &BTreeMap<String, V>,
    known: impl IntoIterator<Item = &'n str> + Clone,
) -> Result<(), String> {
    let stray = used
        .keys()
        .find(|name| !known.clone().into_iter().any(|known| known == *name));
    match stray {
        Some(name) => Err(unknown(kind, name, known)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_becomes_part_of_a_file_name_is_kept_simple() {
        for name in [
            "default",
            "office-2",
            "A_b",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert_eq!(check_object_name(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "a/b", "a.xml", "ä", &"x".repeat(41)] {
            assert!(check_object_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_service_has_a_url_that_phones_can_open() {
        let service = |url: &str, kind| PhoneService {
            url: url.into(),
            kind,
            category: 0,
            vendor: String::new(),
            version: String::new(),
        };
        assert_eq!(service("http://10.0.0.1/menu", 0).check(), Ok(()));
        for (url, kind, part) in [
            ("", 0, "no url"),
            ("ftp://10.0.0.1", 0, "no URL with http"),
            ("http://10.0.0.1", 3, "kind 3"),
        ] {
            let problem = service(url, kind).check().unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_typing_mistake_is_told_with_the_name_that_is_meant() {
        let known = ["On Hook", "Off Hook", "Connected"];
        assert_eq!(nearest("onhook", known), Some("On Hook"));
        assert_eq!(nearest("Conected", known), Some("Connected"));
        assert_eq!(nearest("Parked", known), None);
    }
}
