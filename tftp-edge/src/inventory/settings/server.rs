//! A call manager or SIP proxy.

use std::fmt;

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

const SCCP_PORT: u16 = 2000;
const SIP_PORT: u16 = 5060;
const SIPS_PORT: u16 = 5061;

/// As [`Server::parse`] takes it; ports that everybody has are left out.
impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.host)?;
        let ports = [
            ("sccp", self.sccp_port, SCCP_PORT),
            ("sip", self.sip_port, SIP_PORT),
            ("sips", self.sips_port, SIPS_PORT),
        ];
        ports
            .into_iter()
            .filter(|(_, port, usual)| port != usual)
            .try_for_each(|(key, port, _)| write!(formatter, "/{key}={port}"))
    }
}

impl Server {
    /// Parses `HOST[/sccp=2000][/sip=5060][/sips=5061]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/').map(str::trim);
        let mut server = Self {
            host: text::host(parts.next().unwrap_or_default(), MAX_NAME)?,
            sccp_port: SCCP_PORT,
            sip_port: SIP_PORT,
            sips_port: SIPS_PORT,
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
