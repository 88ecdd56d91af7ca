//! The `[register.front]` table of the configuration.

use std::net::IpAddr;

use serde::Deserialize;

/// Where phones register behind this host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The servers' addresses; with `mode = "front"` there is one at least.
    pub servers: Vec<IpAddr>,
    /// Their ports.
    pub sccp_port: u16,
    pub sip_port: u16,
    pub sip_tls_port: u16,
    /// Phones whose state is remembered.
    pub max_phones: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            sccp_port: 2000,
            sip_port: 5060,
            sip_tls_port: 5061,
            max_phones: 50_000,
        }
    }
}

impl Settings {
    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self, is_front: bool) -> Result<(), (&'static str, String)> {
        if is_front && self.servers.is_empty() {
            let problem = "mode = \"front\" needs the addresses of the servers that phones register \
                           at, as in [\"10.1.1.10\", \"10.1.1.11\"]";
            return Err(("front.servers", problem.to_owned()));
        }
        if self.max_phones == 0 {
            return Err(("front.max_phones", "must be 1 at least".to_owned()));
        }
        Ok(())
    }
}
