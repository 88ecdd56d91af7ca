//! What goes on behind the table: registrations that end, and their file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use super::store::{self, Store};
use super::{Desk, Mode, Settings};
use crate::service::{self, Role};

/// Phones are given whole seconds.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// Ends registrations that are over, and keeps the others over a restart. To be started before the
/// servers and dropped after them, so that the file has the last state.
pub struct Keeper {
    store: Option<Store>,
    stop: Option<Sender<()>>,
    sweeper: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Puts back what was registered before a restart. Without a path nothing is kept.
    pub fn start(settings: &Settings, database: Option<PathBuf>, desk: &Desk) -> io::Result<Self> {
        let database = database.filter(|_| settings.mode == Mode::Registrar);
        let store = database.map(|path| Store::start(path, desk)).transpose()?;
        let table = Arc::clone(&desk.table);
        let (stop, stopped) = mpsc::channel();
        let sweep = move || {
            let beat = service::enter("register-sweep", Role::Plain);
            while stopped.recv_timeout(SWEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
                beat.pass();
                table.sweep(SystemTime::now());
            }
        };
        let sweeper = thread::Builder::new()
            .name("register-sweep".into())
            .spawn(sweep)?;
        Ok(Self {
            store,
            stop: Some(stop),
            sweeper: Some(sweeper),
        })
    }

    pub fn snapshot(&self) -> store::Snapshot {
        self.store.as_ref().map(Store::snapshot).unwrap_or_default()
    }

    /// Threads that have ended by themselves: what they do is not done any more.
    pub fn ended(&self) -> impl Iterator<Item = &'static str> {
        let store = self.store.as_ref().is_some_and(Store::has_ended);
        let sweeper = self.sweeper.as_ref().is_none_or(JoinHandle::is_finished);
        let threads = [("register-store", store), ("register-sweep", sweeper)];
        let ended = threads.into_iter().filter(|(_, has_ended)| *has_ended);
        ended.map(|(name, _)| name)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(sweeper) = self.sweeper.take() {
            // A panic in it has been printed already.
            let _ = sweeper.join();
        }
    }
}
