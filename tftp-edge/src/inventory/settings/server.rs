//! A call manager or SIP proxy.

use serde::{Deserialize, Serialize};

use super::super::text;
use super::MAX_NAME;

/// One call manager or SIP proxy; its place in the list is its priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    pub host: String,
    pub sccp_port: u16,
    pub sip_port: u16,
    pub sips_port: u16,
}

impl Server {
    /// Parses `HOST[/sccp=2000][/sip=5060][/sips=5061]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/').map(str::trim);
        let mut server = Self {
            host: text::host(parts.next().unwrap_or_default(), MAX_NAME)?,
            sccp_port: 2000,
            sip_port: 5060,
            sips_port: 5061,
        };
        for part in parts {
            let (key, port) = part.split_once('=').unwrap_or((part, ""));
            let slot = match key {
                "sccp" => &mut server.sccp_port,
                "sip" => &mut server.sip_port,
                "sips" => &mut server.sips_port,
                _ => return Err(format!("{key:?} is not one of sccp, sip, sips")),
            };
            *slot = text::port(port)?;
        }
        Ok(server)
    }
}
