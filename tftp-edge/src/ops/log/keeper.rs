//! Looks after the log once a second: what has an end, what was held back, and where it is written.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::live::Log;
use super::sink::Sink;
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
            let mut told = Told::default();
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                beat.pass();
                log.tick(Instant::now());
                log.locate(&locate);
                look(&log, &alarms, &mut told);
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

/// What those who read the log know of lines that are missing in it.
#[derive(Debug, Default)]
struct Told {
    sink: Weak<Sink>,
    lost: u64,
}

impl Told {
    /// How many lines of this sink are lost that they do not know of. Another sink, after a reload,
    /// begins at zero.
    fn untold(&mut self, sink: &Arc<Sink>) -> u64 {
        let now = Arc::downgrade(sink);
        if !now.ptr_eq(&self.sink) {
            *self = Self { sink: now, lost: 0 };
        }
        sink.lost() - self.lost
    }
}

/// The alarm is raised from here and not from where a line fails: raising it writes a line. So does telling
/// those who read the log of the lines that are missing there, once lines are written again.
fn look(log: &Log, alarms: &Alarms, told: &mut Told) {
    let sink = log.sink().take();
    sink.look();
    let lost = told.untold(&sink);
    match sink.problem() {
        Some(problem) => alarms.raise(AlarmKind::Log, SUBJECT, problem),
        None => {
            alarms.clear(AlarmKind::Log, SUBJECT);
            if lost > 0 {
                tracing::warn!(
                    event = "log.lines_lost",
                    lost,
                    "lines of the log were lost before this one"
                );
            }
            told.lost += lost;
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::LogFile;
    use super::*;

    /// Always full (full(4)).
    fn full(lines: usize) -> Arc<Sink> {
        let file = LogFile::open(Path::new("/dev/full"), 100, 1).unwrap();
        for _ in 0..lines {
            file.write(b"line\n");
        }
        Arc::new(Sink::File(file))
    }

    #[test]
    fn lines_that_another_file_lost_are_told_in_full() {
        let (one, other) = (full(2), full(3));
        let mut told = Told::default();
        assert_eq!(told.untold(&one), 2);
        told.lost += 2;
        assert_eq!(told.untold(&one), 0);
        assert_eq!(told.untold(&other), 3);
        assert_eq!(told.untold(&other), 3, "nobody was told yet");
    }
}
