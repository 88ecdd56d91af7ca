//! The `[register.storm]` table of the configuration.

use serde::Deserialize;

use crate::register::KernelMode;

/// How storms are met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The most new registrations a second, for what is behind this host and cannot take more; 0
    /// is as many as can be served.
    pub max_registrations_per_second: u32,
    /// What the kernel program does about newcomers over the budget.
    pub kernel: KernelMode,
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        Ok(())
    }
}
