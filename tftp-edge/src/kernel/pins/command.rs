//! `tftp-edge detach`: takes off by hand what a daemon has left.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::claim::{Claim, ClaimError, is_in_bpf_file_system};
use super::removal::{self, Removed};
use super::versions_in;
use crate::ops::exit::Exit;

/// What `tftp-edge detach` is given.
#[derive(Args, Debug)]
pub struct DetachArgs {
    /// Where maps and programs are pinned; taken from the configuration when it is not given
    #[arg(long, value_name = "DIRECTORY")]
    pub pin_path: Option<PathBuf>,
    /// Even while a daemon runs that has them: it serves by sockets alone until it is reloaded
    #[arg(long)]
    pub force: bool,
}

/// Why not everything was taken off.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    #[error("{0}; `--force` takes its programs off all the same")]
    Taken(#[from] ClaimError),
    #[error("these pins could not be removed: {}", .0.join("; "))]
    Left(Vec<String>),
    #[error(
        "reserved ports could not be given back; their record stays, so that `tftp-edge detach` can \
         do it later"
    )]
    PortsKept,
    #[error(
        "{} is in no BPF file system: nothing is pinned there, and nothing was removed; name the \
         kernel.pin_path of the daemon",
        .0.display()
    )]
    NotBpf(PathBuf),
    #[error("kernel.pin_path {} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl DetachError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Taken(_) => Exit::Unavailable,
            Self::Left(_) | Self::PortsKept => Exit::Os,
            Self::NotBpf(_) => Exit::NoInput,
            Self::Unreadable { source, .. } => Exit::of_io(source),
            Self::Output(_) => Exit::Io,
        }
    }
}

/// Takes off everything that is pinned under a path, of whatever version, and tells it.
pub fn detach(path: &Path, force: bool, out: &mut dyn Write) -> Result<(), DetachError> {
    if let Err(source) = fs::read_dir(path)
        && source.kind() != io::ErrorKind::NotFound
    {
        let path = path.to_owned();
        return Err(DetachError::Unreadable { path, source });
    }
    if path.exists() && !is_in_bpf_file_system(path) {
        return Err(DetachError::NotBpf(path.to_owned()));
    }
    let claim = match Claim::lock_if_there(path) {
        Err(_) if force => None,
        claim => Some(claim?),
    };
    let is_running = claim.is_none();
    let mut removed = Removed::default();
    for version in versions_in(path).iter().map(|name| path.join(name)) {
        match is_running {
            true => removal::remove_of_running(&version, &mut removed),
            false => removal::remove_by_hand(&version, &mut removed),
        }
    }
    for (interface, rung) in &removed.links {
        writeln!(out, "{interface}: took off the {rung} program")?;
    }
    if !removed.ports.is_empty() {
        writeln!(out, "gave back the reserved ports {}", removed.ports)?;
    }
    for kept in &removed.kept {
        writeln!(out, "{kept}")?;
    }
    let has_ports = !removed.ports.is_empty() || !removed.kept.is_empty();
    match removed.maps {
        0 if removed.links.is_empty() && !has_ports => {
            writeln!(out, "nothing is pinned under {}", path.display())?
        }
        0 => {}
        maps => writeln!(out, "removed {maps} maps under {}", path.display())?,
    }
    match removed.failed {
        failed if !failed.is_empty() => Err(DetachError::Left(failed)),
        _ if !removed.kept.is_empty() => Err(DetachError::PortsKept),
        _ => Ok(()),
    }
}
