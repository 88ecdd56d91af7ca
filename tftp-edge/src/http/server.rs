//! Starting and stopping: the listeners, and the threads connections run on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::connection::serve;
use super::counters::{Lane, Refusal, Scheme, Snapshot};
use super::link::Link;
use super::settings::{Settings, SettingsError};
use super::validators::Tags;
use crate::access::Access;
use crate::alarms::Alarms;
use crate::content::Catalog;
use crate::journal::Journal;
use crate::listen::{self, ListenError};
use crate::misses::Misses;
use crate::ops::exit::Exit;
use crate::places::{Full, Place, Places, connections_allowed};
use crate::service::{self, Role};
use crate::tftp::sources::Sources;
use crate::tls::{Tls, TlsError, TlsFiles};

/// How often the certificate's time is looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(3600);

/// What a connection may have in the system: enough for several megabytes a second over a line of
/// 50 milliseconds.
const SEND_BUFFER: usize = 128 << 10;

/// Clients that are being told that there are too many; those on top of them are told nothing.
const TURNED_AWAY: usize = 256;

/// How long such a client may take to read it.
const FAREWELL: Duration = Duration::from_secs(1);

const OVERLOADED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Length: 0\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("[http] {0}")]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot start the threads of HTTP: {0}")]
    Threads(#[source] io::Error),
}

impl StartError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Tls(_) => Exit::Config,
            Self::Listen(error) => error.exit(),
            Self::Threads(source) => Exit::of_io(source),
        }
    }
}

/// What is shared with TFTP.
pub struct Parts {
    pub access: Arc<Access>,
    pub catalog: Arc<dyn Catalog>,
    /// Where TFTP remembers who has proved an address.
    pub sources: Arc<Sources>,
    /// One budget for both protocols and the kernel: those who scan use all of them.
    pub misses: Arc<Misses>,
    pub alarms: Arc<Alarms>,
    pub journal: Arc<Journal>,
    pub dscp: u8,
}

/// What all connections share.
pub(super) struct Site {
    pub(super) settings: Settings,
    pub(super) access: Arc<Access>,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) sources: Arc<Sources>,
    pub(super) misses: Arc<Misses>,
    pub(super) journal: Arc<Journal>,
    pub(super) tags: Tags,
    lanes: [Lane; Scheme::COUNT],
}

impl Site {
    pub(super) fn lane(&self, scheme: Scheme) -> &Lane {
        &self.lanes[scheme as usize]
    }
}

/// The running server. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    /// One for each address.
    listeners: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// What all listeners share.
struct Shared {
    site: Arc<Site>,
    places: Arc<Places>,
    turning_away: Arc<Semaphore>,
    dscp: u8,
    bound: Mutex<[Vec<SocketAddr>; Scheme::COUNT]>,
}

/// One of the two ways to ask.
#[derive(Clone)]
struct Endpoint {
    scheme: Scheme,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Opens the sockets. An address that does not exist yet is no error: it is tried again every
    /// second. A certificate that has expired leaves HTTPS off, everything else on, and an alarm.
    pub fn start(settings: &Settings, parts: Parts) -> Result<Self, StartError> {
        settings.validate()?;
        let mut certificate = None;
        let mut endpoints = vec![Endpoint {
            scheme: Scheme::Http,
            tls: None,
        }];
        if settings.tls.enabled {
            let tls = Tls::load(&TlsFiles {
                section: "http.tls",
                certificate: &settings.tls.certificate,
                key: &settings.tls.key,
                instead: "ask over HTTP instead",
            })?;
            // Time has passed, and nobody did anything wrong today: the rest of the daemon must
            // start. Phones that cannot connect to 6971 ask on 6970.
            if tls.expires_by(SystemTime::now()).is_none() {
                endpoints.push(Endpoint {
                    scheme: Scheme::Https,
                    tls: Some(tls.acceptor()),
                });
            }
            certificate = Some(tls);
        }
        let connections = connections_allowed(settings.max_connections, "http.max_connections");
        let shared = Arc::new(Shared {
            site: Arc::new(Site {
                settings: settings.clone(),
                access: parts.access,
                catalog: parts.catalog,
                sources: parts.sources,
                misses: parts.misses,
                journal: parts.journal,
                tags: Tags::default(),
                lanes: Default::default(),
            }),
            places: Places::new(connections, settings.max_connections_per_source),
            turning_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            dscp: parts.dscp,
            bound: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("http")
            .on_thread_start(|| service::capabilities::settle(Role::Packets))
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        service::enter_runtime(&runtime, "http", Role::Packets);
        if let Some(certificate) = certificate {
            certificate.tell(&parts.alarms);
            runtime.spawn(async move {
                loop {
                    tokio::time::sleep(CERTIFICATE_INTERVAL).await;
                    certificate.tell(&parts.alarms);
                }
            });
        }
        let mut server = Self {
            shared,
            listeners: Vec::new(),
            runtime: Some(runtime),
        };
        for endpoint in endpoints {
            server.open(&endpoint)?;
        }
        Ok(server)
    }

    fn open(&mut self, endpoint: &Endpoint) -> Result<(), StartError> {
        let settings = &self.shared.site.settings;
        let (listen, key, switch) = match endpoint.scheme {
            Scheme::Http => (&settings.listen, "http.listen", "http.enabled"),
            Scheme::Https => (&settings.tls.listen, "http.tls.listen", "http.tls.enabled"),
        };
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        for &address in listen {
            let (shared, endpoint) = (Arc::clone(&self.shared), endpoint.clone());
            let listener = match shared.bind(&endpoint, address, runtime) {
                Ok(listener) => runtime.spawn(shared.accept(endpoint, listener)),
                Err(error) if crate::tftp::socket::may_come_later(&error) => {
                    tracing::warn!(event = "listen.address_awaited", service = "http", %address, "the address does not exist yet and is waited for");
                    runtime.spawn(shared.wait_for(endpoint, address))
                }
                Err(source) => {
                    return Err(ListenError::tcp(address, key, switch, source).into());
                }
            };
            self.listeners.push(listener);
        }
        Ok(())
    }

    /// The addresses connections are taken on; those still waited for are not among them.
    pub fn local_addrs(&self, scheme: Scheme) -> Vec<SocketAddr> {
        self.shared.bound.lock()[scheme as usize].clone()
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            bound: self.shared.bound.lock().clone(),
            listeners_ended: self.listeners.iter().filter(|it| it.is_finished()).count(),
            traffic: Scheme::ALL.map(|scheme| self.shared.site.lane(scheme).traffic()),
            connections_limit: self.shared.places.limit() as u64,
        }
    }
}

impl Drop for Server {
    /// What is under way ends without a word: phones ask again.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Shared {
    fn bind(
        &self,
        endpoint: &Endpoint,
        address: SocketAddr,
        runtime: &Runtime,
    ) -> io::Result<TcpListener> {
        let _context = runtime.enter();
        self.listen(endpoint, address)
    }

