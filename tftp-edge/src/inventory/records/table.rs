//! The tables, and the columns of each.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::layer::{self, Layer};
use super::{device, model, object};
use crate::nearest::nearest;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// What its value looks like.
    pub help: &'static str,
    pub use_of: ColumnUse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnUse {
    /// Tells a record from the others.
    Key,
    /// A new record must have it.
    Required,
    Optional,
}

impl Column {
    pub(super) const fn key(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, ColumnUse::Key)
    }

    pub(super) const fn required(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, ColumnUse::Required)
    }

    pub(super) const fn optional(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, ColumnUse::Optional)
    }

    const fn new(name: &'static str, help: &'static str, use_of: ColumnUse) -> Self {
        Self { name, help, use_of }
    }
}

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

    /// One of its records, as people call it.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Models => "model",
            Self::Loads => "load",
            Self::ServerGroups => "server group",
            Self::SoftKeys => "soft key set",
            Self::DialPlans => "dial plan",
            Self::AppDialRules => "application dial rule",
            Self::FeaturePolicies => "feature policy",
            Self::Services => "phone service",
            Self::Profiles => "profile",
            Self::Sites => "site",
            Self::Devices => "device",
        }
    }

    /// Its own columns, keys first. Devices and layers have one for each setting too.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Models => model::COLUMNS,
            Self::Loads => model::LOAD_COLUMNS,
            Self::ServerGroups => object::SERVER_GROUP,
            Self::SoftKeys => object::SOFT_KEYS,
            Self::DialPlans => object::DIAL_PLAN,
            Self::AppDialRules => object::APP_DIAL_RULE,
            Self::FeaturePolicies => object::FEATURE_POLICY,
            Self::Services => object::SERVICE,
            Self::Profiles => layer::PROFILE,
            Self::Sites => layer::SITE,
            Self::Devices => device::COLUMNS,
        }
    }

    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        let keys = self.columns().iter();
        keys.filter(|column| column.use_of == ColumnUse::Key)
            .map(|column| column.name)
    }

    /// The layer its settings are of, if it has columns for settings.
    const fn layer(self) -> Option<Layer> {
        match self {
            Self::Sites => Some(Layer::Site),
            Self::Profiles | Self::Devices => Some(Layer::Other),
            _ => None,
        }
    }

    /// The column of that name, as the table has it.
    pub fn column(self, name: &str) -> Option<Cow<'static, str>> {
        let own = self.columns().iter().find(|column| column.name == name);
        match own {
            Some(own) => Some(own.name.into()),
            None if self.layer().is_some_and(|layer| layer.has(name)) => {
                Some(name.to_owned().into())
            }
            None => None,
        }
    }

    /// What can be a column where `name` is none, for an error.
    pub(in super::super) fn expected_columns(self, name: &str) -> String {
        let own = self.columns().iter().map(|column| column.name);
        let settings = self.layer().into_iter().flat_map(Layer::keys);
        if let Some(near) = nearest(name, own.clone().chain(settings)) {
            return format!("did you mean {near}?");
        }
        let own = own.collect::<Vec<_>>().join(", ");
        match self.layer() {
            Some(_) => format!(
                "expected {own}, or a setting (`tftp-edge inventory site set --help` shows them)"
            ),
            None => format!("expected {own}"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
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
