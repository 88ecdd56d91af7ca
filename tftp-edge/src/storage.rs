//! What is wrong with a file that the daemon keeps, in words that say what to do.
//!
//! Whoever keeps a file (inventory, journal, registrations, log) goes on without it and raises an
//! alarm. What the system says of it is often one word, such as `disk I/O error` for a disk that is
//! full; so the file is looked at, too.

use std::fs;
use std::io;
use std::os::linux::fs::MetadataExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use rusqlite::ErrorCode;

use crate::port_owner;

/// A file system with less room than this is full: SQLite extends its files by more.
const NO_ROOM_BYTES: u64 = 64 << 10;

const MAY_USE: AccessFlags = AccessFlags::R_OK.union(AccessFlags::W_OK);

/// What keeps a file from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Full,
    Locked,
    Damaged,
    ReadOnly,
    /// To this user.
    Forbidden,
    Other,
}

impl Fault {
    /// Of a database at `path`.
    pub fn of_sqlite(error: &rusqlite::Error, path: &Path) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(ErrorCode::PermissionDenied) => Self::Forbidden,
            // Of these SQLite does not say why.
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => {
                Self::of_path(path)
            }
            _ => Self::Other,
        }
    }

    /// Of a file at `path`.
    pub fn of_io(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => Self::Full,
            Some(Errno::EROFS) => Self::ReadOnly,
            Some(Errno::EACCES | Errno::EPERM) => Self::Forbidden,
            _ => Self::Other,
        }
    }

    /// What can be seen of the place itself.
    fn of_path(path: &Path) -> Self {
        let room = Room::at(path);
        if room.is_some_and(|room| room.is_read_only) {
            return Self::ReadOnly;
        }
        // Not by opening it: that would take SQLite's own locks away when it is closed.
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let places = [Some(path), folder];
        let may = places
            .into_iter()
            .flatten()
            .map(|it| access(it, MAY_USE).err());
        match may.flatten().find(|&it| it != Errno::ENOENT) {
            Some(errno) => Self::of_io(&errno.into()),
            None if room.is_some_and(Room::is_full) => Self::Full,
            None => Self::Other,
        }
    }

    /// What is wrong and what to do, for the end of a sentence. `error` is what the system said.
    pub fn told(self, path: &Path, error: &dyn std::fmt::Display) -> String {
        match self {
            Self::Full => match Room::at(path) {
                Some(room) => room.told(path),
                None => format!("the disk is full ({error}); make room on it"),
            },
            Self::Locked => match lock_holder(path) {
                Some(holder) => format!(
                    "it is locked by {holder}; end that process, or have it let go of the file"
                ),
                None => format!(
                    "it is locked by another process ({error}); `fuser {}` names it",
                    path.display()
                ),
            },
            Self::Damaged => format!("it is damaged ({error})"),
            Self::ReadOnly => format!(
                "it cannot be written ({error}): its file system is read-only; see `dmesg` for a \
                 failing disk, and mount it for writing"
            ),
            Self::Forbidden => format!(
                "user {} may not use it ({error}){}; give it to that user with chown",
                nix::unistd::geteuid(),
                owner(path)
            ),
            Self::Other => error.to_string(),
        }
    }
}

/// That the file system of a file at `path` is full, and what to do, whether or not something was lost to
/// it. What only root may still use counts as used, as in `df`.
pub fn no_room(path: &Path) -> Option<String> {
    let room = Room::at(path).filter(|room| room.is_full())?;
    Some(room.told(path))
}

/// Who has the file, for a message about who may not.
fn owner(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(found) => format!(
            ": it belongs to user {} and has mode {:o}",
            found.uid(),
            found.mode() & 0o7777
        ),
        Err(_) => String::new(),
    }
}

/// The file system that a file is on.
#[derive(Clone, Copy, Debug)]
struct Room {
    free_bytes: u64,
    size_bytes: u64,
    is_read_only: bool,
}

impl Room {
    /// Of a file that need not be there.
    fn at(path: &Path) -> Option<Self> {
        let stat = path.ancestors().find_map(|it| {
            let it = if it.as_os_str().is_empty() {
                Path::new(".")
            } else {
                it
            };
            statvfs(it).ok()
        })?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
        Some(Self {
            free_bytes: bytes(stat.blocks_available()),
            size_bytes: bytes(stat.blocks()),
            is_read_only: stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY),
        })
    }

    /// A file system without a size says nothing: one in memory without a limit, `/proc`, some of FUSE.
    fn is_full(self) -> bool {
        self.size_bytes > 0 && self.free_bytes < NO_ROOM_BYTES
    }

    /// That there is none.
    fn told(self, path: &Path) -> String {
        format!(
            "the disk is full ({} of {} bytes are free on the file system of {}); make room there",
            self.free_bytes,
            self.size_bytes,
            path.display()
        )
    }
}

