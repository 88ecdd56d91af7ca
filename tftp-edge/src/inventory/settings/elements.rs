//! The elements of a phone's configuration that a setting can name: `xml.NAME` for those of the
//! whole file, `vendor.NAME` for those of `vendorConfig`.
//!
//! The tables say where an element stands, in which order, and what is written when nothing is set.
//! The writers of phone files go through them, so that what the help shows is what is written.
//!
//! Sources: the page on `SEPMAC.cnf.xml` at usecallmanager.nz, the annotated samples of chan-sccp,
//! and for [`Section::LegacySip`] the files that Cisco's call manager express prints.

mod tables;
mod vendor;

pub use vendor::{VENDOR_ELEMENTS, VendorElement};

use crate::nearest::nearest;

/// The part of the file that an element stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Beneath `device`, before the device pool.
    Head,
    DevicePool,
    CallFeatures,
    SipStack,
    /// Beneath `sipProfile` before the lines.
    SipProfile,
    /// Of every line.
    Line,
    /// Of every line: what a forwarded call shows.
    ForwardCallInfo,
    /// Of every button that shows whether another is busy.
    BusyLamp,
    CommonProfile,
    /// Beneath `device`, after the services.
    Tail,
    /// What SCCP phones alone read.
    Mobility,
    SccpDscp,
    /// `SIPDefault.cnf` and `SIP<MAC>.cnf`: a line of text, no element.
    LegacySip,
}

impl Section {
    pub const ALL: [Self; 13] = [
        Self::Head,
        Self::DevicePool,
        Self::CallFeatures,
        Self::SipStack,
        Self::SipProfile,
        Self::Line,
        Self::ForwardCallInfo,
        Self::BusyLamp,
        Self::CommonProfile,
        Self::Tail,
        Self::Mobility,
        Self::SccpDscp,
        Self::LegacySip,
    ];

    /// What it is called in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head | Self::Tail | Self::SccpDscp => "device",
            Self::DevicePool => "devicePool",
            Self::CallFeatures => "sipCallFeatures",
            Self::SipStack => "sipStack",
            Self::SipProfile => "sipProfile",
            Self::Line | Self::BusyLamp => "line",
            Self::ForwardCallInfo => "forwardCallInfoDisplay",
            Self::CommonProfile => "commonProfile",
            Self::Mobility => "mobility",
            Self::LegacySip => "SIP<MAC>.cnf",
        }
    }

    /// In the order they are written.
    pub const fn elements(self) -> &'static [Element] {
        match self {
            Self::Head => tables::HEAD,
            Self::DevicePool => tables::DEVICE_POOL,
            Self::CallFeatures => tables::CALL_FEATURES,
            Self::SipStack => tables::SIP_STACK,
            Self::SipProfile => tables::SIP_PROFILE,
            Self::Line => tables::LINE,
            Self::ForwardCallInfo => tables::FORWARD_CALL_INFO,
            Self::BusyLamp => tables::BUSY_LAMP,
            Self::CommonProfile => tables::COMMON_PROFILE,
            Self::Tail => tables::TAIL,
            Self::Mobility => tables::MOBILITY,
            Self::SccpDscp => tables::SCCP_DSCP,
            Self::LegacySip => tables::LEGACY_SIP,
        }
    }
}

/// An element with text and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    pub name: &'static str,
    pub value: Value,
}

/// What is written when `xml.NAME` is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Text(&'static str),
    /// The element itself is left out.
    LeftOut,
    /// What follows from the device or from other settings.
    Derived,
    /// The value of another key, and of no other.
    Key(&'static str),
}

/// Elements with a place of their own in the code that writes them, and a key that sets them.
const SET_BY_KEYS: &[(&str, &str)] = &[
    ("timeZone", "time_zone"),
    ("dateTemplate", "date_template"),
    ("userLocale", "user_locale"),
    ("langCode", "user_locale_code"),
    ("networkLocale", "network_locale"),
    ("featurePolicyFile", "feature_policy"),
    ("transportLayerProtocol", "sip_transport"),
    ("proxy", "sip_proxy"),
    ("processNodeName", "servers"),
    ("loadServer", "load_server"),
    ("authenticationURL", "authentication_url"),
    ("servicesURL", "services_url"),
    ("directoryURL", "directory_url"),
    ("informationURL", "information_url"),
    ("messagesURL", "messages_url"),
    ("idleURL", "idle_url"),
    ("idleTimeout", "idle_timeout_s"),
];

/// Other elements that can be set: the code that writes them decides the value if they are not.
const OTHERS: &[&str] = &[
    "userModifiable",
    "isSecure",
    "deviceSecurityMode",
    "MissedCallLoggingOption",
    "inactiveLoadInformation",
    "proxyServerURL",
    "ntpMode",
    "recordingOption",
    "winCharSet",
    "encrConfig",
];

