//! What devices refer to by name: groups of servers, soft keys, dial plans, policies, services.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The soft keys below the display, for each state of a call; the file `SK<name>.xml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftKeySet {
    /// Names of keys from left to right, by the name of the state.
    pub states: BTreeMap<String, Vec<String>>,
}

/// When what was dialled is complete; the file `DR<name>.xml`, and `dialplan.xml` if the plan is
/// called `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialPlan {
    /// The first that matches best holds.
    pub rules: Vec<DialRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialRule {
    /// Digits, `.` for any one, `*` for any number of them, `,` for a second dial tone.
    pub pattern: String,
    /// Seconds until a number that matches is dialled.
    #[serde(default)]
    pub timeout_s: u32,
    /// On this line button alone.
    #[serde(default)]
    pub line: Option<u16>,
    /// What is dialled instead; `%1` and so on stand for what matched.
    #[serde(default)]
    pub rewrite: String,
    /// The tone played at a `,`.
    #[serde(default)]
    pub tone: String,
}

/// How numbers from directories and applications become numbers to dial: a row of
/// `AppDialRules.xml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppDialRule {
    pub begins_with: String,
    pub digits: u8,
    pub remove: u8,
    pub prefix: String,
}

/// Which features phones offer; the file `FP<name>.xml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturePolicy {
    /// On or off by the feature's name; what is not named is the phone's own default.
    pub features: BTreeMap<String, bool>,
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
