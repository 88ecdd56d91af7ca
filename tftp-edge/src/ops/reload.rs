//! `tftp-edge reload`, and what is told of the settings in force.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::control::{self, ClientError};
use super::exit::Exit;
use crate::config::Changed;

/// What came of reading the configuration anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reloaded {
    /// It holds.
    Done(Outcome),
    /// It is at fault, and what held before still does.
    Refused(String),
    /// The daemon stops, and reads nothing any more.
    Stopping,
}

/// What is in force now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// All that were read, in the order in which they count.
    pub files: Vec<PathBuf>,
    /// What is another value from now on.
    pub changed: Vec<Changed>,
    /// What is another value from the next start on; also of earlier reloads.
    pub waiting: Vec<Changed>,
    /// What else has happened, a sentence each.
    pub remarks: Vec<String>,
}

/// The configuration at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub files: Vec<PathBuf>,
    /// When what is in force was read.
    pub loaded: SystemTime,
    /// Why the last reload was refused, if it was.
    pub refused: Option<String>,
    /// Settings that wait for a restart.
    pub waiting: Vec<Changed>,
    /// Reloads since the start.
    pub successes: u64,
    pub failures: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            loaded: SystemTime::UNIX_EPOCH,
            refused: None,
            waiting: Vec::new(),
            successes: 0,
            failures: 0,
        }
    }
}

/// For people: what the status has of it.
impl fmt::Display for Snapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fault) = &self.refused {
            writeln!(
                out,
                "settings: the last reload was refused, those before hold: {fault}"
            )?;
        }
        if !self.waiting.is_empty() {
            let keys: Vec<_> = self.waiting.iter().map(|it| it.key.as_str()).collect();
            let (count, keys) = (count(keys.len(), "setting"), keys.join(", "));
            writeln!(out, "{count} for a restart: {keys}")?;
        }
        Ok(())
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what} waits"),
        number => format!("{number} {what}s wait"),
    }
}

/// For people.
impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(out, "read {}", file.display())?;
        }
        match &self.changed[..] {
            [] if self.remarks.is_empty() => writeln!(out, "nothing has changed")?,
            [] => {}
            changed => {
                writeln!(out, "in force now:")?;
                changed.iter().try_for_each(|it| writeln!(out, "  {it}"))?;
            }
        }
        for remark in &self.remarks {
            writeln!(out, "{remark}")?;
        }
        if !self.waiting.is_empty() {
            writeln!(out, "waiting for a restart:")?;
            let mut waiting = self.waiting.iter();
            waiting.try_for_each(|it| writeln!(out, "  {it}"))?;
        }
        Ok(())
    }
}

/// Has the daemon that runs read its configuration anew.
#[derive(Args, Clone, Debug)]
pub struct ReloadArgs {
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// Why the settings are as they were.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{0}; the settings are as they were")]
    Refused(String),
    #[error("the daemon stops, and reads no settings any more")]
    Stopping,
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl ReloadError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::Refused(_) => Exit::Config,
            Self::Stopping => Exit::Temporary,
            Self::Output(_) => Exit::Io,
        }
    }
}

impl ReloadArgs {
    pub fn run(&self, socket: &Path, out: &mut dyn Write) -> Result<(), ReloadError> {
        let reloaded = control::reload(socket)?;
        if self.json {
            let text = serde_json::to_string_pretty(&reloaded).map_err(io::Error::from)?;
            writeln!(out, "{text}")?;
        }
        match reloaded {
            Reloaded::Done(_) if self.json => Ok(()),
            Reloaded::Done(outcome) => Ok(write!(out, "{outcome}")?),
            Reloaded::Refused(fault) => Err(ReloadError::Refused(fault)),
            Reloaded::Stopping => Err(ReloadError::Stopping),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Effect;

    fn changed(key: &str, effect: Effect) -> Changed {
        Changed {
            key: key.to_owned(),
            before: "1".to_owned(),
            after: "2".to_owned(),
            effect,
        }
    }

    #[test]
    fn what_changed_and_what_waits_is_told() {
        let outcome = Outcome {
            files: vec!["/etc/tftp-edge/tftp-edge.toml".into()],
            changed: vec![changed("log.keep", Effect::Live)],
            waiting: vec![changed("tftp.workers", Effect::Restart)],
            remarks: vec!["http.tls: another certificate".to_owned()],
        };
        assert_eq!(
            outcome.to_string(),
            "read /etc/tftp-edge/tftp-edge.toml\nin force now:\n  log.keep: 1 -> 2\nhttp.tls: \
             another certificate\nwaiting for a restart:\n  tftp.workers: 1 -> 2\n"
        );
        assert_eq!(Outcome::default().to_string(), "nothing has changed\n");
    }

    #[test]
    fn the_status_names_what_waits_and_nothing_where_nothing_is_to_be_said() {
        assert_eq!(Snapshot::default().to_string(), "");
        let mut snapshot = Snapshot {
            waiting: vec![changed("tftp.workers", Effect::Restart)],
            refused: Some("edge.toml:1:1: no".to_owned()),
            ..Snapshot::default()
        };
        assert_eq!(
            snapshot.to_string(),
            "settings: the last reload was refused, those before hold: edge.toml:1:1: no\n1 \
             setting waits for a restart: tftp.workers\n"
        );
        snapshot.refused = None;
        snapshot
            .waiting
            .push(changed("kernel.mode", Effect::Restart));
        assert_eq!(
            snapshot.to_string(),
            "2 settings wait for a restart: tftp.workers, kernel.mode\n"
        );
    }
}
