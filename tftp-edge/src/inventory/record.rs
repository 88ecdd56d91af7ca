//! The inventory as tables of records: whatever an operator edits is one of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{
    AppDialRule, Contents, Device, DialPlan, FeaturePolicy, Model, PhoneService, Protocol, Server,
    SoftKeySet,
};

/// Settings of a layer, by key.
pub type LayerSettings = BTreeMap<String, String>;

/// A table of the inventory, in an order in which nothing refers to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Models,
    Loads,
    ServerGroups,
    SoftKeys,
    DialPlans,
    AppDialRules,
    FeaturePolicies,
    Services,
    Profiles,
    Sites,
    Devices,
}

impl Table {
    pub const ALL: [Self; 11] = [
        Self::Models,
        Self::Loads,
        Self::ServerGroups,
        Self::SoftKeys,
        Self::DialPlans,
        Self::AppDialRules,
        Self::FeaturePolicies,
        Self::Services,
        Self::Profiles,
        Self::Sites,
        Self::Devices,
    ];

    /// Its name on the command line and in the database; with `.csv`, that of its file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Loads => "loads",
            Self::ServerGroups => "server_groups",
            Self::SoftKeys => "soft_keys",
            Self::DialPlans => "dial_plans",
            Self::AppDialRules => "app_dial_rules",
            Self::FeaturePolicies => "feature_policies",
            Self::Services => "services",
            Self::Profiles => "profiles",
            Self::Sites => "sites",
            Self::Devices => "devices",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|table| table.as_str() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("there is no table {text:?}; there are: {names}")
        })
    }
}

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Model(Box<Model>),
    Load {
        model: String,
        protocol: Protocol,
        /// Without `.loads`.
        load: String,
    },
    ServerGroup(String, Vec<Server>),
    SoftKeys(String, SoftKeySet),
    DialPlan(String, DialPlan),
    /// By its place in the file.
    AppDialRule(u16, AppDialRule),
    FeaturePolicy(String, FeaturePolicy),
    Service(String, PhoneService),
    Profile(String, LayerSettings),
    Site(String, LayerSettings),
    Device(Box<Device>),
}

impl Record {
    pub const fn table(&self) -> Table {
        match self {
            Self::Model(_) => Table::Models,
            Self::Load { .. } => Table::Loads,
            Self::ServerGroup(..) => Table::ServerGroups,
            Self::SoftKeys(..) => Table::SoftKeys,
            Self::DialPlan(..) => Table::DialPlans,
            Self::AppDialRule(..) => Table::AppDialRules,
            Self::FeaturePolicy(..) => Table::FeaturePolicies,
            Self::Service(..) => Table::Services,
            Self::Profile(..) => Table::Profiles,
            Self::Site(..) => Table::Sites,
            Self::Device(_) => Table::Devices,
        }
    }

    /// What tells it from the others of its table.
    pub fn key(&self) -> String {
        match self {
            Self::Model(model) => model.name.to_string(),
            Self::Load {
                model, protocol, ..
            } => load_key(model, *protocol),
            Self::ServerGroup(name, _)
            | Self::SoftKeys(name, _)
            | Self::DialPlan(name, _)
            | Self::FeaturePolicy(name, _)
            | Self::Service(name, _)
            | Self::Profile(name, _)
            | Self::Site(name, _) => name.clone(),
            Self::AppDialRule(order, _) => order.to_string(),
            Self::Device(device) => device.name.to_string(),
        }
    }
}

/// A load is that of a model with a protocol.
pub(super) fn load_key(model: &str, protocol: Protocol) -> String {
    format!("{model}/{protocol}")
}

/// What is done to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Added(Record),
    Changed { before: Record, after: Record },
    Removed(Record),
}

impl Change {
    /// None if both are the same, or nothing.
    pub fn between(before: Option<Record>, after: Option<Record>) -> Option<Self> {
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(Self::Added(after)),
            (Some(before), None) => Some(Self::Removed(before)),
            (Some(before), Some(after)) if before == after => None,
            (Some(before), Some(after)) => Some(Self::Changed { before, after }),
        }
    }

    /// The record as it was, or as it becomes where it was not.
    pub const fn record(&self) -> &Record {
        match self {
            Self::Added(record) | Self::Removed(record) => record,
            Self::Changed { before, .. } => before,
        }
    }

    pub const fn before(&self) -> Option<&Record> {
        match self {
            Self::Added(_) => None,
            Self::Removed(before) | Self::Changed { before, .. } => Some(before),
        }
    }

    pub const fn after(&self) -> Option<&Record> {
        match self {
            Self::Removed(_) => None,
            Self::Added(after) | Self::Changed { after, .. } => Some(after),
        }
    }
}

impl Contents {
    /// The records of a table but devices, in their order.
    pub fn shared(&self, table: Table) -> Vec<Record> {
        let objects = &self.objects;
        match table {
            Table::Models => {
                let models = self.models.values().cloned();
                models.map(|model| Record::Model(model.into())).collect()
            }
            Table::Loads => of(&self.loads, |(model, protocol), load| Record::Load {
                model,
                protocol,
                load,
            }),
            Table::ServerGroups => of(&objects.server_groups, Record::ServerGroup),
            Table::SoftKeys => of(&objects.soft_keys, Record::SoftKeys),
            Table::DialPlans => of(&objects.dial_plans, Record::DialPlan),
            Table::AppDialRules => of(&objects.app_dial_rules, Record::AppDialRule),
            Table::FeaturePolicies => of(&objects.feature_policies, Record::FeaturePolicy),
            Table::Services => of(&objects.services, Record::Service),
            Table::Profiles => of(&self.profiles, Record::Profile),
            Table::Sites => of(&self.sites, Record::Site),
            Table::Devices => Vec::new(),
        }
    }

    /// Puts a record in the place of that with its key. Devices are put by the caller, who knows
    /// where they are.
    pub(super) fn put_shared(&mut self, record: Record) {
        let objects = &mut self.objects;
        match record {
            Record::Model(model) => drop(self.models.insert(model.name.to_string(), *model)),
            Record::Load {
                model,
                protocol,
                load,
            } => drop(self.loads.insert((model, protocol), load)),
            Record::ServerGroup(name, value) => drop(objects.server_groups.insert(name, value)),
            Record::SoftKeys(name, value) => drop(objects.soft_keys.insert(name, value)),
            Record::DialPlan(name, value) => drop(objects.dial_plans.insert(name, value)),
            Record::AppDialRule(order, value) => drop(objects.app_dial_rules.insert(order, value)),
            Record::FeaturePolicy(name, value) => {
                drop(objects.feature_policies.insert(name, value));
            }
            Record::Service(name, value) => drop(objects.services.insert(name, value)),
            Record::Profile(name, value) => drop(self.profiles.insert(name, value)),
            Record::Site(name, value) => drop(self.sites.insert(name, value)),
            Record::Device(_) => {}
        }
    }
}

fn of<K: Clone, V: Clone>(map: &BTreeMap<K, V>, record: impl Fn(K, V) -> Record) -> Vec<Record> {
    let pairs = map.iter().map(|(key, value)| (key.clone(), value.clone()));
    pairs.map(|(key, value)| record(key, value)).collect()
}
