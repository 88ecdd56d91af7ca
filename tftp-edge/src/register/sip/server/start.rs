//! Why the server does not start, and what to do about it.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use super::udp::options;
use crate::listen::ListenError;
use crate::ops::exit::Exit;
use crate::register::Transport;
use crate::register::sip::Settings;
use crate::service;
use crate::tls::TlsError;
use crate::udp::socket;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot start the threads of SIP: {0}")]
    Threads(#[source] io::Error),
}

impl StartError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Tls(_) => Exit::Config,
            Self::Listen(error) => error.exit(),
            Self::Threads(error) => Exit::of_io(error),
        }
    }

    /// Of an address that cannot be bound.
    pub(super) fn of(transport: Transport, address: SocketAddr, source: io::Error) -> Self {
        let (key, switch) = match transport {
            Transport::Udp | Transport::Tcp => ("register.sip.listen", "register.sip.enabled"),
            Transport::Tls => ("register.sip.tls.listen", "register.sip.tls.enabled"),
        };
        match transport {
            Transport::Udp => ListenError::udp(address, key, switch, source),
            Transport::Tcp | Transport::Tls => ListenError::tcp(address, key, switch, source),
        }
        .into()
    }
}

/// Whether nobody holds a UDP port yet. `SO_REUSEPORT` would let a second daemon of the same user
/// take half of the messages without a word.
pub(super) fn check_free(address: SocketAddr, settings: &Settings) -> Result<(), StartError> {
    // One that was handed in is bound, and ours.
    if address.port() == 0 || service::sockets::has_udp(address) {
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
