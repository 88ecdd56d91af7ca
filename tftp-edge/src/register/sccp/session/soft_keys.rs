//! The soft keys of the inventory, as SCCP has them.
//!
//! A set of the inventory names keys and states as SIP phones do. SCCP has one template with all
//! keys, and for each state, by its number, places in it.

use crate::inventory::{CALL_STATES, SOFT_KEYS, SoftKeySet};
use crate::register::sccp::wire::{EVENTS, Label, MAX_KEYS, TemplateKey};

/// The state of a phone nobody uses.
pub(super) const ON_HOOK: u32 = 0;

/// States by the number SCCP has for them. The last two are states of shared lines and
/// conferences, which SIP phones do not tell from the ones they look like.
const STATES: [&str; 13] = [
    "On Hook",
    "Connected",
    "On Hold",
    "Ring In",
    "Off Hook",
    "Connected Transfer",
    "Digits After First",
    "Connected Conference",
    "Ring Out",
    "Off Hook With Feature",
    "Remote In Use",
    "On Hook",
    "On Hold",
];

/// The events that have another name in the inventory than in lower case. Those of the inventory's
/// keys that are not here, nor among SCCP's events, have none: they are left out.
const RENAMED: [(&str, &str); 2] = [("<<", "backspace"), ("Undefined", "empty")];

/// What stands on a key that the dictionary of phones has no word for.
const TEXTS: [(&str, &str); 11] = [
    ("cfwdbusy", "CFwdBusy"),
    ("cfwdnoanswer", "CFwdNoAns"),
    ("info", "Info"),
    ("monitor", "Monitor"),
    ("barge", "Barge"),
    ("private", "Private"),
    ("trnsfvm", "TrnsfVM"),
    ("dirtrfr", "DirTrfr"),
    ("videomode", "VidMode"),
    ("intrcpt", "Intrcpt"),
    ("dial", "Dial"),
];

/// Keys in the order of their events, so that the place of a key is its event.
pub(super) fn template() -> [TemplateKey; EVENTS.len()] {
    std::array::from_fn(|at| TemplateKey {
        label: label(EVENTS[at]),
        event: at as u32 + 1,
    })
}

fn label(event: &str) -> Label {
    let word = SOFT_KEYS
        .iter()
        .find(|key| event_of(key.name) == Some(event));
    if let Some(place) = word.and_then(|key| u8::try_from(key.tag).ok())
        && place > 0
    {
        return Label::Dictionary(place);
    }
    let text = TEXTS.iter().find(|(of, _)| *of == event);
    Label::Text(text.map_or("", |(_, text)| text))
}

/// The event of a key by its name in the inventory.
fn event_of(key: &str) -> Option<&'static str> {
    let renamed = RENAMED.iter().find(|(name, _)| *name == key);
    let name = renamed.map_or(key, |(_, event)| event);
    EVENTS
        .into_iter()
        .find(|event| event.eq_ignore_ascii_case(name))
}

/// Places in the template for each state.
pub(super) fn sets(set: &SoftKeySet) -> [[u8; MAX_KEYS]; STATES.len()] {
    STATES.map(|state| {
        let mut places = [0; MAX_KEYS];
        let keys = keys(set, state).filter_map(place);
        for (slot, place) in places.iter_mut().zip(keys) {
            *slot = place;
        }
        places
    })
}

/// A bit for each key of the state.
pub(super) fn valid(set: &[u8; MAX_KEYS]) -> u32 {
    let keys = set.iter().take_while(|place| **place != 0).count();
    (1 << keys) - 1
}

fn keys<'s>(set: &'s SoftKeySet, state: &str) -> impl Iterator<Item = &'s str> {
    let own = set.states.get(state);
    let usual = CALL_STATES.iter().find(|it| it.name == state);
    let usual = usual.filter(|_| own.is_none()).map(|it| it.usual);
    let own = own.into_iter().flatten().map(String::as_str);
    own.chain(usual.into_iter().flatten().copied())
}

fn place(key: &str) -> Option<u8> {
    let event = event_of(key)?;
    let at = EVENTS.iter().position(|known| *known == event)?;
    u8::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_template_has_words_of_the_phone_where_there_are_some() {
        let template = template();
        assert_eq!(template[0].label, Label::Dictionary(1));
        assert_eq!(template[7].label, Label::Dictionary(8));
        assert_eq!(template[21].label, Label::Dictionary(63));
        assert_eq!(template[5].label, Label::Text("CFwdBusy"));
        assert_eq!(template[30].label, Label::Text(""));
        for (at, key) in template.iter().enumerate() {
            assert_eq!(key.event as usize, at + 1);
            let is_empty = EVENTS[at] == "empty";
            assert_eq!(key.label == Label::Text(""), is_empty, "{}", EVENTS[at]);
        }
    }

    #[test]
    fn a_state_that_a_set_does_not_name_has_the_usual_keys() {
        let sets = sets(&SoftKeySet::default());
        // Redial, NewCall, CFwdAll.
        assert_eq!(sets[0][..4], [1, 2, 5, 0]);
        assert_eq!(valid(&sets[0]), 0b111);
        // Undefined keeps the first place.
        assert_eq!(sets[8][..3], [31, 9, 0]);
        assert_eq!(valid(&sets[10]), 0);
    }

    #[test]
    fn a_set_of_the_inventory_is_kept_in_its_order() {
        let keys = ["NewCall", "DND", "HLog", "Redial"].map(str::to_owned);
        let states = BTreeMap::from([("On Hook".to_owned(), keys.to_vec())]);
        let sets = sets(&SoftKeySet { states });
        // HLog has no event in SCCP.
        assert_eq!(sets[0][..4], [2, 22, 1, 0]);
        assert_eq!(sets[11], sets[0]);
        assert_eq!(valid(&sets[0]), 0b111);
    }

    #[test]
    fn every_state_is_one_of_the_inventory() {
        for state in STATES {
            assert!(CALL_STATES.iter().any(|it| it.name == state), "{state}");
        }
    }
}
