//! `SK<name>.xml`: the keys below the display of a SIP phone, for each state of a call.
//!
//! The file defines the keys it uses, and then lists them for each state. A state without keys is
//! listed empty, since a phone shows its own keys in one that is not listed.
//!
//! Source: the page on soft keys at usecallmanager.nz.

use super::xml::Xml;
use crate::inventory::{CALL_STATES, SOFT_KEYS, SoftKeySet};

/// Holds a place in a row of keys; every file defines it.
const EMPTY: &str = "Undefined";

pub(super) fn write(buffer: &mut Vec<u8>, set: &SoftKeySet) {
    let mut xml = Xml::new(buffer);
    let is_used =
        |name: &str| name == EMPTY || set.states.values().flatten().any(|key| key == name);
    xml.nest("softKeyCfg", |xml| {
        xml.stamp("versionStamp");
        xml.nest("typeSoftKey", |xml| {
            for key in SOFT_KEYS.iter().filter(|key| is_used(key.name)) {
                xml.nest_with("softKeyDef", &[("keyID", key.name)], |xml| {
                    xml.number("tag", key.tag);
                    xml.number("eventID", key.event);
                    // Help texts stand in the order of the events.
                    xml.number("helpID", if key.event == 0 { 0 } else { 300 + key.event });
                });
            }
        });
        xml.nest("softKeySets", |xml| {
            for state in CALL_STATES {
                let keys = set.states.get(state.name).map_or(&[][..], Vec::as_slice);
                if keys.is_empty() {
                    xml.text_with("softKeySet", &[("id", state.name)], "");
                    continue;
                }
                xml.nest_with("softKeySet", &[("id", state.name)], |xml| {
                    for key in keys {
                        xml.text_with("softKey", &[("keyID", key)], "");
                    }
                });
            }
        });
    });
    xml.finish();
}
