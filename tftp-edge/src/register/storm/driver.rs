//! Has the storm look at itself, and tells the kernel program.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Storm;
use crate::register::Guard;

const EVERY: Duration = Duration::from_millis(250);

/// A thread; dropping it ends it, and has the kernel program let in all again.
#[derive(Debug)]
pub struct Driver {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub fn start(storm: Arc<Storm>, guard: Arc<dyn Guard>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let drive = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                if let Some(budget) = storm.tick(Instant::now()) {
                    guard.admit(budget);
                }
            }
            guard.admit(None);
        };
        let thread = thread::Builder::new().name("storm".into()).spawn(drive)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// By itself, which only a panic makes it do.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}
