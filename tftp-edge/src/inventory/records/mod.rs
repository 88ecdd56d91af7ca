//! The inventory as tables of records: whatever an operator edits is one of them.
//!
//! A record has columns, and each column is text: the same in a CSV file, on the command line, in
//! a diff and in the history. Reading and printing a column are each other's reverse.

mod contents;
mod device;
mod keys;
mod layer;
mod lines;
mod model;
mod name;
mod object;
mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::json;

use super::{
    AppDialRule, Device, DeviceName, DialPlan, FeaturePolicy, KeyAction, Model, Models,
    PhoneService, Protocol, Server, Site, SoftKeySet,
};
pub(super) use keys::print as print_keys;
use layer::Layer;
pub(super) use layer::{hides, in_order};
pub(super) use lines::print as print_lines;
pub use table::{Column, ColumnUse, Table};

/// Settings of a layer, by key.
pub type LayerSettings = BTreeMap<String, String>;

/// Whether what is printed may hold passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    Told,
    Hidden,
}

/// What is wrong with a record, and the column it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub column: Cow<'static, str>,
    pub problem: String,
}

impl Mistake {
    fn of(column: &'static str, problem: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            problem: problem.into(),
        }
    }
}

fn of_column(column: &'static str, checked: Result<(), String>) -> Result<(), Mistake> {
    checked.map_err(|problem| Mistake::of(column, problem))
}

/// That a record names another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    pub column: Cow<'static, str>,
    pub table: Table,
    pub key: String,
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
            } => name::of_load(model, *protocol),
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

impl Record {
    /// A record with nothing set but its keys, in the order of their columns. A model that is
    /// known is as it is known.
    pub(super) fn blank(table: Table, keys: &[&str], models: &Models) -> Result<Self, Mistake> {
        let key = |at: usize| keys.get(at).copied().unwrap_or_default().trim();
        let of_key = |problem| Mistake::of(table.columns()[0].name, problem);
        let of_text = || name::of_text(key(0)).map_err(of_key);
        let of_file = || name::of_file(key(0)).map_err(of_key);
        Ok(match table {
            Table::Models => {
                let name = model::name(key(0)).map_err(of_key)?;
                let known = models.find(&name).cloned();
                Self::Model(Box::new(known.unwrap_or_else(|| model::blank(name))))
            }
            Table::Loads => {
                let Some(model) = models.find(key(0)) else {
                    return Err(of_key(name::unknown_model(key(0))));
                };
                let protocol =
                    device::protocol(key(1)).map_err(|problem| Mistake::of("protocol", problem))?;
                if !model.speaks(protocol) {
                    let problem = format!("a {} reads no {protocol} configuration", model.name);
                    return Err(Mistake::of("protocol", problem));
                }
                Self::Load {
                    model: model.name.to_string(),
                    protocol,
                    load: String::new(),
                }
            }
            Table::ServerGroups => Self::ServerGroup(of_text()?, Vec::new()),
            Table::SoftKeys => Self::SoftKeys(of_file()?, SoftKeySet::default()),
            Table::DialPlans => Self::DialPlan(of_file()?, DialPlan::default()),
            Table::AppDialRules => {
                let order = object::number(key(0), 1, u16::MAX.into()).map_err(of_key)?;
                // In range, so it fits.
                Self::AppDialRule(order as u16, AppDialRule::default())
            }
            Table::FeaturePolicies => Self::FeaturePolicy(of_file()?, FeaturePolicy::default()),
            Table::Services => Self::Service(of_text()?, object::blank_service()),
            Table::Profiles => Self::Profile(of_text()?, LayerSettings::new()),
            Table::Sites => Self::Site(of_text()?, LayerSettings::new()),
            Table::Devices => {
                let name = key(0)
                    .parse::<DeviceName>()
                    .map_err(|error| of_key(format!("{:?} is no device name; {error}", key(0))))?;
                Self::Device(Box::new(Device::new(name, "", Protocol::Sip)))
            }
        })
    }

    /// A record to look at columns with, where the keys say nothing.
    pub(super) fn stand_in(table: Table, models: &Models) -> Option<Self> {
        let key = match table {
            Table::Devices => "SEP000000000000",
            Table::AppDialRules => "1",
            Table::Loads => return None,
            _ => "x",
        };
        Self::blank(table, &[key], models).ok()
    }

    /// The text of a column.
    pub fn get(&self, column: &str, secrets: Secrets) -> String {
        match self {
            Self::Model(model) => model::get(model, column),
            Self::Load {
                model,
                protocol,
                load,
            } => match column {
                "model" => model.clone(),
                "protocol" => protocol.to_string(),
                _ => load.clone(),
            },
            Self::Device(device) => device::get(device, column, secrets),
            Self::AppDialRule(order, _) if column == "order" => order.to_string(),
            Self::AppDialRule(_, rule) => object::get_app_dial_rule(rule, column),
            _ if column == "name" => self.key(),
            Self::ServerGroup(_, servers) => object::print_servers(servers),
            Self::SoftKeys(_, set) => object::print_soft_keys(set),
            Self::DialPlan(_, plan) => object::print_dial_plan(plan),
            Self::FeaturePolicy(_, policy) => object::print_features(policy),
            Self::Service(_, service) => object::get_service(service, column),
            Self::Profile(_, settings) | Self::Site(_, settings) => {
                layer::get(settings, column, secrets)
            }
        }
    }

