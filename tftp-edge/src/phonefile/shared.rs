//! The files that many phones read: what there is of them, and what they are called.

use std::fmt;

use super::xml::Xml;
use super::{
    RenderError, Renderer, dial_rules, feature_policy, legacy_sip, soft_keys, xml_default,
};
use crate::inventory::{DEFAULT_SITE, Protocol, Snapshot};

/// The plan that is served as `dialplan.xml` too: the name that many configurations have.
const DEFAULT_PLAN: &str = "default";

/// A generated file that is the same for all phones; its text is the name as phones spell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SharedFile {
    /// `ATADefault.cnf.xml`.
    AtaDefault,
    /// `SIPDefault.cnf`.
    SipDefault,
    /// `OS79XX.TXT`.
    LegacyImage,
    /// `AppDialRules.xml`.
    AppDialRules,
    /// `dialplan.xml`: the plan called `default`.
    DefaultDialPlan,
    /// `DR<name>.xml`.
    DialPlan(String),
    /// `SK<name>.xml`.
    SoftKeys(String),
    /// `FP<name>.xml`.
    FeaturePolicy(String),
}

impl fmt::Display for SharedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtaDefault => formatter.write_str("ATADefault.cnf.xml"),
            Self::SipDefault => formatter.write_str("SIPDefault.cnf"),
            Self::LegacyImage => formatter.write_str("OS79XX.TXT"),
            Self::AppDialRules => formatter.write_str("AppDialRules.xml"),
            Self::DefaultDialPlan => formatter.write_str("dialplan.xml"),
            Self::DialPlan(name) => write!(formatter, "DR{name}.xml"),
            Self::SoftKeys(name) => write!(formatter, "SK{name}.xml"),
            Self::FeaturePolicy(name) => write!(formatter, "FP{name}.xml"),
        }
    }
}

impl SharedFile {
    /// Every one that the inventory has something for.
    pub fn all(snapshot: &Snapshot) -> Vec<Self> {
        let objects = &snapshot.objects;
        let mut files = vec![Self::AtaDefault, Self::SipDefault];
        if legacy_load(snapshot).is_some() {
            files.push(Self::LegacyImage);
        }
        if !objects.app_dial_rules.is_empty() {
            files.push(Self::AppDialRules);
        }
        if objects.dial_plans.contains_key(DEFAULT_PLAN) {
            files.push(Self::DefaultDialPlan);
        }
        files.extend(objects.dial_plans.keys().cloned().map(Self::DialPlan));
        files.extend(objects.soft_keys.keys().cloned().map(Self::SoftKeys));
        files.extend(
            objects
                .feature_policies
                .keys()
                .cloned()
                .map(Self::FeaturePolicy),
        );
        files
    }

    pub(super) fn write(
        &self,
        renderer: &mut Renderer,
        snapshot: &Snapshot,
    ) -> Result<(), RenderError> {
        let objects = &snapshot.objects;
        let not_there = |kind, name: &String| RenderError::NotThere {
            kind,
            name: name.clone(),
        };
        let buffer = &mut renderer.buffer;
        match self {
            Self::AtaDefault => {
                let site = snapshot.site_settings(DEFAULT_SITE)?;
                let mut xml = Xml::new(buffer);
                xml_default::write_for_adapters(&mut xml, &site.phone, snapshot);
                xml.finish();
            }
            Self::SipDefault => {
                let site = snapshot.site_settings(DEFAULT_SITE)?;
                legacy_sip::default_file(buffer, &site.phone, legacy_load(snapshot));
            }
            Self::LegacyImage => {
                legacy_sip::image_name(buffer, legacy_load(snapshot).unwrap_or_default());
            }
            Self::AppDialRules => {
                dial_rules::app_dial_rules(buffer, objects.app_dial_rules.values())
            }
            Self::DefaultDialPlan => {
                return Self::DialPlan(DEFAULT_PLAN.to_owned()).write(renderer, snapshot);
            }
            Self::DialPlan(name) => {
                let plan = objects.dial_plans.get(name);
                let plan = plan.ok_or_else(|| not_there("dial plan", name))?;
                if let Some(problem) = dial_rules::dial_plan_problem(plan) {
                    return Err(RenderError::DialPlan(problem));
                }
                dial_rules::dial_plan(buffer, plan);
            }
            Self::SoftKeys(name) => {
                let set = objects.soft_keys.get(name);
                soft_keys::write(buffer, set.ok_or_else(|| not_there("soft key set", name))?);
            }
            Self::FeaturePolicy(name) => {
                let policy = objects.feature_policies.get(name);
                let policy = policy.ok_or_else(|| not_there("feature policy", name))?;
                feature_policy::write(buffer, name, policy);
            }
        }
        Ok(())
    }
}

/// What 7960s with SIP firmware are to run, and 7940s: one image serves both.
fn legacy_load(snapshot: &Snapshot) -> Option<&str> {
    let load = |model: &str| snapshot.loads.get(&(model.to_owned(), Protocol::Sip));
    load("7960").or_else(|| load("7940")).map(String::as_str)
}
