//! `FP<name>.xml`: which features a phone of the 8900 or 9900 series offers.
//!
//! Source: the page on the feature policy at usecallmanager.nz.

use super::xml::Xml;
use crate::inventory::{FeaturePolicy, POLICY_FEATURES};

/// Only what the policy names: the phone has its own default for the rest.
pub(super) fn write(buffer: &mut Vec<u8>, name: &str, policy: &FeaturePolicy) {
    let mut xml = Xml::new(buffer);
    xml.nest_with("featurePolicy", &[("name", name)], |xml| {
        xml.stamp("versionStamp");
        for feature in POLICY_FEATURES {
            let Some(&enable) = policy.features.get(feature.name) else {
                continue;
            };
            xml.nest_with("featureDef", &[("name", feature.title)], |xml| {
                xml.number("id", feature.id);
                xml.flag("enable", enable);
            });
        }
    });
    xml.finish();
}
