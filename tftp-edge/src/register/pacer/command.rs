//! Orders that somebody gives by hand.

use serde::{Deserialize, Serialize};

use crate::inventory::DeviceName;
use crate::register::Order;

/// Which phones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    Names(Vec<DeviceName>),
    /// All devices that the inventory has in this site.
    Site(String),
    /// All of the inventory, and whoever else is registered.
    All,
}

/// An order to phones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    pub order: Order,
    pub phones: Which,
    /// At most so many a second, if that is slower than the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Of a command that this one goes on with: their pace is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<u64>,
    /// Only tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// To ask how far it is; none if nothing was queued.
    pub ticket: Option<u64>,
    /// Phones that will be told; in a dry run, that would be.
    pub queued: u64,
    /// Phones with an order waiting already, which this one joined.
    pub joined: u64,
    /// Phones for which there was no room in the queue.
    pub no_room: u64,
    /// Phones of the inventory that are not registered: they read their configuration when they
    /// come.
    pub not_registered: u64,
    /// Names that nobody knows.
    pub unknown: Vec<DeviceName>,
    /// A site that no device of the inventory is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_site: Option<String>,
}
