//! Taking over other settings while the daemon runs.
//!
//! ```text
//! files ──▶ Config ──▶ keys that need a restart ──▶ every part gets ready ──▶ all of it holds
//!           checked    keep their values            may fail                  cannot fail
//! ```
//!
//! Whatever fails fails before anything has changed, and the settings before stay in force. What is
//! swapped at the end is a pointer for each section ([`LiveConfig`]), and what parts have made ready:
//! a certificate, a password, a file for the log.
//!
//! One reload goes on at a time, however many ask; one that is asked for while the daemon stops is
//! answered that it does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::alarms::{AlarmKind, Alarms};
use crate::config::{Changed, Config, ConfigError, Effect, Fault, LiveConfig, changed};
use crate::live::Take;
use crate::ops::reload::{Outcome, Reloaded, Snapshot};

/// Why a part cannot go by settings.
#[derive(Debug)]
pub struct Refused {
    /// With dots.
    key: String,
    problem: String,
}

impl Refused {
    /// `problem` may begin with the key, which is told anyway.
    pub(super) fn new(key: impl Into<String>, problem: &impl ToString) -> Self {
        let (key, problem) = (key.into(), problem.to_string());
        let rest = problem.strip_prefix(&key).unwrap_or(&problem);
        let problem = rest.trim_start_matches([':', ' ']).to_owned();
        Self { key, problem }
    }
}

/// Gets a part ready for settings; nothing may change before what it gives back is called.
type Prepare = Box<dyn Fn(&Config) -> Result<Take, Refused> + Send + Sync>;

/// Where a reload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Begun,
    /// Whatever came of it.
    Ended,
}

type Watcher = Box<dyn Fn(Phase) + Send + Sync>;

/// Reads the configuration anew, and has all parts go by it.
pub struct Reloader {
    file: PathBuf,
    started: Config,
    live: LiveConfig,
    alarms: Arc<Alarms>,
    parts: Mutex<Vec<Prepare>>,
    watchers: Mutex<Vec<Watcher>>,
    /// Held while a reload goes on.
    state: Mutex<State>,
    /// Of the last reload: whoever looks does not wait for one that goes on.
    seen: Mutex<Snapshot>,
}

struct State {
    /// As it was read last, not as it is in force.
    read: Config,
    is_closed: bool,
}

impl Reloader {
    pub(super) fn new(started: &Config, live: LiveConfig, alarms: Arc<Alarms>) -> Self {
        Self {
            file: started.shown.file.clone(),
            live,
            alarms,
            parts: Mutex::default(),
            watchers: Mutex::default(),
            state: Mutex::new(State {
                read: started.clone(),
                is_closed: false,
            }),
            seen: Mutex::new(Snapshot {
                files: started.shown.files.clone(),
                loaded: SystemTime::now(),
                ..Snapshot::default()
            }),
            started: started.clone(),
        }
    }

    /// Has a part get ready with every reload. It must not keep alive what stops when it is dropped.
    pub(super) fn on(
        &self,
        prepare: impl Fn(&Config) -> Result<Take, Refused> + Send + Sync + 'static,
    ) {
        self.parts.lock().push(Box::new(prepare));
    }

    /// Tells when a reload begins, and when it has ended: to a supervisor, for one.
    pub fn watch(&self, watcher: impl Fn(Phase) + Send + Sync + 'static) {
        self.watchers.lock().push(Box::new(watcher));
    }

    pub fn snapshot(&self) -> Snapshot {
        self.seen.lock().clone()
    }

