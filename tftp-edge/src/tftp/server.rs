//! Starting and stopping: one worker for each core, each with its own sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;

use super::engine::Shared;
use super::parking::Ready;
use super::settings::{Settings, SettingsError};
use super::socket;
use super::sources::Sources;
use super::worker::{Control, Sockets, Worker};
use crate::access::Access;
use crate::content::Catalog;
use crate::journal::Journal;
use crate::live::Live;
use crate::misses::Misses;
use crate::port_owner;
use crate::service::{self, Role};
use crate::stats::Counters;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("[tftp] {0}")]
    Settings(#[from] SettingsError),
    #[error(
        "UDP {address} is taken{}; stop it, or choose another address in [tftp] listen",
        port_owner::told(.owner.as_deref(), .address.port())
    )]
    Taken {
        address: SocketAddr,
        /// Name and process id, if `/proc` tells.
        owner: Option<String>,
    },
    #[error(
        "not allowed to bind UDP {address}; run with CAP_NET_BIND_SERVICE, or choose a port over \
         1023 in [tftp] listen"
    )]
    Permission { address: SocketAddr },
    #[error("cannot open the TFTP sockets")]
    Socket(#[source] io::Error),
    #[error("cannot start a TFTP worker thread")]
    Thread(#[source] io::Error),
}

/// What there is at this moment, beside the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Transfers under way, and the most there may be.
    pub transfers: u64,
    pub limit: u64,
    /// Datagrams the kernel has dropped since the start because a receive buffer was full.
    pub receive_overflows: u64,
}

/// See [`Server::workers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    pub all: usize,
    pub ended: usize,
}

/// The running server. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    workers: Vec<Running>,
    listening: Arc<Mutex<Vec<SocketAddr>>>,
    overflows: Arc<AtomicU64>,
}

struct Running {
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the sockets and starts the workers. An address that does not exist yet is no error:
    /// it is tried again every second.
    pub fn start(
        settings: impl Into<Live<Settings>>,
        access: Live<Access>,
        catalog: Arc<dyn Catalog>,
        counters: Arc<Counters>,
        sources: Arc<Sources>,
        misses: Arc<Misses>,
        journal: Arc<Journal>,
    ) -> Result<Self, StartError> {
        let live = settings.into();
        let settings = &*live.take();
        settings.validate()?;
        for &address in &settings.listen {
            socket::check_free(address, settings.into())?;
        }
        let overflows = Arc::new(AtomicU64::new(0));
        let shared = Arc::new(Shared {
            sources,
            misses,
            journal,
            settings: live,
            access,
            catalog,
            counters,
            running: AtomicUsize::new(0),
        });
        let mut server = Self {
            shared,
            workers: Vec::new(),
            listening: Arc::default(),
            overflows,
        };
        let sockets = server.open_sockets(settings)?;
        for (number, sockets) in sockets.into_iter().enumerate() {
            server.spawn(number, sockets)?;
        }
        Ok(server)
    }

    /// The addresses requests are taken on; those still waited for are not among them.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listening.lock().clone()
    }

    /// Workers, and how many of them have ended although the server runs: by a panic or because
    /// they could not wait for packets.
    pub fn workers(&self) -> Workers {
        let has_ended = |worker: &&Running| {
            let thread = worker.thread.as_ref();
            thread.is_none_or(JoinHandle::is_finished)
        };
        Workers {
            all: self.workers.len(),
            ended: self.workers.iter().filter(has_ended).count(),
        }
    }

    /// What is remembered of each source: other protocols draw on the same budgets.
    pub fn sources(&self) -> Arc<Sources> {
        self.shared.sources.clone()
    }

    pub fn gauges(&self) -> Gauges {
        Gauges {
            transfers: self.shared.running.load(Ordering::Relaxed) as u64,
            limit: self.shared.settings.get().max_transfers as u64,
            receive_overflows: self.overflows.load(Ordering::Relaxed),
        }
    }

    /// Stops all workers and waits for them. Transfers under way end without a word: their clients
    /// ask again.
    pub fn shutdown(self) {
        drop(self);
    }

    fn open_sockets(&mut self, settings: &Settings) -> Result<Vec<Sockets>, StartError> {
        let mut listen = settings.listen.clone();
        let mut all = Vec::new();
        for _ in 0..settings.worker_count() {
            let sockets = Sockets::open(settings, &listen).map_err(StartError::Socket)?;
            if all.is_empty() {
                // A port 0 has become a number now; the other workers share it.
                listen = sockets.listening().collect();
                self.listening.lock().clone_from(&listen);
                listen.extend(sockets.pending());
                for address in sockets.pending() {
                    tracing::warn!(event = "listen.address_awaited", service = "tftp", %address, "the address does not exist yet and is waited for");
                }
            }
            all.push(sockets);
        }
        Ok(all)
    }

    fn spawn(&mut self, number: usize, sockets: Sockets) -> Result<(), StartError> {
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map_err(|error| StartError::Socket(error.into()))?;
        let control = Arc::new(Control {
            ready: Arc::new(Ready::new(event)),
            stop: AtomicBool::new(false),
            overflows: self.overflows.clone(),
            listening: self.listening.clone(),
        });
        let (shared, for_thread) = (self.shared.clone(), control.clone());
        // Made in its thread, where it stays; the caller hears whether that went well.
        let (started, has_started) = mpsc::sync_channel(1);
        let name = format!("tftp-{number}");
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let beat = service::enter(name, Role::Packets);
                match Worker::new(shared, for_thread, sockets) {
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
            .map_err(StartError::Thread)?;
        self.workers.push(Running {
            control,
            thread: Some(thread),
        });
        match has_started.recv() {
            Ok(result) => result.map_err(StartError::Thread),
            Err(_) => Err(StartError::Thread(io::Error::other("the thread panicked"))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.control.stop.store(true, Ordering::Relaxed);
            worker.control.ready.wake();
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take()
                && thread.join().is_err()
            {
                tracing::error!(event = "tftp.worker_panicked", "a TFTP worker had panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::content::{Lookup, Query};

    struct Nothing;

    impl Catalog for Nothing {
        fn lookup(&self, _query: Query<'_>) -> Lookup {
            Lookup::Absent
        }

        fn when_ready(&self, _query: Query<'_>, _wake: Box<dyn FnOnce() + Send>) {}
    }

    #[test]
    fn a_worker_that_ended_is_counted() {
        let settings = Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            workers: 2,
            ..Settings::default()
        };
        let server = Server::start(
            &settings,
            Live::default(),
            Arc::new(Nothing),
            Arc::default(),
            Arc::new(Sources::new(&settings.budget)),
            Arc::new(Misses::new(&settings.budget, None)),
            Arc::default(),
        )
        .unwrap();
        assert_eq!(server.workers(), Workers { all: 2, ended: 0 });
        let control = &server.workers[1].control;
        control.stop.store(true, Ordering::Relaxed);
        control.ready.wake();
        let deadline = Instant::now() + Duration::from_secs(20);
        while server.workers().ended == 0 {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(server.workers(), Workers { all: 2, ended: 1 });
    }
}
