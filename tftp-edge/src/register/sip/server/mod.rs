//! SIP over UDP, TCP and TLS: sockets, and nothing of the protocol.
//!
//! ```text
//! udp::Worker, one for each core ─┐                     ┌─▶ the worker's own batch
//! connection, a task for each     ─┼─▶ Hub ─▶ Core ─▶ ──┼─▶ Link, by its ConnectionId
//! timers, orders                  ─┘                     └─▶ Ports
//! ```
//!
//! Workers have sockets of their own on the same port (`SO_REUSEPORT`), so that the kernel spreads
//! phones over them, and take and send datagrams in batches. Connections are tasks of a tokio
//! runtime. Every buffer and every time is bounded: [`End`] has the ways a connection can end.

mod connection;
mod counters;
mod hub;
mod link;
mod listener;
mod ports;
mod registry;
mod room;
mod settings;
mod start;
#[cfg(test)]
mod tests;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

pub use counters::{Bad, CLASSES, End, Snapshot, Traffic};
use hub::Hub;
use listener::{Endpoint, Listeners};
pub use settings::{TcpSettings, TlsSettings, UdpSettings};
pub use start::StartError;
use udp::{Sockets, Stop, Worker};

use super::Settings;
use crate::live::{Live, Take};
use crate::register::{Desk, Dispatch, NotSent, Order, Registration, Transport};
use crate::service::{self, Role};
use crate::tls::{Tls, TlsError, TlsFiles};
use crate::udp::socket::may_come_later;

/// How often the certificate's time is looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(3600);

/// How often connections are looked at for those that are too slow.
const SWEEP: Duration = Duration::from_secs(1);

/// The running server. Dropping it stops it.
pub struct Server {
    hub: Arc<Hub>,
    listeners: Arc<Listeners>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// The certificate, where there is TLS.
    tls: Option<Live<Tls>>,
    /// Listeners were opened for it. Not for one that had expired at the start.
    has_tls: AtomicBool,
    workers: Vec<Running>,
    runtime: Option<Runtime>,
}

struct Running {
    stop: Arc<Stop>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Opens the sockets. An address that does not exist yet is no error: it is tried again every
    /// second. A certificate that has expired leaves TLS off, everything else on, and an alarm.
    pub fn start(settings: impl Into<Live<Settings>>, desk: Arc<Desk>) -> Result<Self, StartError> {
        let live = settings.into();
        let settings = &*live.take();
        for &address in &settings.listen {
            start::check_free(address, settings)?;
        }
        let tls = load(settings)?.map(Live::new);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("sip-tcp")
            .on_thread_start(|| service::capabilities::settle(Role::Packets))
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        service::enter_runtime(&runtime, "sip-tcp", Role::Packets);
        let hub = Arc::new(Hub::new(live, desk));
        let listeners = Listeners::new(Arc::clone(&hub));
        let mut server = Self {
            hub,
            listeners,
            tasks: Mutex::default(),
            tls,
            has_tls: AtomicBool::new(false),
            workers: Vec::new(),
            runtime: Some(runtime),
        };
        server.open_udp()?;
        // Where the port was left to the system, TCP has the same as UDP.
        let plain = server.hub.ports.addresses();
        let plain = match settings.listen.iter().any(|address| address.port() == 0) {
            true => plain,
            false => settings.listen.clone(),
        };
        server.open_tcp(Transport::Tcp, None, &plain)?;
        server.open_tls()?;
        server.watch_certificate();
        server.spawn_housekeeping();
        Ok(server)
    }

