//! What is known of a phone that is registered.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::inventory::{DeviceName, Protocol};

/// How a phone reaches us. The label value `transport` of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Whether it has connections: a source that sends over one has proved its address.
    pub const fn has_connections(self) -> bool {
        !matches!(self, Self::Udp)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One connection of a server; never used twice while the daemon runs. After a restart those of
/// the restored registrations are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// A phone that is registered, in one version: replaced as a whole, never changed. Its times are
/// steady ones, see [`crate::clock`]: setting the clock neither ends nor prolongs a registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    pub device: DeviceName,
    pub protocol: Protocol,
    pub transport: Transport,
    /// Where its packets come from.
    pub source: SocketAddr,
    /// The connection it registered over, if that is still the one.
    pub connection: Option<ConnectionId>,
    /// The model as it says itself, by its type id.
    pub type_id: Option<u32>,
    /// The firmware it says it runs, without `.loads`.
    pub load: Option<Arc<str>>,
    /// SCCP: the protocol version in use. SIP: 0.
    pub version: u8,
    pub since: SystemTime,
    /// Without a sign of life until then it has left.
    pub expires: SystemTime,
    /// SIP: at least one. SCCP: none, all lines of the device are reached over its connection.
    pub bindings: Vec<Binding>,
}

/// One contact of one line of a SIP phone (RFC 3261 section 10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The user part of the address of record.
    pub line: Box<str>,
    /// The URI as the phone wrote it, without `<>` and without parameters of the header.
    pub contact: Box<str>,
    /// Of the REGISTER: an update counts only with a higher number in the same call.
    pub call_id: Box<str>,
    pub cseq: u32,
    pub expires: SystemTime,
    /// It was registered for all lines of the device at once (`bulkregisterreq`).
    pub all_lines: bool,
}
