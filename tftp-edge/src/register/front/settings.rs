//! The `[register.front]` table of the configuration.

use std::net::IpAddr;

use serde::Deserialize;

/// Which servers are behind this host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where phones register, with mode = "front": at the ports of `register.sccp.listen` and
    /// `register.sip.listen`.
    pub servers: Vec<IpAddr>,
    /// Phones whose state is remembered.
    pub max_phones: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            max_phones: 50_000,
        }
    }
}

impl Settings {
    /// Most servers: a phone knows of three, and a cluster has eight that phones register at.
    const MAX_SERVERS: usize = 64;

    /// Names the first key whose value cannot be used, and why.
    pub fn validate(&self, is_front: bool) -> Result<(), (&'static str, String)> {
        if is_front && self.servers.is_empty() {
            let problem = "mode = \"front\" needs the addresses of the servers that phones register \
                           at, as in [\"10.1.1.10\", \"10.1.1.11\"]";
            return Err(("front.servers", problem.to_owned()));
        }
        if self.servers.len() > Self::MAX_SERVERS {
            let problem = format!("has {}; the most is 64", self.servers.len());
            return Err(("front.servers", problem));
        }
        if self.max_phones == 0 {
            return Err(("front.max_phones", "must be 1 at least".to_owned()));
        }
        Ok(())
    }
}
