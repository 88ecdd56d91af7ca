//! What a phone registers over.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::connection::Connection;
use super::files::bind_again;
use crate::phones::registration::{Ending, Transport};

/// `voipControlPort`, which the configurations leave as it is.
const SIP_PORT: u16 = 5060;

/// A connection or a socket.
pub(super) enum Line {
    Tcp {
        connection: Connection,
        is_made: bool,
    },
    Udp(UdpSocket),
}

/// What a line has to tell.
pub(super) enum News<'b> {
    /// The connection is made, from this address.
    Made(SocketAddr),
    Bytes(&'b [u8]),
    Ended(Ending),
    /// Nothing more at the moment.
    Nothing,
}

impl Line {
    pub(super) fn open(
        transport: Transport,
        from: IpAddr,
        to: SocketAddr,
        epoll: &Epoll,
        data: u64,
    ) -> io::Result<Self> {
        match transport {
            Transport::Tcp => Ok(Self::Tcp {
                connection: Connection::open(from, to, epoll, data)?,
                is_made: false,
            }),
            Transport::Udp => {
                let socket = bind_again((from, SIP_PORT).into())?;
                socket.connect(to)?;
                epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, data))?;
                Ok(Self::Udp(socket))
            }
        }
    }

    /// A line that is lost tells so when it is read.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let _ = match self {
            Self::Tcp { connection, .. } => connection.send(bytes),
            // As good as lost on the wire: the phone's own timer covers it.
            Self::Udp(socket) => socket.send(bytes).map(drop),
        };
    }

    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> News<'b> {
        match self {
            Self::Udp(socket) => match socket.recv(buffer) {
                Ok(len) => News::Bytes(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => News::Nothing,
                Err(_) => News::Ended(Ending::Refused),
            },
            Self::Tcp {
                connection,
                is_made: is_made @ false,
            } => match connection.local_if_made() {
                Ok(Some(local)) => {
                    *is_made = true;
                    News::Made(local)
                }
                Ok(None) => News::Nothing,
                Err(error) => News::Ended(match error.kind() {
                    io::ErrorKind::TimedOut => Ending::TimedOut,
                    _ => Ending::Refused,
                }),
            },
            Self::Tcp { connection, .. } => {
                match connection.flush().and_then(|()| connection.read(buffer)) {
                    Ok(None) => News::Nothing,
                    Ok(Some(bytes)) if !bytes.is_empty() => News::Bytes(bytes),
                    Ok(Some(_)) | Err(_) => News::Ended(Ending::Closed),
                }
            }
        }
    }
}
