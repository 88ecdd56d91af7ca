//! Taking connections: one task for each address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::connection::serve;
use super::counters::{Bad, End};
use super::hub::Hub;
use super::link::Link;
use crate::admission::{Admission, Full, Place};
use crate::register::Transport;
use crate::register::sip::Settings;
use crate::udp::socket::may_come_later;

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long to wait when the system has no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are established and not yet taken; the system has its own bound below that.
const BACKLOG: i32 = 4096;

/// When the system asks whether the other side of a silent connection is still there, how often,
/// and how many times: phones that lost their power say no goodbye.
const ALIVE_AFTER: Duration = Duration::from_secs(60);
const ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const ALIVE_RETRIES: u32 = 3;

/// What all listeners share.
pub(super) struct Listeners {
    hub: Arc<Hub>,
    admission: Arc<Admission>,
    bound: Mutex<Vec<(Transport, SocketAddr)>>,
}

/// One of the two ways to connect.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) transport: Transport,
    pub(super) tls: Option<TlsAcceptor>,
}

impl Listeners {
    pub(super) fn new(hub: Arc<Hub>, connections: usize) -> Arc<Self> {
        let of_source = hub.settings.tcp.max_connections_per_source;
        Arc::new(Self {
            hub,
            admission: Admission::new(connections, of_source),
            bound: Mutex::default(),
        })
    }

    pub(super) fn connections_limit(&self) -> usize {
        self.admission.limit()
    }

    /// The addresses connections of this kind are taken on.
    pub(super) fn bound(&self, transport: Transport) -> Vec<SocketAddr> {
        let bound = self.bound.lock();
        let of_kind = bound.iter().filter(|(kind, _)| *kind == transport);
        of_kind.map(|(_, address)| *address).collect()
    }

    /// Must be called inside a tokio runtime.
    pub(super) fn listen(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
    ) -> io::Result<TcpListener> {
        let listener = TcpListener::from_std(listen(address, &self.hub.settings)?)?;
        let address = listener.local_addr()?;
        self.bound.lock().push((endpoint.transport, address));
        Ok(listener)
    }

    pub(super) async fn wait_for(self: Arc<Self>, endpoint: Endpoint, address: SocketAddr) {
        loop {
            tokio::time::sleep(RETRY).await;
            match self.listen(&endpoint, address) {
                Ok(listener) => {
                    let transport = endpoint.transport;
                    tracing::info!(%address, %transport, "the address has come up: SIP is taken");
                    return self.accept(endpoint, listener).await;
                }
                Err(error) if may_come_later(&error) => {}
                Err(error) => {
                    // Somebody was quicker, and may go away again.
                    tracing::debug!(%address, %error, "still cannot listen");
                }
            }
        }
    }

    pub(super) async fn accept(self: Arc<Self>, endpoint: Endpoint, listener: TcpListener) {
        let mut told = false;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(&endpoint, stream, peer),
                // The phone has gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Once: a flood of connections must not become one of log lines.
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(%error, "a SIP connection cannot be taken; trying on");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Whoever is refused is told nothing: a phone takes a connection that ends for a server that
    /// is not there, and tries the next one, or again later.
    fn admit(&self, endpoint: &Endpoint, stream: TcpStream, peer: SocketAddr) {
        let hub = &self.hub;
        let refusal = match hub.shut_out(peer.ip(), Instant::now()) {
            Some(Bad::Denied) => Some(End::Denied),
            Some(_) => Some(End::Banned),
            None => None,
        };
        if let Some(end) = refusal {
            return hub.counters.end(end);
        }
        match self.admission.take(peer.ip()) {
            Ok(place) => {
                let hub = Arc::clone(hub);
                tokio::spawn(handle(hub, stream, peer, endpoint.clone(), place));
            }
            Err(Full::Connections) => hub.counters.end(End::Connections),
            Err(Full::Source) => hub.counters.end(End::SourceConnections),
        }
    }
}

async fn handle(
    hub: Arc<Hub>,
    stream: TcpStream,
    peer: SocketAddr,
    endpoint: Endpoint,
    place: Place,
) {
    let _place = place;
    let Ok(local) = stream.local_addr() else {
        return hub.counters.end(End::Lost);
    };
    let Endpoint { transport, tls } = endpoint;
    let end = match tls {
        None => register(&hub, transport, (peer, local), stream).await,
        Some(acceptor) => {
            let limit = hub.settings.tcp.message_timeout();
            // Boxed: a session has some kilobytes, and most connections have none.
            match tokio::time::timeout(limit, Box::pin(acceptor.accept(stream))).await {
                Ok(Ok(session)) => {
                    Box::pin(register(&hub, transport, (peer, local), session)).await
                }
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "no TLS session");
                    End::Handshake
                }
                Err(_) => End::Handshake,
            }
        }
    };
    hub.counters.end(end);
}

/// Has the connection found by its number while it lasts.
async fn register<S>(
    hub: &Hub,
    transport: Transport,
    ends: (SocketAddr, SocketAddr),
    stream: S,
) -> End
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let id = hub.registry.new_id();
    let room = Arc::clone(&hub.room);
    let link = Arc::new(Link::new(id, transport, ends, room, Instant::now()));
    hub.registry.insert(Arc::clone(&link));
    let open = &hub.counters.connections[transport as usize];
    open.fetch_add(1, Ordering::Relaxed);
    let end = serve(stream, link, hub).await;
    open.fetch_sub(1, Ordering::Relaxed);
    hub.registry.remove(id);
    hub.core.closed(id, Instant::now());
    end
}

/// What is set on a listening socket, its connections inherit.
fn listen(address: SocketAddr, settings: &Settings) -> io::Result<std::net::TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Connections of a daemon before us may still be closing.
    socket.set_reuse_address(true)?;
    let tos = u32::from(settings.dscp) << 2;
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
    // Messages are short, and each is written whole.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(settings.tcp.write_timeout()))?;
    let keepalive = TcpKeepalive::new()
        .with_time(ALIVE_AFTER)
        .with_interval(ALIVE_INTERVAL)
        .with_retries(ALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
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
            let settings = Settings::default();
            let listener = listen(address.parse().unwrap(), &settings).unwrap();
            listener.set_nonblocking(false).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let socket = SockRef::from(&accepted);
            let class = match accepted.local_addr().unwrap() {
                SocketAddr::V4(_) => socket.tos_v4(),
                SocketAddr::V6(_) => socket.tclass_v6(),
            };
            assert_eq!(class.unwrap(), u32::from(settings.dscp) << 2, "{address}");
            let patience = settings.tcp.write_timeout();
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(patience));
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        }
    }
}
