//! What ends the daemon from outside.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reloads;
use crate::ops::log::Log;

/// The signals that the daemon takes notice of.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The configuration is to be read anew.
    hangup: Signal,
    /// The log's file was moved away.
    user1: Signal,
}

impl Signals {
    /// Must be called inside a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// The signal that ends the daemon.
    pub(super) async fn ending(&mut self, log: &Log, reloads: &Reloads) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.user1.recv() => {
                    log.reopen();
                    tracing::info!(event = "log.reopened", signal = "SIGUSR1", "the log goes on here");
                }
                _ = self.hangup.recv() => reloads.ask(),
            }
        }
    }
}
