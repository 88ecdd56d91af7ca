//! The folder that is served, opened so that no path can leave it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, stat};

use super::ContentError;

/// How often a file that changes under the reader is read again before it is left for later.
const READ_ATTEMPTS: usize = 5;
const READ_PAUSE: Duration = Duration::from_millis(10);

/// Time stamps of files are only as fine as the kernel's tick: a change this soon after another
/// may leave them as they were.
const STAMP_GRAIN: Duration = Duration::from_millis(50);

/// Bytes that are read at a time of a file that is not kept.
const PIECE: usize = 64 << 10;

const NO_FILE: &str = "it is no regular file";

/// Which content a path had: another one when it is written to or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    pub(super) len: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Fingerprint {
    fn of(stat: &FileStat) -> Self {
        let ns = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: ns(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: ns(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether the file was changed so lately that a next change might not show.
    pub(super) fn is_fresh(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ns = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
        self.is_fresh_at(now_ns)
    }

    /// Not of a stamp that is yet to come: the clock was set back since, and a next change gets another
    /// one.
    fn is_fresh_at(&self, now_ns: i128) -> bool {
        let age_ns = now_ns - self.changed_ns.max(self.modified_ns);
        age_ns.unsigned_abs() < STAMP_GRAIN.as_nanos()
    }

    pub(super) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A FIFO, a device, a socket.
    Special,
}

/// Why a path gives no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Absent,
    /// Must not or cannot be served.
    Refused(String),
    /// Cannot be told at the moment: it was written to all the time it was read, or the system
    /// is out of file descriptors or memory, or the disk failed.
    Unstable,
}

impl Denied {
    fn of(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => Self::Absent,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EIO | Errno::ESTALE => {
                Self::Unstable
            }
            Errno::EXDEV => Self::Refused("it is a link that leaves the root".into()),
            Errno::EACCES => Self::Refused("the daemon may not read it".into()),
            errno => Self::Refused(errno.desc().into()),
        }
    }

    pub(super) fn of_io(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::of(Errno::from_raw(errno)),
            None => Self::Refused(error.to_string()),
        }
    }
}

/// Where the path of the root leads now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Same,
    /// To another folder: it was renamed and made anew, or something was mounted over it or away.
    Other {
        is_empty: bool,
    },
    /// To no folder that can be read.
    Gone(String),
}

pub(super) struct Root {
    path: PathBuf,
    fd: ArcSwap<OwnedFd>,
}

fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty())
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, ContentError> {
        let failed = |source: io::Error| ContentError::Root {
            path: path.into(),
            source,
        };
        let path = path.canonicalize().map_err(failed)?;
        let fd = open_folder(&path).map_err(|errno| failed(errno.into()))?;
        let fd = ArcSwap::from_pointee(fd);
        let root = Self { path, fd };
        match root.open_beneath(Path::new("."), OFlag::O_PATH) {
            Ok(_) => Ok(root),
            Err(errno) => Err(ContentError::Openat2 {
                source: errno.into(),
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to the folder that is open.
    pub(super) fn place(&self) -> Place {
        let open = fstat(self.fd.load().as_fd()).map(|stat| Fingerprint::of(&stat).identity());
        let there = stat(&self.path).map(|stat| Fingerprint::of(&stat).identity());
        match (there, open) {
            (Ok(there), Ok(open)) if there == open => Place::Same,
            (Ok(_), _) => match std::fs::read_dir(&self.path) {
                Ok(mut entries) => Place::Other {
                    is_empty: entries.next().is_none(),
                },
                Err(error) => Place::Gone(error.to_string()),
            },
            (Err(errno), _) => Place::Gone(errno.desc().to_owned()),
        }
    }

    /// Goes on with the folder that the path leads to now.
    pub(super) fn enter(&self) -> io::Result<()> {
        self.fd.store(Arc::new(open_folder(&self.path)?));
        Ok(())
    }

    /// What is under the path, links within the root followed. Opens nothing for reading: a FIFO
    /// or a device notices nothing.
    pub(super) fn look(&self, path: &Path) -> Result<(Kind, Fingerprint), Denied> {
        let fd = self.open_beneath(path, OFlag::O_PATH).map_err(Denied::of)?;
        let stat = fstat(&fd).map_err(Denied::of)?;
        Ok((kind(&stat), Fingerprint::of(&stat)))
    }

    /// The whole file as it was at one moment.
    pub(super) fn read(&self, path: &Path) -> Result<(Bytes, Fingerprint), Denied> {
        let mut file = self.open_file(path)?;
        for attempt in 0..READ_ATTEMPTS {
            if attempt > 0 {
                thread::sleep(READ_PAUSE);
            }
            let before = fstat(&file).map_err(Denied::of)?;
            let before = Fingerprint::of(&before);
            let bytes = read_whole(&mut file, before.len).map_err(|error| Denied::of_io(&error))?;
            let after = fstat(&file).map_err(Denied::of)?;
            if Fingerprint::of(&after) == before && bytes.len() as u64 == before.len {
                return Ok((Bytes::from(bytes), before));
            }
        }
        Err(Denied::Unstable)
    }

    /// The first bytes of a file.
    pub(super) fn head(&self, path: &Path, len: usize) -> Result<Vec<u8>, Denied> {
        let file = self.open_file(path)?;
        let mut head = Vec::with_capacity(len);
        file.take(len as u64)
            .read_to_end(&mut head)
            .map_err(|error| Denied::of_io(&error))?;
        Ok(head)
    }

    /// The file from its beginning to its end, as it is at the moment.
    pub(super) fn pieces(&self, path: &Path, mut take: impl FnMut(&[u8])) -> Result<(), Denied> {
        let mut file = self.open_file(path)?;
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(len) => take(&piece[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Denied::of_io(&error)),
            }
        }
    }

    /// Opens what was a regular file when it was looked at.
    fn open_file(&self, path: &Path) -> Result<File, Denied> {
        // Non-blocking: it may be a FIFO by now.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let fd = self.open_beneath(path, flags).map_err(Denied::of)?;
        match kind(&fstat(&fd).map_err(Denied::of)?) {
            Kind::File => Ok(File::from(fd)),
            Kind::Directory | Kind::Special => Err(Denied::Refused(NO_FILE.into())),
        }
    }

    fn open_beneath(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        loop {
            match openat2(self.fd.load().as_fd(), path, how) {
                // Something on the way was renamed meanwhile; the kernel could not be sure.
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return result,
            }
        }
    }
}

fn read_whole(file: &mut File, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(io::Error::other)?);
    file.rewind()?;
    // One byte more tells a file that has grown.
    file.take(len + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn kind(stat: &FileStat) -> Kind {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFDIR => Kind::Directory,
        _ => Kind::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_read_again_for_ever_when_the_clock_is_set_back() {
        let file = Fingerprint {
            device: 1,
            inode: 1,
            len: 1,
            modified_ns: 1_000_000_000_000,
            changed_ns: 1_000_000_000_000,
        };
        assert!(file.is_fresh_at(1_000_000_000_000 + 1_000_000));
        assert!(!file.is_fresh_at(1_000_000_000_000 + 60_000_000));
        assert!(!file.is_fresh_at(1_000_000_000_000 - 3_600_000_000_000));
    }

    #[test]
    fn a_shortage_of_the_system_is_no_statement_about_a_file() {
        let denied = |errno: Errno| Denied::of_io(&io::Error::from(errno));
        assert_eq!(denied(Errno::EMFILE), Denied::Unstable);
        assert_eq!(denied(Errno::ENOENT), Denied::Absent);
        assert!(matches!(denied(Errno::EACCES), Denied::Refused(_)));
    }
}
