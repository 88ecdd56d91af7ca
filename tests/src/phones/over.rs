//! What a phone is registered over.

use super::registration::Transport;

/// Protocol and transport: the rows of what is told about registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    Sccp,
    SipTcp,
    SipUdp,
}

impl Over {
    pub const ALL: [Self; 3] = [Self::Sccp, Self::SipTcp, Self::SipUdp];

    pub(super) fn of(protocol: &str, transport: Transport) -> Self {
        match (protocol, transport) {
            ("sccp", _) => Self::Sccp,
            (_, Transport::Tcp) => Self::SipTcp,
            (_, Transport::Udp) => Self::SipUdp,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sccp => "SCCP",
            Self::SipTcp => "SIP, TCP",
            Self::SipUdp => "SIP, UDP",
        }
    }
}
