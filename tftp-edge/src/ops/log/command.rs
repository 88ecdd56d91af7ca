//! `tftp-edge log`: what the daemon that runs writes into its log, and changing that.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Change, Level};
use crate::inventory::DeviceName;
use crate::ops::control::{self, ClientError};
use crate::ops::exit::Exit;

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Show or change the level of the daemon that runs
    Level {
        /// As log.level in the configuration: `debug`, or `info,tftp_edge::tftp=debug`
        level: Option<Level>,
        /// Back to the level of the configuration
        #[arg(long, conflicts_with = "level")]
        reset: bool,
        #[command(flatten)]
        how: How,
    },
    /// Have everything logged that is about some devices, whatever the level
    Device {
        /// `SEP001122334455`; those named before are not followed any more
        names: Vec<DeviceName>,
        /// Follow no device any more
        #[arg(long, conflicts_with = "names")]
        none: bool,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, Args)]
pub struct How {
    /// Ends by itself after a while, as in `10m` or `1h 30m`
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum LogCommandError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("--for says how long a change lasts; name a level or devices, too")]
    NoChange,
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

impl LogCommandError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::NoChange => Exit::Usage,
            Self::Output(_) => Exit::Io,
        }
    }
}

impl LogCommand {
    /// `socket` is that of the configuration.
    pub fn run(self, socket: &Path, out: &mut dyn Write) -> Result<(), LogCommandError> {
        let (change, how) = match self {
            Self::Level { level, reset, how } => {
                let change = level.map(Some).or(reset.then_some(None));
                (change.map(Change::Level), how)
            }
            Self::Device { names, none, how } => {
                let change = none || !names.is_empty();
                (change.then_some(Change::Devices(names)), how)
            }
        };
        if change.is_none() && how.lasting.is_some() {
            return Err(LogCommandError::NoChange);
        }
        let socket = how.socket.as_deref().unwrap_or(socket);
        let now = control::log(socket, change, how.lasting)?;
        match how.json {
            true => {
                serde_json::to_writer(&mut *out, &now).map_err(io::Error::from)?;
                writeln!(out)?;
            }
            false => write!(out, "{now}")?,
        }
        Ok(())
    }
}
