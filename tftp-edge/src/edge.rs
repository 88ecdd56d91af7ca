//! The daemon as a whole: starts the parts in order, waits for a signal, stops them in reverse.
//!
//! The packet loops are threads of their own, and so is HTTP for phones; the tokio runtime here
//! serves the control socket and metrics only, so a slow scrape never delays a block.

mod error;
mod parts;
mod probes;
mod readings;
pub mod reload;
mod signals;
mod start;

pub use error::StartError;
pub use parts::Parts;
use reload::{Phase, Reloads};
use signals::Signals;
use start::start;

use crate::config::Config;
use crate::ops::log::Log;
use crate::service::{self, Role, Service};

/// For scrapes and status requests; they wait for nothing but the system.
const RUNTIME_THREADS: usize = 2;

/// Runs until SIGTERM or SIGINT, or until SIGUSR2, which leaves to the daemon that comes next what
/// the kernel serves from.
pub fn run(config: &Config, log: &Log) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("ops")
        .on_thread_start(|| service::capabilities::settle(Role::Main))
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let attendant = Service::start().map_err(StartError::Runtime)?;
    service::enter_runtime(&runtime, "ops", Role::Main);
    // Before any part: a signal during the start ends the daemon in order, too.
    let mut signals = runtime
        .block_on(async { Signals::new() })
        .map_err(StartError::Signals)?;
    let (parts, reloader) = start(config, log, &runtime, &attendant)?;
    reloader.watch(|phase| match phase {
        Phase::Begun => service::notify::reloading(),
        Phase::Ended => service::notify::reloaded(),
    });
    let reloads = Reloads::start(reloader, &runtime);
    service::capabilities::settle(Role::Main);
    tracing::info!(
        event = "edge.started",
        version = env!("CARGO_PKG_VERSION"),
        "tftp-edge runs"
    );
    // A start that fails leaves what it took over as it was; now it is ours to take off.
    parts.keep(false);
    let ending = runtime.block_on(signals.ending(log, &reloads));
    service::stopping();
    tracing::info!(
        event = "edge.stopping",
        signal = ending.signal,
        hands_over = ending.hands_over,
        "stopping"
    );
    parts.keep(ending.hands_over);
    drop(parts);
    tracing::info!(event = "edge.stopped", "stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::ops::control::Claim;
    use crate::ops::exit::Exit;

    #[test]
    fn a_daemon_that_cannot_start_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.control.socket = directory.path().join("control.sock");
        config.metrics.address = taken.local_addr().unwrap();
        config.inventory.database = directory.path().join("inventory.db");
        config.content.root = directory.path().to_owned();
        config.tftp.listen = vec![([127, 0, 0, 1], 0).into()];
        config.http.listen = vec![([127, 0, 0, 1], 0).into()];
        let error = run(&config, &Log::default()).unwrap_err();
        assert_eq!(error.exit(), Exit::Unavailable);
        assert!(!config.control.socket.exists());
        // And the lock is free again.
        Claim::take(&config.control.socket).unwrap();
    }

    #[test]
    fn a_daemon_that_would_ask_itself_does_not_start() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.control.socket = directory.path().join("control.sock");
        config.tftp.listen = vec![([0, 0, 0, 0], 6999).into()];
        config.http.listen = vec![([0, 0, 0, 0], 6998).into()];
        for itself in ["tftp://127.0.0.1:6999", "http://127.0.0.1:6998"] {
            config.upstream.servers = vec![itself.parse().unwrap()];
            let error = run(&config, &Log::default()).unwrap_err();
            assert_eq!(error.exit(), Exit::Config);
            assert!(error.to_string().contains("itself"), "{error}");
        }
    }
}
