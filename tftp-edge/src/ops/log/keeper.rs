//! Looks after the log once a second: what has an end, what was held back, and where it is written.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::live::Log;
use crate::alarms::{AlarmKind, Alarms};
use crate::inventory::DeviceName;
use crate::service::{self, Role};

const EVERY: Duration = Duration::from_secs(1);
/// The subject of the alarm.
const SUBJECT: &str = "log";

/// Where a device is, if that is known.
pub type Locate = Box<dyn Fn(&DeviceName) -> Option<IpAddr> + Send>;

/// A thread; dropping it ends it, and tells what was held back until then.
#[derive(Debug)]
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub fn start(log: Log, alarms: Arc<Alarms>, locate: Locate) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let keep = move || {
            let beat = service::enter("log", Role::Plain);
            let mut told_lost = 0;
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                beat.pass();
                log.tick(Instant::now());
                log.locate(&locate);
                look(&log, &alarms, &mut told_lost);
            }
            log.tell_suppressed(Duration::MAX);
        };
        let thread = thread::Builder::new().name("log".into()).spawn(keep)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// The alarm is raised from here and not from where a line fails: raising it writes a line. So does telling
/// those who read the log of the lines that are missing there, once lines are written again.
fn look(log: &Log, alarms: &Alarms, told_lost: &mut u64) {
    let sink = log.sink();
    let sink = sink.get();
    sink.look();
    let lost = sink.lost();
    match sink.problem() {
        Some(problem) => alarms.raise(AlarmKind::Log, SUBJECT, problem),
        None => {
            alarms.clear(AlarmKind::Log, SUBJECT);
            if lost > *told_lost {
                let lost = lost - *told_lost;
                tracing::warn!(
                    event = "log.lines_lost",
                    lost,
                    "lines of the log were lost before this one"
                );
            }
            // Another file, after a reload, begins at zero.
            *told_lost = lost;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}
