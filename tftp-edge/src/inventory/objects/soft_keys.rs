//! Soft keys: which keys a SIP phone shows below its display, in which state of a call.
//!
//! Source: the page on soft keys at usecallmanager.nz, for the numbers of the keys and for what a
//! phone takes in which state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{check_names, unknown};

/// The most keys of one state.
const MAX_KEYS: usize = 16;

/// The soft keys below the display, for each state of a call; the file `SK<name>.xml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftKeySet {
    /// Names of keys from left to right, by the name of the state. A state that is not named has
    /// the usual ones; one with none shows none.
    pub states: BTreeMap<String, Vec<String>>,
}

impl SoftKeySet {
    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        check_names(
            "call state",
            &self.states,
            CALL_STATES.iter().map(|state| state.name),
        )?;
        for state in CALL_STATES {
            if let Some(keys) = self.states.get(state.name) {
                state.check(keys)?;
            }
        }
        Ok(())
    }
}

/// A key as phones know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftKey {
    pub name: &'static str,
    /// The text on it: a place in the phone's dictionary.
    pub tag: u32,
    /// What it does.
    pub event: u32,
}

const fn key(name: &'static str, tag: u32, event: u32) -> SoftKey {
    SoftKey { name, tag, event }
}

/// In the order of their events.
pub static SOFT_KEYS: &[SoftKey] = &[
    key("Undefined", 0, 0),
    key("Redial", 1, 1),
    key("NewCall", 2, 2),
    key("Hold", 3, 3),
    key("Transfer", 4, 4),
    key("CFwdAll", 5, 5),
    key("<<", 8, 8),
    key("EndCall", 9, 9),
    key("Resume", 10, 10),
    key("Answer", 11, 11),
    key("Confrn", 13, 13),
    key("Park", 14, 14),
    key("Join", 15, 15),
    key("MeetMe", 16, 16),
    key("PickUp", 17, 17),
    key("GPickUp", 18, 18),
    key("RmLstC", 57, 19),
    key("CallBack", 65, 20),
    key("QRT", 75, 22),
    key("MCID", 76, 27),
    key("Select", 78, 29),
    key("ConfList", 79, 30),
    key("iDivert", 80, 31),
    key("OPickUp", 91, 34),
    key("HLog", 92, 35),
    key("DND", 63, 69),
    key("AbbrDial", 7740, 71),
    key("Record", 7747, 74),
];

/// A state of a call, and what it can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallState {
    pub name: &'static str,
    /// Without this key the user is stuck in the state.
    pub required: Option<&'static str>,
    /// The other keys; `Undefined` holds a place in any state.
    pub keys: &'static [&'static str],
    /// What is shown if a set does not name the state: nobody is to be stuck in a call.
    pub usual: &'static [&'static str],
}

const fn state(
    name: &'static str,
    required: Option<&'static str>,
    keys: &'static [&'static str],
    usual: &'static [&'static str],
) -> CallState {
    CallState {
        name,
        required,
        keys,
        usual,
    }
}

