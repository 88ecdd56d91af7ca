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
    /// Another daemon comes at once.
    user2: Signal,
}

/// How the daemon is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) signal: &'static str,
    /// What the kernel serves from is left in place for the daemon that comes next.
    pub(super) hands_over: bool,
}

impl Ending {
    const fn of(signal: &'static str) -> Self {
        Self {
            signal,
            hands_over: false,
        }
    }
}

impl Signals {
    /// Must be called inside a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The signal that ends the daemon.
    pub(super) async fn ending(&mut self, log: &Log, reloads: &Reloads) -> Ending {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Ending::of("SIGTERM"),
                _ = self.interrupt.recv() => return Ending::of("SIGINT"),
                _ = self.user2.recv() => {
                    return Ending { signal: "SIGUSR2", hands_over: true };
                }
                _ = self.user1.recv() => {
                    log.reopen();
                    tracing::info!(event = "log.reopened", signal = "SIGUSR1", "the log goes on here");
                }
                _ = self.hangup.recv() => reloads.ask(),
            }
        }
    }
}