/// Everything `xml.NAME` can set: the name, the part of the file, and what is written otherwise.
pub fn xml_elements() -> impl Iterator<Item = (&'static str, &'static str, Option<&'static str>)> {
    let of_sections = Section::ALL.into_iter().flat_map(|section| {
        let settable = section.elements().iter();
        settable.filter_map(move |element| match element.value {
            Value::Text(text) => Some((element.name, section.as_str(), Some(text))),
            Value::LeftOut | Value::Derived => Some((element.name, section.as_str(), None)),
            Value::Key(_) => None,
        })
    });
    of_sections.chain(OTHERS.iter().map(|name| (*name, "device", None)))
}

/// The key that sets an element which `xml.NAME` cannot.
fn key_of(name: &str) -> Option<&'static str> {
    let elements = Section::ALL.into_iter().flat_map(Section::elements);
    let of_section = elements
        .filter(|element| element.name == name)
        .find_map(|element| match element.value {
            Value::Key(key) => Some(key),
            _ => None,
        });
    let others = SET_BY_KEYS.iter().find(|(known, _)| *known == name);
    of_section.or(others.map(|(_, key)| *key))
}

/// Takes the name of an element that `xml.NAME` can set.
pub(super) fn check_xml(name: &str) -> Result<(), String> {
    if xml_elements().any(|(known, _, _)| known == name) {
        return Ok(());
    }
    if let Some(key) = key_of(name) {
        return Err(format!("{name} is set by the key {key}"));
    }
    if VENDOR_ELEMENTS.iter().any(|known| known.name == name) {
        return Err(format!(
            "{name} is an element of vendorConfig: vendor.{name}"
        ));
    }
    match nearest(name, xml_elements().map(|(known, _, _)| known)) {
        Some(near) => Err(format!("there is no element {name:?}; is {near:?} meant?")),
        None => Err(format!(
            "there is no element {name:?} that can be set; a template can write any"
        )),
    }
}

/// Takes the name of an element of `vendorConfig`. New firmware knows names that no table has, so
/// only what is close to a known one is refused.
pub(super) fn check_vendor(name: &str) -> Result<(), String> {
    /// In a short name one letter makes another word.
    const MISTYPED_LEN: usize = 8;

    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !begins || name.len() > 64 || !name.chars().all(known) {
        return Err(format!("{name:?} is no name of an element"));
    }
    let names = || VENDOR_ELEMENTS.iter().map(|known| known.name);
    if names().any(|known| known == name) {
        return Ok(());
    }
    let mistyped = |known: &&str| {
        let slipped = strsim::osa_distance(known, name) == 1 && name.len() >= MISTYPED_LEN;
        let numbered = name.ends_with(|c: char| c.is_ascii_digit());
        known.eq_ignore_ascii_case(name) || (slipped && !numbered)
    };
    match names().find(mistyped) {
        Some(near) => Err(format!("there is no element {name:?}; is {near:?} meant?")),
        None => Ok(()),
    }
}

/// Every name that `xml.NAME` and `vendor.NAME` know, for people to read.
pub fn element_help() -> String {
    let mut help =
        String::from("\nNames for xml.NAME, where they stand and what is written if not set:\n");
    for (name, place, default) in xml_elements() {
        help += &format!("  {name:<40} {place:<24} {}\n", default.unwrap_or_default());
    }
    help += "\nNames for vendor.NAME (newer firmware may know others):\n";
    for element in VENDOR_ELEMENTS {
        let default = element.default.unwrap_or_default();
        help += &format!("  {:<40} {default}\n", element.name);
    }
    help
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_stands_for_one_element() {
        let names: Vec<_> = xml_elements().map(|(name, _, _)| name).collect();
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        for (name, key) in SET_BY_KEYS {
            assert!(!names.contains(name), "{name}");
            let known = crate::inventory::KEYS.iter().any(|(known, _)| known == key);
            assert!(known, "{key}");
        }
        for section in Section::ALL {
            for element in section.elements() {
                if let Value::Key(key) = element.value {
                    let known = crate::inventory::KEYS
                        .iter()
                        .any(|(known, _)| *known == key);
                    assert!(known, "{key}");
                }
            }
        }
    }

    #[test]
    fn a_name_that_cannot_be_set_is_told_with_what_can() {
        assert_eq!(check_xml("timerT1"), Ok(()));
        assert_eq!(check_xml("deviceSecurityMode"), Ok(()));
        for (name, part) in [
            ("timert1", "is \"timerT1\" meant?"),
            ("timerRegisterExpires", "the key register_expires_s"),
            ("timeZone", "the key time_zone"),
            ("webAccess", "vendor.webAccess"),
            ("processNodeName", "the key servers"),
            ("flux", "a template can write any"),
        ] {
            let problem = check_xml(name).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_vendor_name_of_newer_firmware_is_taken_and_a_mistyped_one_is_not() {
        for name in ["webAccess", "brandNewFeature", "usb3", "dfBit"] {
            assert_eq!(check_vendor(name), Ok(()), "{name}");
        }
        for (name, part) in [
            ("webaccess", "is \"webAccess\" meant?"),
            ("setingsAccess", "is \"settingsAccess\" meant?"),
            ("a/b", "no name"),
            ("", "no name"),
        ] {
            let problem = check_vendor(name).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
