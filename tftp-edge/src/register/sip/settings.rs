//! The `[register.sip]` table of the configuration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

/// How phones register over SIP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub enabled: bool,
    /// Addresses and ports phones register at. An address that does not exist yet is waited for.
    pub listen: Vec<SocketAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: vec![
                (Ipv4Addr::UNSPECIFIED, 5060).into(),
                (Ipv6Addr::UNSPECIFIED, 5060).into(),
            ],
        }
    }
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.listen.is_empty() {
            let problem = "needs at least one address, for example \"0.0.0.0:5060\"";
            return Err(("sip.listen", problem.to_owned()));
        }
        Ok(())
    }
}