/// A process that has a lock on a database, or on what SQLite keeps beside it.
fn lock_holder(path: &Path) -> Option<String> {
    let files = ["", "-shm", "-wal"].map(|end| with_suffix(path, end));
    let inodes: Vec<u64> = files
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|found| found.st_ino())
        .collect();
    let table = fs::read_to_string("/proc/locks").ok()?;
    let pid = lockers(&table, &inodes).find(|&pid| pid != std::process::id())?;
    Some(port_owner::process(pid))
}

/// Processes that hold a lock for writing on one of these files, out of `/proc/locks`; see
/// `proc_locks(5)`.
fn lockers<'a>(table: &'a str, inodes: &'a [u64]) -> impl Iterator<Item = u32> + 'a {
    table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1).peekable();
        // `->` marks one who waits for it.
        if fields.peek() == Some(&"->") {
            return None;
        }
        let (kind, pid, file) = (fields.nth(2)?, fields.next()?, fields.next()?);
        let inode: u64 = file.rsplit(':').next()?.parse().ok()?;
        (kind == "WRITE" && inodes.contains(&inode))
            .then(|| pid.parse().ok())
            .flatten()
    })
}

/// The path with something behind its name.
pub fn with_suffix(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// What became of a database that was to be opened.
pub enum Opening<T> {
    Opened(T),
    /// It can never be used and was set aside: what to tell of it, without the end of the sentence.
    SetAside(String),
}

/// Opens a database of which nothing but its own content is lost when it makes way for a new one.
/// `why_never` says of an error why waiting would not help; `is_damaged` is known from before.
///
/// # Errors
/// What may get better by waiting, and a file that cannot be set aside.
pub fn open_or_set_aside<T, E: From<io::Error>>(
    path: &Path,
    is_damaged: bool,
    open: impl FnOnce() -> Result<T, E>,
    why_never: impl FnOnce(&E) -> Option<String>,
) -> Result<Opening<T>, E> {
    let why = if is_damaged {
        "a part of it is damaged".to_owned()
    } else {
        match open() {
            Ok(opened) => return Ok(Opening::Opened(opened)),
            Err(error) => match why_never(&error) {
                Some(why) => why,
                None => return Err(error),
            },
        }
    };
    let aside = set_aside(path)?;
    Ok(Opening::SetAside(format!(
        "{why}; it was set aside as {}, and a new one begun",
        aside.display()
    )))
}

/// Whether SQLite says that a file is no database, or is damaged.
pub fn is_broken(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
    )
}

/// Renames a database and what SQLite keeps beside it. Gives back its new name.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = link_aside(path)?;
    fs::remove_file(path)?;
    Ok(aside)
}