    /// The addresses messages are taken on; those still waited for are not among them.
    pub fn local_addrs(&self, transport: Transport) -> Vec<SocketAddr> {
        match transport {
            Transport::Udp => self.hub.ports.addresses(),
            Transport::Tcp | Transport::Tls => self.listeners.bound(transport),
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        let hub = &self.hub;
        let threads = self.workers.iter().filter(|it| {
            let thread = it.thread.as_ref();
            thread.is_none_or(thread::JoinHandle::is_finished)
        });
        let tasks = self.tasks.lock();
        let tasks = tasks.iter().filter(|it| it.is_finished());
        let transactions = hub.transactions.lock();
        Snapshot {
            bound: Transport::ALL.map(|transport| self.local_addrs(transport)),
            ended: threads.count() + tasks.count(),
            traffic: hub.counters.traffic(),
            counts: hub.core.counts(),
            connections_limit: self.listeners.connections_limit() as u64,
            buffered_bytes: hub.room.used() as u64,
            buffered_bytes_limit: hub.room.limit() as u64,
            transactions: transactions.len() as u64,
            transactions_limit: transactions.limit() as u64,
        }
    }

    fn open_udp(&mut self) -> Result<(), StartError> {
        let settings = self.hub.settings.take();
        let mut listen = settings.listen.clone();
        for number in 0..settings.udp.worker_count() {
            let sockets = Sockets::open(&listen, &self.hub)
                .map_err(|(address, error)| StartError::of(Transport::Udp, address, error))?;
            if number == 0 {
                // A port 0 has become a number now; the other workers share it.
                listen = sockets.listening().collect();
                listen.extend(sockets.pending());
                for address in sockets.pending() {
                    tracing::warn!(event = "listen.address_awaited", service = "sip", %address, "the address does not exist yet and is waited for");
                }
            }
            self.spawn_worker(number, sockets)?;
        }
        Ok(())
    }

    fn spawn_worker(&mut self, number: usize, sockets: Sockets) -> Result<(), StartError> {
        let stop = Arc::new(Stop::new().map_err(StartError::Threads)?);
        let (hub, for_thread) = (Arc::clone(&self.hub), Arc::clone(&stop));
        // Made in its thread, where it stays; the caller hears whether that went well.
        let (started, has_started) = mpsc::sync_channel(1);
        let name = format!("sip-udp-{number}");
        let thread = thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let beat = service::enter(name, Role::Packets);
                match Worker::new(hub, for_thread, sockets) {
                    Ok(worker) => {
                        // The receiver waits for it.
                        let _ = started.send(Ok(()));
                        worker.run(&beat);
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            })
            .map_err(StartError::Threads)?;
        self.workers.push(Running {
            stop,
            thread: Some(thread),
        });
        match has_started.recv() {
            Ok(result) => result.map_err(StartError::Threads),
            Err(_) => Err(StartError::Threads(io::Error::other("the thread panicked"))),
        }
    }

    /// Gets ready for other settings: reads the files of the certificate. Connections that there are
    /// go on as they began.
    pub fn prepare(self: &Arc<Self>, settings: &Settings) -> Result<Take, TlsError> {
        let tls = load(settings)?;
        let server = Arc::clone(self);
        Ok(Box::new(move || {
            server.listeners.follow();
            match (&server.tls, tls) {
                (Some(live), Some(tls)) => server.exchange(live, tls),
                _ => Vec::new(),
            }
        }))
    }

    fn exchange(&self, live: &Live<Tls>, tls: Tls) -> Vec<String> {
        if !tls.take_place(live, &self.hub.desk.alarms) {
            return Vec::new();
        }
        let mut remarks = vec!["register.sip.tls: another certificate".to_owned()];
        if let Err(error) = self.open_tls() {
            tracing::error!(event = "sip.tls_not_opened", %error, "SIP over TLS stays off until a restart");
            remarks.push(format!("SIP over TLS stays off until a restart: {error}"));
        }
        remarks
    }

    fn open_tcp(
        &self,
        transport: Transport,
        tls: Option<&Live<Tls>>,
        listen: &[SocketAddr],
    ) -> Result<(), StartError> {
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        let _context = runtime.enter();
        for &address in listen {
            let endpoint = Endpoint {
                transport,
                tls: tls.cloned(),
            };
            let listeners = Arc::clone(&self.listeners);
            let task = match listeners.listen(&endpoint, address) {
                Ok(listener) => runtime.spawn(listeners.accept(endpoint, listener)),
                Err(error) if may_come_later(&error) => {
                    runtime.spawn(listeners.wait_for(endpoint, address))
                }
                Err(error) => return Err(StartError::of(transport, address, error)),
            };
            self.tasks.lock().push(task);
        }
        Ok(())
    }

    /// Opens the listeners of TLS if they are not open, and there is a certificate that phones take.
    /// Time has passed, and nobody did anything wrong today: the rest of the daemon must start with
    /// one that has expired.
    fn open_tls(&self) -> Result<(), StartError> {
        let Some(tls) = &self.tls else {
            return Ok(());
        };
        let has_expired = tls.get().expires_by(SystemTime::now()).is_some();
        if has_expired || self.has_tls.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let listen = self.hub.settings.get().tls.listen.clone();
        self.open_tcp(Transport::Tls, Some(tls), &listen)
    }

    fn watch_certificate(&self) {
        let Some(tls) = self.tls.clone() else {
            return;
        };
        let alarms = Arc::clone(&self.hub.desk.alarms);
        self.spawn(async move {
            loop {
                tls.get().tell(&alarms);
                tokio::time::sleep(CERTIFICATE_INTERVAL).await;
            }
        });
    }

    fn spawn_housekeeping(&self) {
        let hub = Arc::clone(&self.hub);
        self.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                hub.sweep(Instant::now());
            }
        });
        let hub = Arc::clone(&self.hub);
        self.spawn(async move {
            loop {
                let begun = hub.begun.notified();
                match hub.run_timers(Instant::now()) {
                    Some(at) => drop(tokio::time::timeout_at(at.into(), begun).await),
                    None => begun.await,
                }
            }
        });
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        self.tasks.lock().push(runtime.spawn(task));
    }
}

/// The certificate of the settings, where they want TLS.
pub(super) fn load(settings: &Settings) -> Result<Option<Tls>, TlsError> {
    if !settings.tls.enabled {
        return Ok(None);
    }
    Tls::load(&TlsFiles {
        section: "register.sip.tls",
        certificate: &settings.tls.certificate,
        key: &settings.tls.key,
        instead: "cannot register over TLS",
    })
    .map(Some)
}

impl Dispatch for Server {
    fn order(&self, to: &Registration, order: Order) -> Result<(), NotSent> {
        let now = Instant::now();
        let hub = &self.hub;
        let towards = |phone| hub.ports.towards(phone);
        let request = hub.core.order(to, order, towards, now);
        hub.request(&request.ok_or(NotSent::NotConnected)?, now)
    }
}

impl Drop for Server {
    /// What is under way ends without a word: phones send again.
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.stop.stop();
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take()
                && thread.join().is_err()
            {
                tracing::error!(event = "sip.worker_panicked", "a SIP worker had panicked");
            }
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}
