//! One daemon for each pin path.
//!
//! The lock is on the directory itself: the system gives it back when its holder dies, however it
//! dies. There is no room for a pid in a BPF file system, but the kernel lists who holds a lock.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::PinsStatus;
use crate::kernel::settings::{Ladder, Settings};

/// Why a daemon must not touch what is pinned.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(
        "another tftp-edge{} has its maps and programs under {}; stop it first, or give this one \
         its own kernel.pin_path",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        path.display()
    )]
    Taken { path: PathBuf, pid: Option<u32> },
}

/// The right to what is pinned under a path.
#[derive(Debug, Default)]
pub struct Claim {
    /// With the lock on it.
    held: Option<(PathBuf, File)>,
    /// Why nothing can be pinned, though it is to be.
    problem: Option<String>,
}

impl Claim {
    /// Locks the pin path of the settings. That nothing can be pinned there is no error.
    pub fn take(settings: &Settings) -> Result<Self, ClaimError> {
        let path = &settings.pin_path;
        if path.as_os_str().is_empty() {
            return Ok(Self::default());
        }
        // Without programs to attach there is nothing to pin, but there may be leftovers.
        if settings.mode == Ladder::Off || settings.interfaces.is_empty() {
            return Ok(Self::lock_if_there(path).unwrap_or_default());
        }
        match create(path) {
            Ok(()) => Self::lock(path),
            Err(problem) => Ok(Self::nothing(problem)),
        }
    }

    /// Locks a directory, if there is one where something can be pinned.
    pub(super) fn lock_if_there(path: &Path) -> Result<Self, ClaimError> {
        match is_in_bpf_file_system(path) {
            true => Self::lock(path),
            false => Ok(Self::default()),
        }
    }

    fn lock(path: &Path) -> Result<Self, ClaimError> {
        let problem = |error: io::Error| Self::nothing(format!("{}: {error}", path.display()));
        let directory = match File::open(path) {
            Ok(directory) => directory,
            Err(error) => return Ok(problem(error)),
        };
        match directory.try_lock() {
            Ok(()) => Ok(Self {
                held: Some((path.to_owned(), directory)),
                problem: None,
            }),
            Err(TryLockError::WouldBlock) => Err(ClaimError::Taken {
                path: path.to_owned(),
                pid: holder_of(&directory),
            }),
            Err(TryLockError::Error(error)) => Ok(problem(error)),
        }
    }

    fn nothing(problem: String) -> Self {
        tracing::warn!(
            event = "kernel.unpinned",
            problem,
            "the kernel path ends with the daemon"
        );
        Self {
            held: None,
            problem: Some(problem),
        }
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        self.held.as_ref().map(|(path, _)| path.as_path())
    }

    /// Before anything is pinned.
    pub(super) fn status(&self) -> PinsStatus {
        PinsStatus {
            path: None,
            adopted: false,
            problem: self.problem.clone(),
        }
    }
}

/// Nothing is removed anywhere else. `false` also for what is not there.
pub(super) fn is_in_bpf_file_system(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC)
}

/// Makes the directory, if that is possible; else says what to do.
fn create(path: &Path) -> Result<(), String> {
    let place = path.ancestors().find(|place| place.exists());
    let place = place.unwrap_or(Path::new("/"));
    if !is_in_bpf_file_system(place) {
        return Err(format!(
            "kernel.pin_path {} is in no BPF file system; `mount -t bpf bpf /sys/fs/bpf`, or set \
             it to \"\" to do without",
            path.display()
        ));
    }
    fs::create_dir_all(path)
        .and_then(|()| {
            nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).map_err(Into::into)
        })
        .map_err(|error| {
            format!(
                "kernel.pin_path {} cannot be written: {error}; have it made for the daemon's user \
                 (systemd-tmpfiles, or mkdir and chown), or set it to \"\" to do without",
                path.display()
            )
        })
}

/// Who holds the lock on a file, as `proc_locks(5)` has it: `1: FLOCK ADVISORY WRITE PID
/// MAJOR:MINOR:INODE 0 EOF`.
fn holder_of(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let (dev, inode) = (metadata.dev(), metadata.ino());
    let id = format!("{:02x}:{:02x}:{inode}", major(dev), minor(dev));
    holder_in(&fs::read_to_string("/proc/locks").ok()?, &id)
}

fn holder_in(locks: &str, id: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, pid, found, ..] if found == id => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_among_others() {
        let locks = "1: POSIX  ADVISORY  READ 12 00:1b:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 4711 00:1b:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 4712 00:1b:77 0 EOF\n";
        assert_eq!(holder_in(locks, "00:1b:77"), Some(4711));
        assert_eq!(holder_in(locks, "00:1b:7"), None);
    }

    #[test]
    fn who_holds_a_directory_is_told_to_whoever_comes_second() {
        let folder = tempfile::tempdir().unwrap();
        let first = Claim::lock(folder.path()).unwrap();
        let refused = Claim::lock(folder.path()).unwrap_err();
        let ClaimError::Taken { pid, .. } = refused;
        assert_eq!(pid, Some(std::process::id()));
        drop(first);
        assert!(Claim::lock(folder.path()).unwrap().held.is_some());
    }

    #[test]
    fn outside_of_a_bpf_file_system_nothing_is_made_and_it_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            interfaces: vec!["eth0".into()],
            pin_path: folder.path().join("a/b"),
            ..Settings::default()
        };
        let claim = Claim::take(&settings).unwrap();
        assert!(claim.status().problem.unwrap().contains("mount -t bpf"));
        assert!(claim.directory().is_none());
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn an_empty_path_is_no_problem() {
        let settings = Settings {
            interfaces: vec!["eth0".into()],
            pin_path: PathBuf::new(),
            ..Settings::default()
        };
        let claim = Claim::take(&settings).unwrap();
        assert_eq!(claim.status(), PinsStatus::default());
    }
}
