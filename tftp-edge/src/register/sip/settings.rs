//! The `[register.sip]` table of the configuration.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

use super::server::{TcpSettings, TlsSettings, UdpSettings};

/// How phones register over SIP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub enabled: bool,
    /// Addresses and ports phones register at. An address that does not exist yet is waited for.
    pub listen: Vec<SocketAddr>,
    /// DSCP of everything sent.
    pub dscp: u8,
    pub udp: UdpSettings,
    pub tcp: TcpSettings,
    pub tls: TlsSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: vec![
                (Ipv4Addr::UNSPECIFIED, 5060).into(),
                (Ipv6Addr::UNSPECIFIED, 5060).into(),
            ],
            dscp: 24,
            udp: UdpSettings::default(),
            tcp: TcpSettings::default(),
            tls: TlsSettings::default(),
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
        if self.dscp > 63 {
            let problem = format!("{} is not a DSCP, which is from 0 to 63", self.dscp);
            return Err(("sip.dscp", problem));
        }
        self.tcp.validate()?;
        self.tls.validate(&self.listen)
    }
}
