//! Starting and stopping: the listeners, and the threads connections run on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

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
use crate::live::{Live, Take};
use crate::misses::Misses;
use crate::ops::exit::Exit;
use crate::places::{Full, Place, Places};
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
    pub access: Live<Access>,
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
    pub(super) settings: Live<Settings>,
    pub(super) access: Live<Access>,
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
    listeners: Mutex<Vec<JoinHandle<()>>>,
    runtime: Option<Runtime>,
    /// The certificate, where there is HTTPS.
    tls: Option<Live<Tls>>,
    /// Listeners were opened for it. Not for one that had expired at the start.
    has_https: AtomicBool,
    alarms: Arc<Alarms>,
}

/// What all listeners share.
struct Shared {
    site: Arc<Site>,
    places: Arc<Places>,
    turning_away: Arc<Semaphore>,
    dscp: u8,
    /// As the listeners were opened with it.
    unread_after: Duration,
    bound: Mutex<[Vec<SocketAddr>; Scheme::COUNT]>,
}

/// One of the two ways to ask.
#[derive(Clone)]
struct Endpoint {
    scheme: Scheme,
    tls: Option<Live<Tls>>,
}

impl Server {
    /// Opens the sockets. An address that does not exist yet is no error: it is tried again every
    /// second. A certificate that has expired leaves HTTPS off, everything else on, and an alarm.
    pub fn start(settings: impl Into<Live<Settings>>, parts: Parts) -> Result<Self, StartError> {
        let live = settings.into();
        let settings = &*live.take();
        settings.validate()?;
        let tls = load(settings)?.map(Live::new);
        let shared = Arc::new(Shared {
            site: Arc::new(Site {
                settings: live,
                access: parts.access,
                catalog: parts.catalog,
                sources: parts.sources,
                misses: parts.misses,
                journal: parts.journal,
                tags: Tags::default(),
                lanes: Default::default(),
            }),
            places: Places::open(
                settings.max_connections,
                settings.max_connections_per_source,
                "http.max_connections",
            ),
            turning_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            dscp: parts.dscp,
            unread_after: settings.write_timeout(),
            bound: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("http")
            .on_thread_start(|| service::capabilities::settle(Role::Packets))
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        service::enter_runtime(&runtime, "http", Role::Packets);
        if let Some(certificate) = tls.clone() {
            let alarms = Arc::clone(&parts.alarms);
            certificate.get().tell(&alarms);
            runtime.spawn(async move {
                loop {
                    tokio::time::sleep(CERTIFICATE_INTERVAL).await;
                    certificate.get().tell(&alarms);
                }
            });
        }
        let server = Self {
            shared,
            listeners: Mutex::default(),
            runtime: Some(runtime),
            tls,
            has_https: AtomicBool::new(false),
            alarms: parts.alarms,
        };
        server.open(&Endpoint {
            scheme: Scheme::Http,
            tls: None,
        })?;
        server.open_https()?;
        Ok(server)
    }

    /// Opens the listeners of HTTPS if they are not open, and there is a certificate that phones
    /// take. Time has passed, and nobody did anything wrong today: the rest of the daemon must start
    /// with one that has expired. Phones that cannot connect to 6971 ask on 6970.
    fn open_https(&self) -> Result<(), StartError> {
        let Some(tls) = &self.tls else {
            return Ok(());
        };
        let has_expired = tls.get().expires_by(SystemTime::now()).is_some();
        if has_expired || self.has_https.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.open(&Endpoint {
            scheme: Scheme::Https,
            tls: Some(tls.clone()),
        })
    }

    /// Gets ready for other settings: reads the files of the certificate. Connections that there are
    /// go on as they began.
    pub fn prepare(self: &Arc<Self>, settings: &Settings) -> Result<Take, TlsError> {
        let tls = load(settings)?;
        let (connections, of_source) = (
            settings.max_connections,
            settings.max_connections_per_source,
        );
        let server = Arc::clone(self);
        Ok(Box::new(move || {
            let places = &server.shared.places;
            places.follow(connections, of_source, "http.max_connections");
            match (&server.tls, tls) {
                (Some(live), Some(tls)) => server.exchange(live, tls),
                _ => Vec::new(),
            }
        }))
    }

    fn exchange(&self, live: &Live<Tls>, tls: Tls) -> Vec<String> {
        if !tls.take_place(live, &self.alarms) {
            return Vec::new();
        }
        let mut remarks = vec!["http.tls: another certificate".to_owned()];
        if let Err(error) = self.open_https() {
            tracing::error!(event = "http.tls_not_opened", %error, "HTTPS stays off until a restart");
            remarks.push(format!("HTTPS stays off until a restart: {error}"));
        }
        remarks
    }

    fn open(&self, endpoint: &Endpoint) -> Result<(), StartError> {
        let settings = self.shared.site.settings.get();
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
            self.listeners.lock().push(listener);
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
            listeners_ended: self
                .listeners
                .lock()
                .iter()
                .filter(|it| it.is_finished())
                .count(),
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
            unread_after: self.unread_after,
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
        if !self.site.access.get().allows(client) {
            return lane.refuse(Refusal::Denied);
        }
        match self.places.take(client) {
            Ok(place) => {
                let unread_after = self.site.settings.get().write_timeout();
                listen::renew(&stream, self.unread_after, unread_after);
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

/// The certificate of the settings, where they want HTTPS.
pub(super) fn load(settings: &Settings) -> Result<Option<Tls>, TlsError> {
    if !settings.tls.enabled {
        return Ok(None);
    }
    Tls::load(&TlsFiles {
        section: "http.tls",
        certificate: &settings.tls.certificate,
        key: &settings.tls.key,
        instead: "ask over HTTP instead",
    })
    .map(Some)
}

async fn handle(stream: TcpStream, link: Arc<Link>, tls: Option<Live<Tls>>, place: Place) {
    let _place = place;
    let Some(tls) = tls else {
        return serve(stream, link).await;
    };
    let limit = link.site.settings.get().request_timeout();
    let acceptor = tls.get().acceptor();
    match tokio::time::timeout(limit, acceptor.accept(stream)).await {
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
