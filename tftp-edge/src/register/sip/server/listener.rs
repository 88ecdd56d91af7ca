//! Taking connections: one task for each address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use super::connection::serve;
use super::counters::{Bad, End};
use super::hub::Hub;
use super::link::Link;
use crate::listen;
use crate::live::Live;
use crate::places::{Full, Place, Places};
use crate::register::Transport;
use crate::tls::Tls;

/// A connection may be silent for so long before the system asks whether the phone is still there:
/// those that lost their power say no goodbye.
const SYSTEM_KEEPALIVE: Duration = Duration::from_secs(60);

/// Answers are short.
const SEND_BUFFER: usize = 64 << 10;

/// What all listeners share.
pub(super) struct Listeners {
    hub: Arc<Hub>,
    places: Arc<Places>,
    /// As the listeners were opened with it.
    unread_after: Duration,
    bound: Mutex<Vec<(Transport, SocketAddr)>>,
}

/// One of the two ways to connect.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) transport: Transport,
    pub(super) tls: Option<Live<Tls>>,
}

/// The setting that wants places for connections.
const CONNECTIONS_KEY: &str = "register.sip.tcp.max_connections";

impl Listeners {
    pub(super) fn new(hub: Arc<Hub>) -> Arc<Self> {
        let settings = hub.settings.take();
        Arc::new(Self {
            unread_after: settings.tcp.write_timeout(),
            hub,
            places: Places::open(
                settings.tcp.max_connections,
                settings.tcp.max_connections_per_source,
                CONNECTIONS_KEY,
            ),
            bound: Mutex::default(),
        })
    }

    /// Takes over what does not follow the settings by itself.
    pub(super) fn follow(&self) {
        let settings = self.hub.settings.get();
        self.places.follow(
            settings.tcp.max_connections,
            settings.tcp.max_connections_per_source,
            CONNECTIONS_KEY,
        );
    }

    pub(super) fn connections_limit(&self) -> usize {
        self.places.limit()
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
        let settings = self.hub.settings.get();
        let options = listen::Options {
            dscp: settings.dscp,
            unread_after: self.unread_after,
            send_buffer: SEND_BUFFER,
            keepalive: Some(SYSTEM_KEEPALIVE),
        };
        let listener = TcpListener::from_std(listen::tcp(address, &options)?)?;
        let address = listener.local_addr()?;
        self.bound.lock().push((endpoint.transport, address));
        Ok(listener)
    }

    pub(super) async fn wait_for(self: Arc<Self>, endpoint: Endpoint, address: SocketAddr) {
        let listener = listen::wait_for(address, || self.listen(&endpoint, address)).await;
        self.accept(endpoint, listener).await;
    }

    pub(super) async fn accept(self: Arc<Self>, endpoint: Endpoint, listener: TcpListener) {
        listen::accept(listener, |stream, peer| self.admit(&endpoint, stream, peer)).await;
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
        match self.places.take(peer.ip()) {
            Ok(place) => {
                let unread_after = hub.settings.get().tcp.write_timeout();
                listen::renew(&stream, self.unread_after, unread_after);
                let hub = Arc::clone(hub);
                tokio::spawn(handle(hub, stream, peer, endpoint.clone(), place));
            }
            Err(Full::All) => hub.counters.end(End::Connections),
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
        Some(tls) => {
            let acceptor = tls.get().acceptor();
            let limit = hub.settings.get().tcp.message_timeout();
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