    /// Takes the text of a column that is no key.
    pub(super) fn set(&mut self, column: &str, field: &str) -> Result<(), String> {
        let field = field.trim();
        match self {
            Self::Model(model) => model::set(model, column, field)?,
            Self::Load { load, .. } => *load = device::load(field)?.unwrap_or_default(),
            Self::Device(device) => device::set(device, column, field)?,
            Self::AppDialRule(_, rule) => object::set_app_dial_rule(rule, column, field)?,
            Self::ServerGroup(_, servers) => *servers = object::parse_servers(field)?,
            Self::SoftKeys(_, set) => *set = object::parse_soft_keys(field)?,
            Self::DialPlan(_, plan) => *plan = object::parse_dial_plan(field)?,
            Self::FeaturePolicy(_, policy) => *policy = object::parse_features(field)?,
            Self::Service(_, service) => object::set_service(service, column, field)?,
            Self::Profile(_, settings) => Layer::Other.set(settings, column, field)?,
            Self::Site(_, settings) => Layer::Site.set(settings, column, field)?,
        }
        Ok(())
    }

    /// That there is no such model.
    pub(super) fn unknown_model(&self, models: &Models) -> Option<Mistake> {
        match self {
            Self::Device(device) => device::unknown_model(device, models),
            _ => None,
        }
    }

    /// Looks at the whole record, and writes what it says of models as they are called. `protocol`
    /// is that of a device, if it was told.
    pub(super) fn check(
        &mut self,
        protocol: Option<Protocol>,
        models: &Models,
    ) -> Result<(), Mistake> {
        match self {
            Self::Device(device) => device::check(device, protocol, models),
            Self::DialPlan(_, plan) => of_column("rules", plan.check()),
            Self::SoftKeys(_, set) => of_column("states", set.check()),
            Self::FeaturePolicy(_, policy) => of_column("features", policy.check()),
            Self::AppDialRule(_, rule) => of_column("digits", rule.check()),
            Self::Service(_, service) => of_column("url", service.check()),
            _ => Ok(()),
        }
    }

    /// The columns that say something of this record, keys left out; settings are one each.
    pub fn set_columns(&self) -> Vec<Cow<'static, str>> {
        let settings = match self {
            Self::Device(device) => Some(&device.settings),
            Self::Profile(_, settings) | Self::Site(_, settings) => Some(settings),
            _ => None,
        };
        let own = self.table().columns().iter();
        let own = own
            .filter(|column| column.use_of != ColumnUse::Key && column.name != "settings")
            .map(|column| Cow::Borrowed(column.name));
        let settings = settings.into_iter().flat_map(BTreeMap::keys).cloned();
        own.chain(layer::in_order(settings).into_iter().map(Cow::Owned))
            .collect()
    }

    /// The records it names. Each must be there.
    pub fn references(&self) -> Vec<Reference> {
        let refer = |column: &'static str, table, key: &str| Reference {
            column: column.into(),
            table,
            key: key.into(),
        };
        match self {
            Self::Device(device) => {
                let mut references = layer::references(&device.settings);
                if device.site != super::DEFAULT_SITE {
                    references.push(refer("site", Table::Sites, &device.site));
                }
                if let Some(profile) = &device.profile {
                    references.push(refer("profile", Table::Profiles, profile));
                }
                for key in device.keys.values() {
                    if let KeyAction::Service { name } = &key.action {
                        references.push(refer("keys", Table::Services, name));
                    }
                }
                references
            }
            Self::Profile(_, settings) | Self::Site(_, settings) => layer::references(settings),
            _ => Vec::new(),
        }
    }

    /// Where the phones of a site are.
    pub(super) fn networks(&self) -> Vec<IpNet> {
        let Self::Site(_, settings) = self else {
            return Vec::new();
        };
        let mut site = Site::default();
        // What is no network was told where it came in.
        let set = settings
            .get("subnets")
            .map(|nets| site.set("subnets", nets));
        set.map_or_else(Vec::new, |_| site.subnets)
    }

    /// The models it needs, by name.
    pub(super) fn models(&self) -> Vec<&str> {
        match self {
            Self::Device(device) => {
                let modules = device.modules.iter().map(String::as_str);
                std::iter::once(device.model.as_str())
                    .chain(modules)
                    .collect()
            }
            Self::Load { model, .. } => vec![model],
            _ => Vec::new(),
        }
    }

    /// For programs, without passwords.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Device(device) => json!(device),
            Self::Model(model) => json!(model),
            Self::Load {
                model,
                protocol,
                load,
            } => json!({ "model": model, "protocol": protocol, "load": load }),
            Self::ServerGroup(name, servers) => json!({ "name": name, "servers": servers }),
            Self::SoftKeys(name, set) => json!({ "name": name, "states": set.states }),
            Self::DialPlan(name, plan) => json!({ "name": name, "rules": plan.rules }),
            Self::FeaturePolicy(name, policy) => {
                json!({ "name": name, "features": policy.features })
            }
            Self::AppDialRule(order, rule) => json!({
                "order": order,
                "begins_with": rule.begins_with,
                "digits": rule.digits,
                "remove": rule.remove,
                "prefix": rule.prefix,
            }),
            Self::Service(name, service) => json!({
                "name": name,
                "url": service.url,
                "kind": service.kind,
                "category": service.category,
                "vendor": service.vendor,
                "version": service.version,
            }),
            Self::Profile(name, settings) | Self::Site(name, settings) => {
                json!({ "name": name, "settings": layer::json(settings) })
            }
        }
    }
}
