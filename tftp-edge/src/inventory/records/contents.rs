//! The records of a whole inventory.

use std::collections::BTreeMap;

use super::super::Contents;
use super::{Record, Table};

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
    pub(in super::super) fn put_shared(&mut self, record: Record) {
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