/// In the order phones expect them.
pub static CALL_STATES: &[CallState] = &[
    state(
        "On Hook",
        Some("NewCall"),
        &[
            "Redial", "DND", "CFwdAll", "HLog", "PickUp", "GPickUp", "OPickUp", "CallBack",
            "MeetMe", "QRT",
        ],
        &["Redial", "NewCall", "CFwdAll"],
    ),
    state(
        "Off Hook",
        None,
        &[
            "Redial", "EndCall", "DND", "CFwdAll", "HLog", "PickUp", "GPickUp", "OPickUp",
            "AbbrDial",
        ],
        &["Redial", "EndCall", "PickUp"],
    ),
    state(
        "Off Hook With Feature",
        None,
        &["Redial", "EndCall", "DND", "AbbrDial"],
        &["Redial", "EndCall"],
    ),
    state(
        "Digits After First",
        Some("<<"),
        &["EndCall", "DND", "AbbrDial"],
        &["<<", "EndCall"],
    ),
    state(
        "Ring Out",
        None,
        &["EndCall", "DND", "CallBack"],
        &["Undefined", "EndCall"],
    ),
    state(
        "Connected",
        Some("EndCall"),
        &[
            "Hold", "Transfer", "Park", "Confrn", "ConfList", "RmLstC", "Record", "iDivert", "DND",
            "HLog", "QRT", "MCID", "Select", "Join",
        ],
        &["Hold", "EndCall", "Transfer", "Confrn", "Park"],
    ),
    state(
        "Connected No Feature",
        None,
        &["EndCall"],
        &["Undefined", "EndCall"],
    ),
    state(
        "Connected Transfer",
        Some("Transfer"),
        &["EndCall", "CallBack", "QRT"],
        &["Undefined", "EndCall", "Transfer"],
    ),
    state(
        "Connected Conference",
        Some("Confrn"),
        &["EndCall", "DND", "QRT"],
        &["Undefined", "EndCall", "Confrn"],
    ),
    state(
        "On Hold",
        Some("Resume"),
        &["NewCall", "iDivert", "DND", "Select", "Join"],
        &["Resume", "NewCall"],
    ),
    state(
        "Ring In",
        None,
        &["Answer", "iDivert", "DND"],
        &["Answer", "iDivert"],
    ),
    state("Remote In Use", None, &[], &[]),
];

impl CallState {
    /// What is wrong with a row of keys in this state, if anything is.
    pub fn check(&self, keys: &[String]) -> Result<(), String> {
        let told = |problem: String| Err(format!("in the call state {:?}: {problem}", self.name));
        if keys.len() > MAX_KEYS {
            return told(format!("{} keys are more than {MAX_KEYS}", keys.len()));
        }
        for key in keys {
            if !SOFT_KEYS.iter().any(|known| known.name == key) {
                let names = SOFT_KEYS.iter().map(|key| key.name);
                return told(unknown("soft key", key, names));
            }
            let is_here = self.required == Some(key) || self.keys.contains(&key.as_str());
            if !is_here && key != "Undefined" {
                let mut here: Vec<_> = self.required.into_iter().collect();
                here.extend(self.keys);
                return told(format!(
                    "a phone does not show the key {key:?}; it shows: {}",
                    here.join(", ")
                ));
            }
        }
        match self.required {
            Some(required) if !keys.is_empty() && !keys.iter().any(|key| key == required) => {
                told(format!("the key {required:?} is missing, phones need it"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: &str, keys: &[&str]) -> Result<(), String> {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let states = BTreeMap::from([(state.to_owned(), keys)]);
        SoftKeySet { states }.check()
    }

    #[test]
    fn keys_stand_in_the_states_that_phones_show_them_in() {
        assert_eq!(check("On Hook", &["Redial", "NewCall", "DND"]), Ok(()));
        assert_eq!(check("Ring Out", &["Undefined", "EndCall"]), Ok(()));
        assert_eq!(check("Digits After First", &["<<", "EndCall"]), Ok(()));
        assert_eq!(check("Ring In", &[]), Ok(()));
        assert_eq!(SoftKeySet::default().check(), Ok(()));
    }

    #[test]
    fn what_a_phone_would_not_show_is_refused_with_what_it_would() {
        for (state, keys, part) in [
            ("On-Hook", &["NewCall"][..], "is \"On Hook\" meant?"),
            ("Parked", &[], "there are: On Hook, Off Hook"),
            ("On Hook", &["NewCall", "Redail"], "is \"Redial\" meant?"),
            ("On Hook", &["newcall"], "is \"NewCall\" meant?"),
            ("Ring In", &["Hold"], "it shows: Answer, iDivert, DND"),
            ("On Hold", &["NewCall"], "\"Resume\" is missing"),
            ("Ring Out", &["EndCall"; 17], "17 keys are more than 16"),
        ] {
            let problem = check(state, keys).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn every_key_of_every_state_is_defined() {
        for state in CALL_STATES {
            for key in state.keys.iter().chain(&state.required) {
                assert!(SOFT_KEYS.iter().any(|known| known.name == *key), "{key}");
            }
            let usual: Vec<_> = state.usual.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(state.check(&usual), Ok(()));
        }
    }
}
