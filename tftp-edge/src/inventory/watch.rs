//! Sees what another process commits to the inventory.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Inventory, Snapshot};
use crate::service::capabilities::{Role, settle};

/// A thread that asks the database for changes; ends when dropped.
pub struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Calls `changed` with a snapshot after each commit, looking every `interval`. The commits
    /// between two looks make one snapshot. What [`Inventory::snapshot_if_changed`] has already
    /// given out is not given again.
    pub fn start(
        mut inventory: Inventory,
        interval: Duration,
        mut changed: impl FnMut(Snapshot) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let watch = move || {
            settle(Role::Plain);
            let mut failing = false;
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                match inventory.snapshot_if_changed() {
                    Ok(snapshot) => {
                        failing = false;
                        snapshot.into_iter().for_each(&mut changed);
                    }
                    // The last good snapshot goes on being served; told once, not ten times a second.
                    Err(error) if !failing => {
                        failing = true;
                        tracing::error!(event = "inventory.unreadable", %error, "the inventory cannot be read; what was read before is kept");
                    }
                    Err(_) => {}
                }
            }
        };
        Ok(Self {
            stop: Some(stop),
            thread: Some(
                thread::Builder::new()
                    .name("inventory".into())
                    .spawn(watch)?,
            ),
        })
    }

    /// Whether the thread has ended by itself, which only a panic makes it do.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already; there is nothing to add here.
            let _ = thread.join();
        }
    }
}
