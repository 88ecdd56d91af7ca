//! Why the server does not start, and what to do about it.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use super::udp::options;
use crate::ops::exit::Exit;
use crate::port_owner;
use crate::register::Transport;
use crate::register::sip::Settings;
use crate::tls::TlsError;
use crate::udp::socket;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{} {address} is taken{}; stop it, choose another address in {key}, or set {switch} = \
         false",
        name(*.transport),
        .owner.as_ref().map_or_else(String::new, |owner| format!(" by {owner}"))
    )]
    Taken {
        transport: Transport,
        address: SocketAddr,
        /// The setting that has the address, and the one that would do without it.
        key: &'static str,
        switch: &'static str,
        /// Name and process id, if `/proc` tells.
        owner: Option<String>,
    },
    #[error(
        "not allowed to bind {} {address}; run with CAP_NET_BIND_SERVICE, or choose a port over \
         1023 in {key}",
        name(*.transport)
    )]
    Permission {
        transport: Transport,
        address: SocketAddr,
        key: &'static str,
    },
    #[error("{key} {address}: cannot listen: {source}")]
    Socket {
        address: SocketAddr,
        key: &'static str,
        source: io::Error,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot start the threads of SIP: {0}")]
    Threads(#[source] io::Error),
}

impl StartError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Tls(_) => Exit::Config,
            Self::Taken { .. } => Exit::Unavailable,
            Self::Permission { .. } => Exit::NoPermission,
            Self::Socket { source, .. } | Self::Threads(source) => Exit::of_io(source),
        }
    }

    /// Of an address that cannot be bound.
    pub(super) fn of(transport: Transport, address: SocketAddr, source: io::Error) -> Self {
        let (key, switch) = match transport {
            Transport::Udp | Transport::Tcp => ("register.sip.listen", "register.sip.enabled"),
            Transport::Tls => ("register.sip.tls.listen", "register.sip.tls.enabled"),
        };
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Taken {
                transport,
                address,
                key,
                switch,
                owner: match transport {
                    Transport::Udp => port_owner::of_udp_port(address.port()),
                    Transport::Tcp | Transport::Tls => port_owner::of_tcp_port(address.port()),
                },
            },
            io::ErrorKind::PermissionDenied => Self::Permission {
                transport,
                address,
                key,
            },
            _ => Self::Socket {
                address,
                key,
                source,
            },
        }
    }
}

/// As the system's tools write it.
fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp | Transport::Tls => "TCP",
    }
}

/// Whether nobody holds a UDP port yet. `SO_REUSEPORT` would let a second daemon of the same user
/// take half of the messages without a word.
pub(super) fn check_free(address: SocketAddr, settings: &Settings) -> Result<(), StartError> {
    if address.port() == 0 {
        return Ok(());
    }
    let bind = |socket: Socket| socket.bind(&address.into());
    match socket::open(address, options(settings)).and_then(bind) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
            ) =>
        {
            Err(StartError::of(Transport::Udp, address, error))
        }
        _ => Ok(()),
    }
}