    /// Waits for a reload that goes on; there will be no other.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
    }

    /// Waits for its turn, for the disk, and for nothing else.
    pub fn reload(&self) -> Reloaded {
        let mut state = self.state.lock();
        if state.is_closed {
            return Reloaded::Stopping;
        }
        self.tell(Phase::Begun);
        let reloaded = match self.take_over(&mut state) {
            Ok(outcome) => self.succeeded(outcome),
            Err(error) => self.failed(&error),
        };
        self.tell(Phase::Ended);
        reloaded
    }

    fn take_over(&self, state: &mut State) -> Result<Outcome, ConfigError> {
        let read = Config::load(&self.file)?;
        let in_force = read.keeping(&self.started).map_err(|error| match error {
            ConfigError::Invalid(mut fault) => {
                fault.advice = "it was read together with settings that wait for a restart: \
                                restart the daemon instead"
                    .to_owned();
                ConfigError::Invalid(fault)
            }
            error => error,
        })?;
        let mut takes = Vec::new();
        for prepare in &*self.parts.lock() {
            takes.push(prepare(&in_force).map_err(|refused| {
                let Refused { key, problem } = refused;
                Box::new(Fault::of_key(&in_force.written, &key, problem))
            })?);
        }
        // From here on nothing fails.
        let of = |changed: Vec<Changed>, effect| {
            let changed = changed.into_iter();
            changed.filter(|it| it.effect == effect).collect()
        };
        let outcome = Outcome {
            files: read.shown.files.clone(),
            changed: of(changed(&state.read, &read), Effect::Live),
            waiting: of(changed(&self.started, &read), Effect::Restart),
            remarks: Vec::new(),
        };
        self.live.set(in_force);
        let remarks = takes.into_iter().flat_map(|take| take()).collect();
        state.read = read;
        Ok(Outcome { remarks, ..outcome })
    }

    fn succeeded(&self, outcome: Outcome) -> Reloaded {
        let subject = self.file.to_string_lossy();
        self.alarms.clear(AlarmKind::Configuration, &subject);
        {
            let mut seen = self.seen.lock();
            seen.successes += 1;
            seen.loaded = SystemTime::now();
            seen.refused = None;
            seen.files.clone_from(&outcome.files);
            seen.waiting.clone_from(&outcome.waiting);
        }
        let told = |changed: &[Changed]| {
            let told: Vec<_> = changed.iter().map(ToString::to_string).collect();
            told.join(", ")
        };
        tracing::info!(
            event = "config.reloaded",
            changed = told(&outcome.changed),
            remarks = outcome.remarks.join("; "),
            "settings were read anew"
        );
        if !outcome.waiting.is_empty() {
            tracing::warn!(
                event = "config.restart_needed",
                settings = told(&outcome.waiting),
                "these settings take effect with a restart"
            );
        }
        Reloaded::Done(outcome)
    }

    fn failed(&self, error: &ConfigError) -> Reloaded {
        let fault = error.to_string();
        {
            let mut seen = self.seen.lock();
            seen.failures += 1;
            seen.refused = Some(fault.clone());
        }
        tracing::error!(
            event = "config.not_reloaded",
            error = fault,
            "other settings were refused; those before stay in force"
        );
        let subject = self.file.to_string_lossy();
        let problem = format!(
            "a reload was refused and the settings before hold: {fault}; mend it and reload again"
        );
        self.alarms
            .raise(AlarmKind::Configuration, &subject, problem);
        Reloaded::Refused(fault)
    }

    fn tell(&self, phase: Phase) {
        for watcher in &*self.watchers.lock() {
            watcher(phase);
        }
    }
}

/// Asks for reloads from where nobody may wait. However often that is done, one goes on at a time and
/// one more is to come.
pub(super) struct Reloads {
    wanted: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Reloads {
    pub(super) fn start(reloader: Arc<Reloader>, runtime: &Runtime) -> Self {
        let wanted = Arc::new(Notify::new());
        let asked = Arc::clone(&wanted);
        let task = runtime.spawn(async move {
            loop {
                asked.notified().await;
                let reloader = Arc::clone(&reloader);
                // A panic has been printed; the next one may do better.
                let _ = tokio::task::spawn_blocking(move || reloader.reload()).await;
            }
        });
        Self { wanted, task }
    }

    pub(super) fn ask(&self) {
        self.wanted.notify_one();
    }
}

impl Drop for Reloads {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
