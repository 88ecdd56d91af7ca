//! The `[register]` table of the configuration.

use serde::Deserialize;

use super::{front, sccp, sip, storm};

/// What the daemon does about registrations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing.
    #[default]
    Off,
    /// Phones register here.
    Registrar,
    /// Phones register at servers behind this host: their packets are classified, paced and
    /// reported.
    Front,
}

/// How phones register.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub mode: Mode,
    pub sccp: sccp::Settings,
    pub sip: sip::Settings,
    pub storm: storm::Settings,
    pub front: front::Settings,
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        self.sccp.validate()?;
        self.sip.validate()?;
        self.storm.validate()?;
        if self.mode == Mode::Front && self.front.servers.is_empty() {
            let problem = "needs the addresses of the servers that phones register at";
            return Err(("front.servers", problem.to_owned()));
        }
        self.front.validate()
    }
}
