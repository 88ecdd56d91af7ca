//! Listening for TCP connections: what is set on the socket, its connections inherit.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::ops::exit::Exit;
use crate::port_owner;

/// How often an address that could not be bound is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// How long to wait when the system has no descriptor for a connection.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are established and not yet taken; the system has its own bound below that.
const BACKLOG: i32 = 4096;

/// What connections get.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub dscp: u8,
    /// How long the system itself keeps what nobody acknowledges or has room for.
    pub unread_after: Duration,
    /// What a connection may have in the system, in bytes, so that one that is not read costs
    /// little. The system doubles it.
    pub send_buffer: usize,
    /// How long a connection may be silent before the system asks whether it is still there.
    pub keepalive: Option<Duration>,
}

/// A listening socket that does not block.
pub fn tcp(address: SocketAddr, options: &Options) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Connections of a daemon before us may still be closing.
    socket.set_reuse_address(true)?;
    let tos = u32::from(options.dscp) << 2;
    match address {
        SocketAddr::V4(_) => {
            socket.set_tos_v4(tos)?;
            // The address may come after us.
            socket.set_freebind_v4(true)?;
        }
        SocketAddr::V6(_) => {
            // IPv4 has its own entry in `listen`.
            socket.set_only_v6(true)?;
            socket.set_tclass_v6(tos)?;
            socket.set_freebind_v6(true)?;
        }
    }
    // What belongs together is written together anyway.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(options.unread_after))?;
    socket.set_send_buffer_size(options.send_buffer)?;
    if let Some(after) = options.keepalive {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(after).with_interval(after))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Why connections cannot be taken at an address.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "TCP {address} is taken{}; stop it, choose another address in {key}, or set {switch} = \
         false",
        .owner.as_ref().map_or_else(String::new, |owner| format!(" by {owner}"))
    )]
    Taken {
        address: SocketAddr,
        /// The setting that has the address, and the one that would do without it.
        key: &'static str,
        switch: &'static str,
        /// Name and process id, if `/proc` tells.
        owner: Option<String>,
    },
    #[error(
        "not allowed to bind TCP {address}; run with CAP_NET_BIND_SERVICE, or choose a port over \
         1023 in {key}"
    )]
    Permission {
        address: SocketAddr,
        key: &'static str,
    },
    #[error("{key} {address}: cannot listen: {source}")]
    Socket {
        address: SocketAddr,
        key: &'static str,
        source: io::Error,
    },
}

impl ListenError {
    pub fn new(
        address: SocketAddr,
        key: &'static str,
        switch: &'static str,
        source: io::Error,
    ) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Taken {
                address,
                key,
                switch,
                owner: port_owner::of_tcp_port(address.port()),
            },
            io::ErrorKind::PermissionDenied => Self::Permission { address, key },
            _ => Self::Socket {
                address,
                key,
                source,
            },
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Taken { .. } => Exit::Unavailable,
            Self::Permission { .. } => Exit::NoPermission,
            Self::Socket { source, .. } => Exit::of_io(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn connections_have_what_their_listener_was_given() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let options = Options {
                dscp: 24,
                unread_after: Duration::from_secs(7),
                send_buffer: 64 << 10,
                keepalive: Some(Duration::from_secs(30)),
            };
            let listener = tcp(address.parse().unwrap(), &options).unwrap();
            listener.set_nonblocking(false).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let socket = SockRef::from(&accepted);
            let class = match accepted.local_addr().unwrap() {
                SocketAddr::V4(_) => socket.tos_v4(),
                SocketAddr::V6(_) => socket.tclass_v6(),
            };
            assert_eq!(class.unwrap(), 24 << 2, "{address}");
            assert_eq!(
                socket.tcp_user_timeout().unwrap(),
                Some(options.unread_after)
            );
            assert!(socket.tcp_nodelay().unwrap());
            assert!(socket.keepalive().unwrap());
            // As the system counts it, its own bookkeeping included.
            assert!(socket.send_buffer_size().unwrap() <= 2 * options.send_buffer);
        }
    }

    #[test]
    fn who_has_the_port_is_named_with_the_ways_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let options = Options {
            dscp: 0,
            unread_after: Duration::from_secs(1),
            send_buffer: 64 << 10,
            keepalive: None,
        };
        let source = tcp(address, &options).unwrap_err();
        let error = ListenError::new(address, "http.listen", "http.enabled", source);
        let told = error.to_string();
        let own_pid = format!("(pid {})", std::process::id());
        for part in [&own_pid, "http.listen", "http.enabled = false"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(error.exit(), Exit::Unavailable);
    }
}