    /// Must be called inside a tokio runtime.
    fn listen(&self, endpoint: &Endpoint, address: SocketAddr) -> io::Result<TcpListener> {
        let options = listen::Options {
            dscp: self.dscp,
            unread_after: self.site.settings.write_timeout(),
            send_buffer: SEND_BUFFER,
            keepalive: None,
        };
        let listener = TcpListener::from_std(listen::tcp(address, &options)?)?;
        let address = listener.local_addr()?;
        self.bound.lock()[endpoint.scheme as usize].push(address);
        Ok(listener)
    }

    async fn wait_for(self: Arc<Self>, endpoint: Endpoint, address: SocketAddr) {
        let listener = listen::wait_for(address, || self.listen(&endpoint, address)).await;
        self.accept(endpoint, listener).await;
    }

    async fn accept(self: Arc<Self>, endpoint: Endpoint, listener: TcpListener) {
        listen::accept(listener, |stream, peer| self.admit(&endpoint, stream, peer)).await;
    }

    /// Must be called inside a tokio runtime.
    fn admit(self: &Arc<Self>, endpoint: &Endpoint, stream: TcpStream, peer: SocketAddr) {
        let client = peer.ip();
        let lane = self.site.lane(endpoint.scheme);
        if !self.site.access.allows(client) {
            return lane.refuse(Refusal::Denied);
        }
        match self.places.take(client) {
            Ok(place) => {
                let link = Link::new(Arc::clone(&self.site), endpoint.scheme, peer);
                tokio::spawn(handle(stream, link, endpoint.tls.clone(), place));
            }
            Err(full) => {
                lane.refuse(match full {
                    Full::All => Refusal::Connections,
                    Full::Source => Refusal::SourceConnections,
                });
                // Without a session there are no words over TLS.
                if endpoint.tls.is_none()
                    && let Ok(turn) = Arc::clone(&self.turning_away).try_acquire_owned()
                {
                    tokio::spawn(async move {
                        let _turn = turn;
                        let _ = tokio::time::timeout(FAREWELL, turn_away(stream)).await;
                    });
                }
            }
        }
    }
}

async fn handle(stream: TcpStream, link: Arc<Link>, tls: Option<TlsAcceptor>, place: Place) {
    let _place = place;
    let Some(tls) = tls else {
        return serve(stream, link).await;
    };
    let limit = link.site.settings.request_timeout();
    match tokio::time::timeout(limit, tls.accept(stream)).await {
        Ok(Ok(session)) => serve(session, link).await,
        Ok(Err(error)) => {
            link.lane().refuse(Refusal::Handshake);
            tracing::debug!(peer = %link.client, %error, "no TLS session");
        }
        Err(_) => link.lane().refuse(Refusal::Handshake),
    }
}

/// Says 503 and lets the client read it: closing with its request unread would reset the
/// connection, and the answer with it.
async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(OVERLOADED).await?;
    stream.shutdown().await?;
    let mut request = [0; 1024];
    while stream.read(&mut request).await? > 0 {}
    Ok(())
}
