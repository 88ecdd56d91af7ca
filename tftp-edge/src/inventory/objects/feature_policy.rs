//! Feature policies: what a phone of the 8900 or 9900 series offers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check_names;

/// Which features phones offer; the file `FP<name>.xml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturePolicy {
    /// On or off by the feature's name; what is not named is the phone's own default.
    pub features: BTreeMap<String, bool>,
}

impl FeaturePolicy {
    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        let names = POLICY_FEATURES.iter().map(|feature| feature.name);
        check_names("feature", &self.features, names)
    }
}

/// A feature a policy can turn on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyFeature {
    /// As in [`FeaturePolicy::features`].
    pub name: &'static str,
    /// As the file calls it.
    pub title: &'static str,
    pub id: u32,
}

const fn feature(name: &'static str, title: &'static str, id: u32) -> PolicyFeature {
    PolicyFeature { name, title, id }
}

/// All of them, by their number. Source: the page on the feature policy at usecallmanager.nz.
pub static POLICY_FEATURES: &[PolicyFeature] = &[
    feature("forward_all", "Forward All", 1),
    feature("park", "Park", 2),
    feature("divert_alerting", "Divert (Alerting)", 3),
    feature("conference_details", "Conference Details", 4),
    feature("speed_dial", "Speed Dial", 5),
    feature("callback", "Call Back", 6),
    feature("redial", "Redial", 7),
    feature("barge", "Barge", 8),
    feature("divert_connected", "Divert (Connected)", 9),
    feature("pickup", "Call PickUp", 10),
    feature("other_pickup", "Other Call PickUp", 11),
    feature("group_pickup", "Group Call PickUp", 12),
    feature("mobility", "Mobility", 13),
    feature("meet_me", "Meet Me", 14),
    feature("quality_report", "Quality Reporting Tool", 15),
    feature("malicious_call", "Malicious Caller ID", 16),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_no_phone_knows_is_refused_with_the_nearest_one() {
        let policy = |name: &str| FeaturePolicy {
            features: BTreeMap::from([(name.to_owned(), true)]),
        };
        assert_eq!(policy("park").check(), Ok(()));
        let problem = policy("call_back").check().unwrap_err();
        assert!(problem.contains("is \"callback\" meant?"), "{problem}");
        let problem = policy("telepathy").check().unwrap_err();
        assert!(problem.contains("there are: forward_all"), "{problem}");
    }
}