/// The same, with the database itself still there under its old name too: for who puts another in its
/// place.
pub fn link_aside(path: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.unwrap_or_default().as_secs();
    // Several in a second overwrite nothing.
    let mut more = 0;
    let aside = loop {
        let aside = match more {
            0 => with_suffix(path, &format!(".{now_s}.aside")),
            more => with_suffix(path, &format!(".{now_s}-{more}.aside")),
        };
        match fs::hard_link(path, &aside) {
            Ok(()) => break aside,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && more < 1_000 => more += 1,
            Err(error) => return Err(error),
        }
    };
    // Of another database they would be taken for its own.
    for end in ["-wal", "-shm"] {
        match fs::rename(with_suffix(path, end), with_suffix(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// A disk that can be filled.
#[cfg(test)]
pub(crate) mod testing {
    use std::fs;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};

    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

    /// A file system in memory, seen by the thread of the test alone.
    pub(crate) struct SmallDisk {
        folder: tempfile::TempDir,
    }

    impl SmallDisk {
        /// Runs `test` with a folder on a disk of that size; only root can have one.
        pub(crate) fn with(len_bytes: u64, test: impl FnOnce(&Self) + Send) {
            if !nix::unistd::geteuid().is_root() {
                eprintln!("skipped: a file system of its own needs root");
                return;
            }
            let run = || {
                // Of this thread: it goes with it, and nobody else sees it.
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                let none: Option<&str> = None;
                let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
                mount(none, "/", none, private, none).unwrap();
                let folder = tempfile::tempdir().unwrap();
                let size = format!("size={len_bytes}");
                let flags = MsFlags::empty();
                mount(
                    Some("tmpfs"),
                    folder.path(),
                    Some("tmpfs"),
                    flags,
                    Some(&*size),
                )
                .unwrap();
                let disk = Self { folder };
                test(&disk);
                // What is mounted would keep the folder from being removed.
                nix::mount::umount2(disk.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
            };
            std::thread::scope(|scope| {
                if let Err(panic) = scope.spawn(run).join() {
                    std::panic::resume_unwind(panic);
                }
            });
        }

        pub(crate) fn path(&self) -> &Path {
            self.folder.path()
        }

        fn filler(&self) -> PathBuf {
            self.path().join("filler")
        }

        /// Leaves no room at all.
        pub(crate) fn fill(&self) {
            let mut options = fs::OpenOptions::new();
            let file = options.create(true).append(true).open(self.filler());
            let mut file = file.unwrap();
            for piece in [vec![0; 64 << 10], vec![0; 1]] {
                while file.write_all(&piece).is_ok() {}
            }
        }

        pub(crate) fn free(&self) {
            fs::remove_file(self.filler()).unwrap();
        }

        /// Whether it may be written.
        pub(crate) fn set_writable(&self, is_writable: bool) {
            let flags = match is_writable {
                true => MsFlags::MS_REMOUNT,
                false => MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY,
            };
            let none: Option<&str> = None;
            mount(none, self.path(), none, flags, none).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::SmallDisk;
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_what_is_free_on_it() {
        SmallDisk::with(1 << 20, |disk| {
            disk.fill();
            let path = disk.path().join("a");
            let error = fs::write(&path, vec![0; 100_000]).unwrap_err();
            assert_eq!(Fault::of_io(&error), Fault::Full);
            let told = Fault::Full.told(&path, &error);
            assert!(told.contains("(0 of 1048576 bytes are free"), "{told}");
            // And as SQLite puts it.
            let connection = rusqlite::Connection::open(&path).unwrap();
            let made = connection.execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (1)");
            let fault = Fault::of_sqlite(&made.unwrap_err(), &path);
            assert_eq!(fault, Fault::Full);
        });
    }

    #[test]
    fn a_disk_that_may_not_be_written_is_no_full_one() {
        SmallDisk::with(1 << 20, |disk| {
            let path = disk.path().join("a");
            fs::write(&path, "").unwrap();
            disk.set_writable(false);
            let connection = rusqlite::Connection::open(&path).unwrap();
            let error = connection.execute_batch("CREATE TABLE a (b)").unwrap_err();
            let fault = Fault::of_sqlite(&error, &path);
            assert_eq!(fault, Fault::ReadOnly);
            assert!(fault.told(&path, &error).contains("dmesg"));
            disk.set_writable(true);
        });
    }

    #[test]
    fn a_file_system_without_a_size_is_no_full_one() {
        let path = Path::new("/proc/none");
        assert_eq!(Room::at(path).unwrap().size_bytes, 0);
        assert_eq!(no_room(path), None);
    }

    #[test]
    fn a_lock_for_writing_is_found_by_the_file() {
        let table = "1: POSIX  ADVISORY  WRITE 812 08:01:4711 1073741824 1073742335\n\
                     1: -> POSIX  ADVISORY  WRITE 813 08:01:4711 0 EOF\n\
                     2: POSIX  ADVISORY  READ 814 08:01:4711 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 815 00:19:47 0 EOF\n";
        assert_eq!(lockers(table, &[4711]).collect::<Vec<_>>(), [812]);
        assert_eq!(lockers(table, &[1, 47]).collect::<Vec<_>>(), [815]);
    }

    #[test]
    fn what_is_set_aside_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        for content in ["one", "two"] {
            fs::write(&path, content).unwrap();
            let wal = with_suffix(&path, "-wal");
            fs::write(&wal, content).unwrap();
            let aside = set_aside(&path).unwrap();
            assert_eq!(fs::read_to_string(&aside).unwrap(), content);
            assert_eq!(
                fs::read_to_string(with_suffix(&aside, "-wal")).unwrap(),
                content
            );
            assert!(!path.exists() && !wal.exists());
        }
    }
}
