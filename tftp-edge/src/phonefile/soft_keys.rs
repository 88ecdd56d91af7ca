//! `SK<name>.xml`: the keys below the display of a SIP phone, for each state of a call.
//!
//! The file defines the keys it uses, and then lists them for each state. A state that a set does
//! not name has the usual keys.
//!
//! Source: the page on soft keys at usecallmanager.nz.

use std::collections::BTreeSet;

use super::xml::Xml;
use crate::inventory::{CALL_STATES, CallState, SOFT_KEYS, SoftKeySet};

/// Holds a place in a row of keys; every file defines it.
const EMPTY: &str = "Undefined";

pub(super) fn write(buffer: &mut Vec<u8>, set: &SoftKeySet) {
    let mut xml = Xml::new(buffer);
    let keys = |state: &CallState| -> Vec<&str> {
        match set.states.get(state.name) {
            Some(keys) => keys.iter().map(String::as_str).collect(),
            None => state.usual.to_vec(),
        }
    };
    let used: BTreeSet<&str> = CALL_STATES.iter().flat_map(keys).chain([EMPTY]).collect();
    xml.nest("softKeyCfg", |xml| {
        xml.stamp("versionStamp");
        xml.nest("typeSoftKey", |xml| {
            for key in SOFT_KEYS.iter().filter(|key| used.contains(key.name)) {
                xml.nest_with("softKeyDef", &[("keyID", key.name)], |xml| {
                    xml.number("tag", key.tag);
                    xml.number("eventID", key.event);
                    // Help texts stand in the order of the events.
                    let help = if key.event == 0 { 0 } else { 300 + key.event };
                    xml.number("helpID", help);
                });
            }
        });
        xml.nest("softKeySets", |xml| {
            for state in CALL_STATES {
                let id = [("id", state.name)];
                match keys(state).as_slice() {
                    [] => xml.text_with("softKeySet", &id, ""),
                    keys => xml.nest_with("softKeySet", &id, |xml| {
                        for key in keys {
                            xml.text_with("softKey", &[("keyID", key)], "");
                        }
                    }),
                }
            }
        });
    });
    xml.finish();
}
