//! Starting and stopping: the listeners, and the threads connections run on.

mod connection;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::counters::{Rejection, Snapshot};
use super::registrar::Registrar;
use super::session::HIGH_WATER;
use super::settings::Settings;
use crate::listen::{self, ListenError};
use crate::live::Live;
use crate::ops::exit::Exit;
use crate::places::{Full, Place, Places};
use crate::register::{Desk, Dispatch, NotSent, Order, Registration};
use crate::service::{self, Role};
use crate::tftp::socket::may_come_later;
use connection::Connection;

/// What a connection may have in the system. A phone is told a few hundred bytes at a time.
const SEND_BUFFER: usize = 2 * HIGH_WATER;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot start the threads of SCCP: {0}")]
    Threads(#[source] io::Error),
}

impl StartError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Listen(error) => error.exit(),
            Self::Threads(error) => Exit::of_io(error),
        }
    }
}

/// The running server. Dropping it stops it; phones stay in the table, they come again.
pub struct Server {
    shared: Arc<Shared>,
    /// One for each address.
    listeners: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

/// What all listeners share.
struct Shared {
    registrar: Arc<Registrar>,
    places: Arc<Places>,
    options: listen::Options,
    bound: Mutex<Vec<SocketAddr>>,
}

impl Server {
    /// Opens the sockets. An address that does not exist yet is no error: it is tried again every
    /// second.
    pub fn start(settings: impl Into<Live<Settings>>, desk: Arc<Desk>) -> Result<Self, StartError> {
        let live = settings.into();
        let settings = &*live.take();
        let shared = Arc::new(Shared {
            registrar: Arc::new(Registrar::new(live, desk)),
            places: Places::open(
                settings.max_connections,
                settings.max_connections_per_source,
                "register.sccp.max_connections",
            ),
            options: listen::Options {
                dscp: settings.dscp,
                unread_after: settings.lost_after(),
                send_buffer: SEND_BUFFER,
                // Phones speak more often: it finds what nothing else has.
                keepalive: Some(2 * settings.lost_after()),
            },
            bound: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads)
            .thread_name("sccp")
            .on_thread_start(|| service::capabilities::settle(Role::Packets))
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        service::enter_runtime(&runtime, "sccp", Role::Packets);
        let mut server = Self {
            shared,
            listeners: Vec::new(),
            runtime: Some(runtime),
        };
        for &address in &settings.listen {
            server.open(address)?;
        }
        tracing::info!(event = "sccp.listening", addresses = ?server.local_addrs(), "SCCP");
        Ok(server)
    }

    fn open(&mut self, address: SocketAddr) -> Result<(), StartError> {
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        let shared = Arc::clone(&self.shared);
        let listener = {
            let _context = runtime.enter();
            shared.listen(address)
        };
        let listener = match listener {
            Ok(listener) => runtime.spawn(shared.accept(listener)),
            Err(error) if may_come_later(&error) => {
                tracing::warn!(event = "listen.address_awaited", service = "sccp", %address, "the address does not exist yet and is waited for");
                runtime.spawn(shared.wait_for(address))
            }
            Err(source) => {
                let (key, switch) = ("register.sccp.listen", "register.sccp.enabled");
                return Err(ListenError::tcp(address, key, switch, source).into());
            }
        };
        self.listeners.push(listener);
        Ok(())
    }

    /// Takes over what does not follow the settings by itself.
    pub fn follow(&self) {
        let settings = self.shared.registrar.settings.get();
        self.shared.places.follow(
            settings.max_connections,
            settings.max_connections_per_source,
            "register.sccp.max_connections",
        );
    }

    /// The addresses connections are taken on; those still waited for are not among them.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.shared.bound.lock().clone()
    }

    pub fn snapshot(&self) -> Snapshot {
        let registrar = &self.shared.registrar;
        Snapshot {
            bound: self.local_addrs(),
            listeners_ended: self.listeners.iter().filter(|it| it.is_finished()).count(),
            connections_limit: self.shared.places.limit() as u64,
            ..registrar.counters.snapshot()
        }
    }
}

impl Dispatch for Server {
    fn order(&self, to: &Registration, order: Order) -> Result<(), NotSent> {
        let connection = to.connection.ok_or(NotSent::NotConnected)?;
        self.shared.registrar.connections.order(connection, order)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Shared {
    /// Must be called inside a tokio runtime.
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let listener = TcpListener::from_std(listen::tcp(address, &self.options)?)?;
        self.bound.lock().push(listener.local_addr()?);
        Ok(listener)
    }

    async fn wait_for(self: Arc<Self>, address: SocketAddr) {
        let listener = listen::wait_for(address, || self.listen(address)).await;
        self.accept(listener).await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        listen::accept(listener, |stream, peer| self.admit(stream, peer)).await;
    }

    /// Must be called inside a tokio runtime.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        match self.place(peer) {
            Ok(place) => {
                let unread_after = self.registrar.settings.get().lost_after();
                listen::renew(&stream, self.options.unread_after, unread_after);
                let registrar = Arc::clone(&self.registrar);
                if let Some(connection) = Connection::new(registrar, stream, peer, place) {
                    tokio::spawn(connection.serve());
                }
            }
            Err(rejection) => self.registrar.counters.rejected(rejection),
        }
    }

    fn place(&self, peer: SocketAddr) -> Result<Place, Rejection> {
        let desk = &self.registrar.desk;
        if !desk.access.get().allows(peer.ip()) {
            return Err(Rejection::Denied);
        }
        if desk.bans.is_banned(peer.ip(), Instant::now()) {
            return Err(Rejection::Banned);
        }
        self.places.take(peer.ip()).map_err(|full| match full {
            Full::All => Rejection::Connections,
            Full::Source => Rejection::SourceConnections,
        })
    }
}
