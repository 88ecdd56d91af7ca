//! The log while it runs: what is asked for now, and until when.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::gate::{Rules, Wanted};
use super::layer::Layer;
use super::level::Level;
use super::limit;
use super::sink::Sink;
use super::traced::{DEVICES_MAX, Traced, TracedSet};
use super::{LogError, Settings};
use crate::inventory::DeviceName;
use crate::live::{Live, Take};
use crate::ops::exit::Exit;
use crate::ops::status;

/// The log of this process. Cheap to clone; all are the same.
#[derive(Clone, Debug)]
pub struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: Arc<Rules>,
    sink: Live<Sink>,
    /// What lines look like.
    layer: Layer,
    settings: Live<Settings>,
    ends: Mutex<Ends>,
}

/// When what was asked for ends; none for what lasts as long as the daemon.
#[derive(Debug, Default)]
struct Ends {
    level: Option<Instant>,
    devices: Option<Instant>,
}

/// What to change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// None is that of the configuration.
    Level(Option<Level>),
    /// Follow these and no others.
    Devices(Vec<DeviceName>),
}

/// What the log is told to take at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Now {
    pub level: Level,
    /// That of the configuration.
    pub configured: Level,
    pub level_ends: Left,
    pub devices: Vec<Traced>,
    pub devices_end: Left,
}

/// How long something lasts; none is as long as the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    pub seconds: Option<u64>,
}

/// A change that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NoChange {
    #[error("{0} devices are too many to follow at once; name at most {DEVICES_MAX}")]
    TooMany(usize),
}

impl NoChange {
    /// How the command that asked for it ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::TooMany(_) => Exit::Usage,
        }
    }
}

impl Default for Log {
    /// Of a process that does not log, as in tests.
    fn default() -> Self {
        Self::new(Settings::default(), Sink::Stderr(Default::default()))
    }
}

impl Log {
    pub(super) fn new(settings: Settings, sink: Sink) -> Self {
        Self(Arc::new(Shared {
            rules: Arc::new(Rules::new(settings.level.clone())),
            sink: Live::new(sink),
            layer: Layer::default(),
            settings: Live::new(settings),
            ends: Mutex::default(),
        }))
    }

    pub(super) fn layer(&self) -> Layer {
        self.0.layer.clone()
    }

    /// Gets ready for other settings: opens the file. A level that was asked for at run time stays
    /// until it ends.
    pub fn prepare(&self, settings: &Settings) -> Result<Take, LogError> {
        let (log, settings) = (self.clone(), settings.clone());
        let before = self.0.settings.take();
        let sink = match settings.writes_as(&before) {
            true => None,
            false => Some(settings.sink()?),
        };
        let written = match settings.is_laid_out_as(&before) {
            true => None,
            false => Some(settings.layer(self)?),
        };
        Ok(Box::new(move || {
            if let Some(sink) = sink {
                log.0.sink.set(sink);
            }
            if let Some(layer) = written {
                log.0.layer.set(layer);
            }
            let ends = log.0.ends.lock();
            let is_as_configured = ends.level.is_none() && log.level() == before.level;
            if is_as_configured && settings.level != before.level {
                log.want(settings.level.clone(), log.traced());
            }
            log.0.settings.set(settings);
            Vec::new()
        }))
    }

