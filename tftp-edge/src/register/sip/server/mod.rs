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
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

pub use counters::{Bad, CLASSES, End, Snapshot, Traffic};
use hub::Hub;
use listener::{Endpoint, Listeners};
pub use settings::{TcpSettings, TlsSettings, UdpSettings};
pub use start::StartError;
use udp::{Sockets, Stop, Worker};

use super::Settings;
use crate::places::connections_allowed;
use crate::register::{Desk, Dispatch, NotSent, Order, Registration, Transport};
use crate::service::{self, Role};
use crate::tls::{Tls, TlsFiles};
use crate::udp::socket::may_come_later;

/// How often the certificate's time is looked at.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(3600);

/// How often connections are looked at for those that are too slow.
const SWEEP: Duration = Duration::from_secs(1);

/// The running server. Dropping it stops it.
pub struct Server {
    hub: Arc<Hub>,
    listeners: Arc<Listeners>,
    tasks: Vec<JoinHandle<()>>,
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
    pub fn start(settings: &Settings, desk: Arc<Desk>) -> Result<Self, StartError> {
        for &address in &settings.listen {
            start::check_free(address, settings)?;
        }
        let tls = match settings.tls.enabled {
            true => Some(Tls::load(&TlsFiles {
                section: "register.sip.tls",
                certificate: &settings.tls.certificate,
                key: &settings.tls.key,
                instead: "cannot register over TLS",
            })?),
            false => None,
        };
        let wanted = settings.tcp.max_connections;
        let key = "register.sip.tcp.max_connections";
        let connections = connections_allowed(wanted, key);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("sip-tcp")
            .on_thread_start(|| service::capabilities::settle(Role::Packets))
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        service::enter_runtime(&runtime, "sip-tcp", Role::Packets);
        let hub = Arc::new(Hub::new(settings, desk));
        let listeners = Listeners::new(Arc::clone(&hub), connections);
        let mut server = Self {
            hub,
            listeners,
            tasks: Vec::new(),
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
        if let Some(tls) = tls {
            server.open_tls(tls)?;
        }
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
        let tasks = self.tasks.iter().filter(|it| it.is_finished());
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
        let mut listen = self.hub.settings.listen.clone();
        for number in 0..self.hub.settings.udp.worker_count() {
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

    fn open_tcp(
        &mut self,
        transport: Transport,
        tls: Option<&Tls>,
        listen: &[SocketAddr],
    ) -> Result<(), StartError> {
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        let _context = runtime.enter();
        for &address in listen {
            let endpoint = Endpoint {
                transport,
                tls: tls.map(Tls::acceptor),
            };
            let listeners = Arc::clone(&self.listeners);
            let task = match listeners.listen(&endpoint, address) {
                Ok(listener) => runtime.spawn(listeners.accept(endpoint, listener)),
                Err(error) if may_come_later(&error) => {
                    runtime.spawn(listeners.wait_for(endpoint, address))
                }
                Err(error) => return Err(StartError::of(transport, address, error)),
            };
            self.tasks.push(task);
        }
        Ok(())
    }

    fn open_tls(&mut self, tls: Tls) -> Result<(), StartError> {
        // Time has passed, and nobody did anything wrong today: the rest of the daemon must start.
        if tls.expires_by(SystemTime::now()).is_none() {
            let listen = self.hub.settings.tls.listen.clone();
            self.open_tcp(Transport::Tls, Some(&tls), &listen)?;
        }
        let alarms = Arc::clone(&self.hub.desk.alarms);
        self.spawn(async move {
            loop {
                tls.tell(&alarms);
                tokio::time::sleep(CERTIFICATE_INTERVAL).await;
            }
        });
        Ok(())
    }

    fn spawn_housekeeping(&mut self) {
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

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.runtime.as_ref().expect("taken when dropped");
        self.tasks.push(runtime.spawn(task));
    }
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
