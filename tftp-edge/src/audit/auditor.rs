//! Looks after every change of the inventory or the disk whether phones still get what they are
//! told to fetch, on a thread of its own: requests are never held up by it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use crate::alarms::{AlarmKind, Alarms};
use crate::content::{Change, Listener, Survey};
use crate::firmware::{Checker, Elsewhere, Needs, Report};
use crate::inventory::Snapshot;
use crate::locale::Locales;
use crate::service::capabilities::{Role, settle};

/// From a first change to looking: files that are unpacked come one after the other.
const SETTLES: Duration = Duration::from_millis(250);

enum Message {
    Survey(Arc<Survey>),
    Inventory(Arc<Snapshot>),
    /// What may be elsewhere is something else now.
    Settings,
    Stop,
}

/// Raises alarms for firmware and locales that are not here, and clears them when they come.
pub struct Auditor {
    messages: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    report: Arc<ArcSwapOption<Report>>,
}

impl Auditor {
    pub fn start(alarms: Arc<Alarms>, elsewhere: Elsewhere) -> io::Result<Self> {
        let (messages, incoming) = mpsc::channel();
        let report = Arc::new(ArcSwapOption::empty());
        let found = Arc::clone(&report);
        let work = move || {
            settle(Role::Plain);
            Work::new(alarms, elsewhere, found).run(&incoming);
        };
        let thread = thread::Builder::new().name("audit".into()).spawn(work)?;
        Ok(Self {
            messages,
            thread: Mutex::new(Some(thread)),
            report,
        })
    }

    /// What was found of firmware when it was looked at last; none before that.
    pub fn report(&self) -> Option<Arc<Report>> {
        self.report.load_full()
    }

    /// Other names may be asked for upstream: looks at everything again.
    pub fn follow_settings(&self) {
        // Fails only when the thread has panicked, which has been printed.
        let _ = self.messages.send(Message::Settings);
    }

    /// By itself: alarms stay as they are and nobody looks any more.
    pub fn has_ended(&self) -> bool {
        let thread = self.thread.lock();
        thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Alarms stay as they are from here on.
    pub fn shutdown(&self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.lock().take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Fails to tell only a thread that has panicked, which has been printed.
impl Listener for Auditor {
    fn changed(&self, _changes: &[Change]) {}

    fn surveyed(&self, survey: &Arc<Survey>) {
        let _ = self.messages.send(Message::Survey(Arc::clone(survey)));
    }

    fn inventory_changed(&self, snapshot: &Arc<Snapshot>) {
        let snapshot = Arc::clone(snapshot);
        let _ = self.messages.send(Message::Inventory(snapshot));
    }
}

struct Work {
    alarms: Arc<Alarms>,
    elsewhere: Elsewhere,
    checker: Checker,
    survey: Option<Arc<Survey>>,
    /// What the newest inventory asks for.
    wanted: Option<(Needs, Locales)>,
    /// An inventory that was not looked at yet.
    snapshot: Option<Arc<Snapshot>>,
    found: Arc<ArcSwapOption<Report>>,
}

impl Work {
    fn new(alarms: Arc<Alarms>, elsewhere: Elsewhere, found: Arc<ArcSwapOption<Report>>) -> Self {
        Self {
            alarms,
            found,
            checker: Checker::new(Arc::clone(&elsewhere)),
            elsewhere,
            survey: None,
            wanted: None,
            snapshot: None,
        }
    }

    fn run(&mut self, incoming: &Receiver<Message>) {
        let mut audit_at: Option<Instant> = None;
        loop {
            let message = match audit_at {
                Some(at) => incoming.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Survey(survey)) => self.survey = Some(survey),
                Ok(Message::Inventory(snapshot)) => self.snapshot = Some(snapshot),
                Ok(Message::Settings) => self.checker = Checker::new(Arc::clone(&self.elsewhere)),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            // Not put off by what comes meanwhile: a stream of changes must not hide a fault.
            let at = *audit_at.get_or_insert(now + SETTLES);
            if at <= now {
                audit_at = None;
                self.audit();
            }
        }
    }

    fn audit(&mut self) {
        if let Some(snapshot) = self.snapshot.take() {
            self.wanted = Some((Needs::of(&snapshot), Locales::of(&snapshot)));
        }
        let (Some(survey), Some((needs, locales))) = (&self.survey, &self.wanted) else {
            return;
        };
        self.checker.retain(survey);
        let report = Report::of_needs(&mut self.checker, needs, survey);
        let faults = report.loads.iter().filter(|load| load.state.is_fault());
        let problems = faults.map(|load| (load.load.clone(), load.alarm(&report.root)));
        self.alarms.set(AlarmKind::Firmware, problems);
        self.found.store(Some(Arc::new(report)));

        let faults = locales.faults(survey, &self.elsewhere).into_iter();
        let problems = faults.map(|fault| (fault.file.clone(), fault.alarm()));
        self.alarms.set(AlarmKind::Locale, problems);
    }
}
