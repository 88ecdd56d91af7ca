//! The `[register]` table of the configuration.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MAX_REGISTRATIONS, bans, front, pacer, sccp, sip, storm};
use crate::access::Access;

/// What the daemon does about registrations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

impl Mode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Registrar => "registrar",
            Self::Front => "front",
        }
    }
}

/// How phones register.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub mode: Mode,
    /// Most devices that may be registered at one time.
    pub max_registrations: usize,
    /// The SQLite database that keeps registrations over a restart; empty for one beside the
    /// inventory.
    pub database: PathBuf,
    /// Who is told over HTTP which phones are registered, besides this host.
    pub export_allow: Access,
    pub orders: pacer::Settings,
    pub sccp: sccp::Settings,
    pub sip: sip::Settings,
    pub storm: storm::Settings,
    pub bans: bans::Settings,
    pub front: front::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            max_registrations: MAX_REGISTRATIONS,
            database: PathBuf::new(),
            export_allow: Access::from_nets(Vec::new()),
            orders: pacer::Settings::default(),
            sccp: sccp::Settings::default(),
            sip: sip::Settings::default(),
            storm: storm::Settings::default(),
            bans: bans::Settings::default(),
            front: front::Settings::default(),
        }
    }
}

impl Settings {
    /// Where registrations are kept, given where the inventory is.
    pub fn database_beside(&self, inventory: &Path) -> PathBuf {
        match self.database.as_os_str().is_empty() {
            true => inventory.with_file_name("registrations.db"),
            false => self.database.clone(),
        }
    }

    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.max_registrations == 0 {
            let problem = "nobody could register; use mode = \"off\" to say so, or a number of \
                           phones";
            return Err(("max_registrations", problem.to_owned()));
        }
        self.orders.validate()?;
        self.sccp.validate()?;
        self.sip.validate()?;
        self.storm.validate()?;
        self.bans.validate()?;
        self.front.validate(self.mode == Mode::Front)
    }
}