    fn configured(&self) -> Level {
        self.0.settings.get().level.clone()
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.rules)
    }

    pub(super) fn sink(&self) -> Live<Sink> {
        self.0.sink.clone()
    }

    /// Opens the file anew, if there is one.
    pub fn reopen(&self) {
        self.0.sink.get().reopen();
    }

    /// Changes what is logged, for a while or for good.
    pub fn change(
        &self,
        change: Change,
        lasting: Option<Duration>,
        now: Instant,
    ) -> Result<(), NoChange> {
        // A time beyond the clock's end has none.
        let end = lasting.and_then(|lasting| now.checked_add(lasting));
        let mut ends = self.0.ends.lock();
        match change {
            Change::Level(level) => {
                ends.level = end.filter(|_| level.is_some());
                let level = level.unwrap_or_else(|| self.configured());
                tracing::info!(event = "log.level_changed", %level, "the level is changed");
                self.want(level, self.traced());
            }
            Change::Devices(names) if names.len() > DEVICES_MAX => {
                return Err(NoChange::TooMany(names.len()));
            }
            Change::Devices(names) => {
                ends.devices = end.filter(|_| !names.is_empty());
                tracing::info!(
                    event = "log.devices_changed",
                    devices = names.len(),
                    "devices are followed"
                );
                let traced = (!names.is_empty()).then(|| Arc::new(TracedSet::new(names)));
                self.want(self.level(), traced);
            }
        }
        Ok(())
    }

    pub fn now(&self, now: Instant) -> Now {
        let ends = self.0.ends.lock();
        let wanted = self.0.rules.wanted.load();
        let left = |end: Option<Instant>| Left {
            seconds: end.map(|end| end.saturating_duration_since(now).as_secs()),
        };
        Now {
            level: wanted.level.clone(),
            configured: self.configured(),
            level_ends: left(ends.level),
            devices: wanted
                .traced
                .as_ref()
                .map(|it| it.list())
                .unwrap_or_default(),
            devices_end: left(ends.devices),
        }
    }

    /// Ends what is over, and tells what was held back.
    pub(super) fn tick(&self, now: Instant) {
        let mut ends = self.0.ends.lock();
        let is_over = |end: &Instant| now >= *end;
        if ends.level.take_if(|end| is_over(end)).is_some() {
            let level = self.configured();
            self.want(level.clone(), self.traced());
            tracing::info!(event = "log.level_back", %level, "the level is that of the configuration again");
        }
        if ends.devices.take_if(|end| is_over(end)).is_some() {
            self.want(self.level(), None);
            tracing::info!(event = "log.devices_done", "no device is followed any more");
        }
        drop(ends);
        self.tell_suppressed(now.saturating_duration_since(self.0.rules.started));
    }

    /// Tells what was held back in windows that have ended by then.
    pub(super) fn tell_suppressed(&self, at: Duration) {
        self.0.rules.limiter.sweep(at, |of, suppressed| {
            tracing::warn!(
                target: limit::TARGET,
                event = "log.suppressed",
                of,
                suppressed,
                "the same again, too often to be logged"
            );
        });
    }

    /// Looks up where the devices are that are followed.
    pub(super) fn locate(&self, address_of: impl FnMut(&DeviceName) -> Option<IpAddr>) {
        if let Some(traced) = &self.0.rules.wanted.load().traced {
            traced.locate(address_of);
        }
    }

    fn want(&self, level: Level, traced: Option<Arc<TracedSet>>) {
        self.0.rules.want(Wanted { level, traced });
    }

    fn level(&self) -> Level {
        self.0.rules.wanted.load().level.clone()
    }

    fn traced(&self) -> Option<Arc<TracedSet>> {
        self.0.rules.wanted.load().traced.clone()
    }
}

impl Now {
    /// It is not what the configuration says.
    pub fn differs(&self) -> bool {
        self.level != self.configured || !self.devices.is_empty()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds {
            Some(seconds) => {
                let left = status::duration(Duration::from_secs(seconds));
                write!(out, "for another {left}")
            }
            None => write!(out, "until it is changed or the daemon ends"),
        }
    }
}

/// The text for people, a line each.
impl fmt::Display for Now {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level == self.configured {
            true => writeln!(out, "log level: {}", self.level)?,
            false => writeln!(
                out,
                "log level: {} {}; the configuration says {}",
                self.level, self.level_ends, self.configured
            )?,
        }
        if !self.devices.is_empty() {
            writeln!(out, "everything is logged {} of:", self.devices_end)?;
        }
        for Traced { device, addresses } in &self.devices {
            write!(out, "  {device}")?;
            match &addresses[..] {
                [] => writeln!(out, ", whose address is not known yet")?,
                known => {
                    let known: Vec<_> = known.iter().map(ToString::to_string).collect();
                    writeln!(out, " at {}", known.join(", "))?;
                }
            }
        }
        Ok(())
    }
}
