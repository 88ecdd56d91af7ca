//! Listening for TCP connections: what is set on the socket, its connections inherit. And why a port
//! cannot be had, of UDP as well.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::ops::exit::Exit;
use crate::port_owner;
use crate::service;
use crate::udp::socket::may_come_later;

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long to wait when the system has no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(100);

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

/// A listening socket that does not block: the one that the service manager has opened for the
/// address, or one of our own.
pub fn tcp(address: SocketAddr, options: &Options) -> io::Result<TcpListener> {
    if let Some(socket) = service::sockets::tcp(address)? {
        prepare(&socket, address, options)?;
        // It listens already; this sets its backlog.
        socket.listen(BACKLOG)?;
        return Ok(socket.into());
    }
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Connections of a daemon before us may still be closing.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // IPv4 has its own entry in `listen`.
        socket.set_only_v6(true)?;
    }
    prepare(&socket, address, options)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sets what can be set on a socket that is bound, too.
fn prepare(socket: &Socket, address: SocketAddr, options: &Options) -> io::Result<()> {
    let tos = u32::from(options.dscp) << 2;
    match address {
        SocketAddr::V4(_) => {
            socket.set_tos_v4(tos)?;
            // The address may come after us.
            socket.set_freebind_v4(true)?;
        }
        SocketAddr::V6(_) => {
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
    Ok(())
}

/// Sets on a connection what its listener was not opened with: it has been changed since.
pub fn renew(stream: &tokio::net::TcpStream, opened: Duration, unread_after: Duration) {
    if opened != unread_after {
        // A connection that is gone already; the daemon's own timeout holds in any case.
        let _ = SockRef::from(stream).set_tcp_user_timeout(Some(unread_after));
    }
}

/// Tries until `listen` has made a listener at an address that did not exist before.
pub async fn wait_for(
    address: SocketAddr,
    mut listen: impl FnMut() -> io::Result<tokio::net::TcpListener>,
) -> tokio::net::TcpListener {
    loop {
        tokio::time::sleep(RETRY).await;
        match listen() {
            Ok(listener) => {
                tracing::info!(event = "listen.address_up", %address, "the address is there now");
                return listener;
            }
            Err(error) if may_come_later(&error) => {}
            Err(error) => {
                // Somebody was quicker, and may go away again.
                tracing::debug!(%address, %error, "still cannot listen");
            }
        }
    }
}

/// Takes connections, and goes on for ever.
pub async fn accept(
    listener: tokio::net::TcpListener,
    mut take: impl FnMut(tokio::net::TcpStream, SocketAddr),
) {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => take(stream, peer),
            // The client has gone already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Once: a flood of connections must not become one of log lines.
                if !std::mem::replace(&mut told, true) {
                    let address = listener.local_addr().ok();
                    tracing::error!(event = "listen.accept_failed", ?address, %error, "a connection cannot be taken; trying on");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "{protocol} {address} is taken{}; stop it, choose another address in {key}, or set {switch} = \
         false",
        port_owner::told(.owner.as_deref(), .address.port())
    )]
    Taken {
        protocol: &'static str,
        address: SocketAddr,
        /// The setting that has the address, and the one that would do without it.
        key: &'static str,
        switch: &'static str,
        /// Name and process id, if `/proc` tells.
        owner: Option<String>,
    },
    #[error(
        "not allowed to bind {protocol} {address}; run with CAP_NET_BIND_SERVICE, or choose a port over \
         1023 in {key}"
    )]
    Permission {
        protocol: &'static str,
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
    /// Of a port of TCP; `key` is the setting that has it, `switch` the one that would do without.
    pub fn tcp(
        address: SocketAddr,
        key: &'static str,
        switch: &'static str,
        source: io::Error,
    ) -> Self {
        let owner = port_owner::of_tcp_port;
        Self::new(("TCP", owner), address, (key, switch), source)
    }

    /// Of a port of UDP.
    pub fn udp(
        address: SocketAddr,
        key: &'static str,
        switch: &'static str,
        source: io::Error,
    ) -> Self {
        let owner = port_owner::of_udp_port;
        Self::new(("UDP", owner), address, (key, switch), source)
    }

    fn new(
        (protocol, owner): (&'static str, fn(u16) -> Option<String>),
        address: SocketAddr,
        (key, switch): (&'static str, &'static str),
        source: io::Error,
    ) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Taken {
                protocol,
                address,
                key,
                switch,
                owner: owner(address.port()),
            },
            io::ErrorKind::PermissionDenied => Self::Permission {
                protocol,
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
        let error = ListenError::tcp(address, "http.listen", "http.enabled", source);
        let told = error.to_string();
        let own_pid = format!("(pid {})", std::process::id());
        for part in [&own_pid, "http.listen", "http.enabled = false"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(error.exit(), Exit::Unavailable);
    }
}
