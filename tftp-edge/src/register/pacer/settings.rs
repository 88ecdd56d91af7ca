//! The `[register.orders]` table of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// How fast phones are told to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Phones are told when their configuration changes.
    pub on_change: bool,
    /// Most phones told in a second.
    pub per_second: u32,
    /// Most phones of one site told in a second.
    pub site_per_second: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            on_change: true,
            per_second: 50,
            site_per_second: 10,
        }
    }
}

/// The time between two of so many a second.
pub(super) fn pace(per_second: u32) -> Duration {
    Duration::from_secs(1) / per_second.max(1)
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let none = |key| {
            let problem = "no phone would ever be told anything; 1 is the slowest pace";
            Err((key, problem.to_owned()))
        };
        match (self.per_second, self.site_per_second) {
            (0, _) => none("orders.per_second"),
            (_, 0) => none("orders.site_per_second"),
            _ => Ok(()),
        }
    }
}
