//! Opening a listening socket: what is set on it, its connections inherit.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that are established and not yet taken; the system has its own bound below that.
const BACKLOG: i32 = 4096;

/// What a connection may have in the system, so that one that is not read costs little; enough for
/// several megabytes a second over a line of 50 milliseconds. The system doubles it.
const SEND_BUFFER: usize = 128 << 10;

/// `unread_after`: how long the system itself keeps what nobody acknowledges or has room for.
pub(super) fn listen(
    address: SocketAddr,
    dscp: u8,
    unread_after: Duration,
) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Connections of a daemon before us may still be closing.
    socket.set_reuse_address(true)?;
    let tos = u32::from(dscp) << 2;
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
    // Head and body go out together anyway.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(unread_after))?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn connections_have_what_their_listener_was_given() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let patience = Duration::from_secs(7);
            let listener = listen(address.parse().unwrap(), 24, patience).unwrap();
            listener.set_nonblocking(false).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let socket = SockRef::from(&accepted);
            let class = match accepted.local_addr().unwrap() {
                SocketAddr::V4(_) => socket.tos_v4(),
                SocketAddr::V6(_) => socket.tclass_v6(),
            };
            assert_eq!(class.unwrap(), 24 << 2, "{address}");
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(patience));
            assert!(socket.tcp_nodelay().unwrap());
            // As the system counts it, its own bookkeeping included.
            assert!(socket.send_buffer_size().unwrap() <= 2 * SEND_BUFFER);
        }
    }
}
