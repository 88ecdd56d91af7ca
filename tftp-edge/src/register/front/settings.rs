//! The `[register.front]` table of the configuration.

use std::net::IpAddr;

use serde::Deserialize;

/// Which servers are behind this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where phones register, with mode = "front": at the ports of `register.sccp.listen` and
    /// `register.sip.listen`.
    pub servers: Vec<IpAddr>,
}

impl Settings {
    /// Most servers: a phone knows of three, and a cluster has eight that phones register at.
    const MAX_SERVERS: usize = 64;

    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.servers.len() > Self::MAX_SERVERS {
            let problem = format!("has {}; the most is 64", self.servers.len());
            return Err(("front.servers", problem));
        }
        Ok(())
    }
}
