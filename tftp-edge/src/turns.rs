//! A thread that does something every now and then, and once more when it is stopped.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::service::{self, Role};

/// Which turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Next,
    Last,
}

/// The thread. Dropping it waits for the last turn.
#[derive(Debug)]
pub struct Turns {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Turns {
    pub fn start(
        name: &str,
        every: Duration,
        mut act: impl FnMut(Turn) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let named = name.to_owned();
        let run = move || {
            let beat = service::enter(named, Role::Plain);
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                beat.pass();
                act(Turn::Next);
            }
            act(Turn::Last);
        };
        let thread = thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Whether the thread has ended by itself, which only a panic makes it do.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}
