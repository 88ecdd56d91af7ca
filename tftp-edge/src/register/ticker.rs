//! What has to be looked at from time to time, whether packets come or not.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Desk;
use super::front::{Front, Totals};
use crate::service::{self, Role};

const EVERY: Duration = Duration::from_millis(250);

/// What goes on behind this host, and where it is counted.
pub struct Behind {
    pub front: Arc<Front>,
    pub totals: Box<dyn Fn() -> Totals + Send + Sync>,
}

/// Has storms and bans look at the time, and tells the kernel program what it is to let in. A
/// thread; dropping it ends it, and has the kernel program let in all again.
#[derive(Debug)]
pub struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub fn start(desk: Arc<Desk>, behind: Option<Behind>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let tick = move || {
            let beat = service::enter("storm", Role::Plain);
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                beat.pass();
                let now = Instant::now();
                let budget = match &behind {
                    Some(Behind { front, totals }) => front.tick(totals(), now),
                    None => desk.storm.tick(now),
                };
                if let Some(budget) = budget {
                    desk.guard.admit(budget);
                }
                desk.bans.review(&desk.alarms, now);
            }
            desk.guard.admit(None);
        };
        let thread = thread::Builder::new().name("storm".into()).spawn(tick)?;
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

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}
