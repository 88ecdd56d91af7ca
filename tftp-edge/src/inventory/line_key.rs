//! What a button beside the display does that is no line.

use serde::{Deserialize, Serialize};

/// A button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineKey {
    pub label: String,
    pub action: KeyAction,
}

/// `featureID` of a SIP configuration, button definitions of SCCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyAction {
    SpeedDial {
        number: String,
    },
    /// A speed dial with a lamp that shows whether the other is busy.
    Blf {
        number: String,
    },
    /// A phone service of the inventory, by its name.
    Service {
        name: String,
    },
    /// A feature of the phone by its name in [`FEATURES`].
    Feature {
        name: String,
    },
}

/// Features a button can have, with the number SIP phones know them by. Those that need a number of
/// their own (22 a parking place, 23 an intercom line) are none of them.
pub const FEATURES: &[(&str, u16)] = &[
    ("redial", 1),
    ("hold", 3),
    ("transfer", 4),
    ("forward", 5),
    ("settings", 18),
    ("malicious_call", 27),
    ("conference", 102),
    ("meet_me", 123),
    ("park", 126),
    ("pickup", 127),
    ("group_pickup", 128),
    ("dnd", 130),
    ("remove_last", 132),
    ("quality_report", 133),
    ("callback", 134),
    ("other_pickup", 135),
    ("new_call", 137),
    ("hunt", 139),
    ("all_calls", 140),
    ("answer", 141),
    ("alerting", 142),
    ("record", 159),
    ("services", 192),
    ("messages", 194),
    ("directories", 195),
    ("applications", 197),
    ("headset", 198),
];

/// The number of a feature; none if there is no such feature.
pub fn feature_id(name: &str) -> Option<u16> {
    let feature = FEATURES.iter().find(|(known, _)| *known == name);
    feature.map(|&(_, id)| id)
}
