//! The log: events with a name and fields, for people, for the journal and for collectors.
//!
//! Every event at info, warn and error has a field `event` with a name that stays the same from
//! release to release, and fields whose names mean the same everywhere. `contrib/logging.md` has
//! all of them in one table; a test holds it and the sources together.
//!
//! ```text
//! event ──▶ gate ─────────────────▶ text, JSON or journal ──▶ standard error, a file, journald
//!           level by part             one line each             what is lost is counted
//!           devices that are followed
//!           repeated warnings held back
//! ```
//!
//! The level and the devices that are followed change at run time ([`Log`]); a thread
//! ([`Keeper`]) looks after what has an end.

pub mod command;
mod file;
mod gate;
mod journald;
mod keeper;
mod layer;
mod level;
mod limit;
mod live;
mod sink;
mod traced;

#[cfg(test)]
mod table;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer as _, Registry, fmt};

pub use self::keeper::Keeper;
pub use self::level::{Level, LevelError};
pub use self::live::{Change, Left, Log, NoChange, Now};
pub use self::traced::{DEVICES_MAX, Traced};

use self::file::LogFile;
use self::gate::{Gate, Rules};
use self::layer::Written;
use self::sink::{Lines, Sink};
use crate::ops::colour;
use crate::ops::exit::Exit;

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub level: Level,
    pub format: Format,
    /// Empty is standard error.
    pub file: PathBuf,
    /// The size in bytes at which the file rotates.
    pub max_bytes: u64,
    /// Rotated files that are kept.
    pub keep: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Level::default(),
            format: Format::default(),
            file: PathBuf::new(),
            max_bytes: 64 << 20,
            keep: 5,
        }
    }
}

/// A file that is smaller holds too little to find anything in it.
const MAX_BYTES_LEAST: u64 = 64 << 10;
/// Each is renamed when the next comes.
const KEEP_MOST: u32 = 1_000;

impl Settings {
    /// The first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.max_bytes < MAX_BYTES_LEAST {
            let problem = format!("is {}; it takes at least {MAX_BYTES_LEAST}", self.max_bytes);
            return Err(("max_bytes", problem));
        }
        if self.keep > KEEP_MOST {
            let problem = format!("is {}; at most {KEEP_MOST} files are kept", self.keep);
            return Err(("keep", problem));
        }
        if self.has_file() && self.format == Format::Journald {
            let problem = "the journal has no file: leave log.file empty, or choose json or text";
            return Err(("format", problem.to_owned()));
        }
        Ok(())
    }

    fn has_file(&self) -> bool {
        !self.file.as_os_str().is_empty()
    }

    /// Whether lines go to the same place, within the same bounds.
    fn writes_as(&self, other: &Self) -> bool {
        let place = |it: &Self| (it.file.clone(), it.max_bytes, it.keep);
        place(self) == place(other)
    }

    /// Whether lines look the same.
    fn is_laid_out_as(&self, other: &Self) -> bool {
        self.style() == other.style()
    }

    fn sink(&self) -> Result<Sink, LogError> {
        if !self.has_file() {
            return Ok(Sink::Stderr(Default::default()));
        }
        LogFile::open(&self.file, self.max_bytes, self.keep)
            .map(Sink::File)
            .map_err(|source| LogError::File {
                file: self.file.clone(),
                source,
            })
    }

    /// What writes lines of the log in the style of the settings.
    fn layer(&self, log: &Log) -> Result<Written, LogError> {
        match self.style() {
            Style::Journald => match journald::layer() {
                Ok(layer) => Ok(layer.boxed()),
                // Not asked for by name: what reads standard error gets it all the same.
                Err(_) if self.format == Format::Auto => Ok(lines(Style::Json, log)),
                Err(error) => Err(LogError::Journal(error)),
            },
            style => Ok(lines(style, log)),
        }
    }

    fn style(&self) -> Style {
        let is_terminal = !self.has_file() && io::stderr().is_terminal();
        match self.format {
            Format::Text => Style::Text {
                colour: is_terminal && colour::is_wanted(),
            },
            Format::Json => Style::Json,
            Format::Journald => Style::Journald,
            Format::Auto if is_terminal => Style::Text {
                colour: colour::is_wanted(),
            },
            Format::Auto if !self.has_file() && journald::is_stderr() => Style::Journald,
            Format::Auto => Style::Json,
        }
    }
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, the journal where standard error is connected to it, JSON otherwise.
    #[default]
    Auto,
    /// One readable line for each event, in colour on a terminal.
    Text,
    /// One JSON object for each event.
    Json,
    /// The journal, with a journal field for each field.
    Journald,
}

/// [`Format`], decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Text { colour: bool },
    Json,
    Journald,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "log.file {}: {source}; create its folder, and let the daemon write in it",
        file.display()
    )]
    File { file: PathBuf, source: io::Error },
    #[error(
        "log.format is journald, and the journal does not answer: {0}; choose auto, text or json"
    )]
    Journal(#[source] io::Error),
}

impl LogError {
    /// The key of the settings that is at fault, with dots.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::File { .. } => "log.file",
            Self::Journal(_) => "log.format",
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::File { source, .. } => Exit::of_io(source),
            Self::Journal(_) => Exit::Unavailable,
        }
    }
}

/// Begins to log as the settings say. Called once; a second call changes nothing.
pub fn init(settings: &Settings) -> Result<Log, LogError> {
    let log = Log::new(settings.clone(), settings.sink()?);
    log.layer().set(settings.layer(&log)?);
    install(&log);
    Ok(log)
}

/// Begins to log for a command that is not the daemon: what it has to say is for whoever called it.
pub fn init_for_command(settings: &Settings) {
    let log = Log::new(settings.clone(), Sink::Stderr(Default::default()));
    let colour = io::stderr().is_terminal() && colour::is_wanted();
    log.layer().set(lines(Style::Text { colour }, &log));
    install(&log);
}

fn install(log: &Log) {
    // Takes what libraries write through the `log` crate, too. A subscriber that is there already
    // belongs to a test, and stays.
    let _ = subscriber(log.layer(), log.rules()).try_init();
}

fn subscriber(
    layer: impl tracing_subscriber::Layer<Registry> + Send + Sync,
    rules: Arc<Rules>,
) -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(layer).with(Gate(rules))
}

fn lines(style: Style, log: &Log) -> Written {
    let layer = fmt::layer().with_writer(Lines(log.sink()));
    match style {
        Style::Text { colour } => layer.with_ansi(colour).boxed(),
        Style::Json | Style::Journald => layer.json().flatten_event(true).boxed(),
    }
}

#[cfg(test)]
mod tests;
