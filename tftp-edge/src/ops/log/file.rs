//! A log file that keeps itself within bounds, and lets others move it away.
//!
//! Two conventions are followed, so that whoever turns the file need not know which is meant. The
//! file rotates itself by size: `tftp-edge.log` becomes `tftp-edge.log.1`, and so on up to `keep`.
//! And it is opened anew on SIGUSR1, as nginx and many others do, which is what logrotate's
//! `postrotate` sends; a file that has been moved or removed without a signal is noticed within a
//! second. logrotate's `copytruncate` works, too: lines are always appended.
//!
//! No line is ever written in part: what a full disk cut off is taken back. A line that cannot be
//! written is lost and counted; the daemon goes on. Lines alone do not tell a full disk: short ones
//! find room in the last block of the file for a while, and a daemon that has nothing to say writes
//! none. So the file system is asked, too.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::storage::{self, Fault};

/// Addresses and names of devices stand in it.
const MODE: u32 = 0o640;

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// The size at which it rotates.
    max_bytes: u64,
    /// Rotated files that are kept.
    keep: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last one that could be opened.
    file: File,
    lost: u64,
    /// Of the last line.
    problem: Option<String>,
    /// Why it cannot be opened anew; tried again by [`LogFile::look`].
    unopened: Option<String>,
    /// What the file system says, whether or not a line was lost to it.
    no_room: Option<String>,
    /// Of the last rotation.
    unkept: Option<String>,
}

impl LogFile {
    /// Fails if there can be no such file.
    pub(super) fn open(path: &Path, max_bytes: u64, keep: u32) -> io::Result<Self> {
        let state = State {
            file: append_to(path)?,
            lost: 0,
            problem: None,
            unopened: None,
            no_room: None,
            unkept: None,
        };
        Ok(Self {
            path: path.to_owned(),
            max_bytes,
            keep,
            state: Mutex::new(state),
        })
    }

    /// A whole line, or none of it.
    pub(super) fn write(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if let Err(error) = self.try_write(&mut state, line) {
            state.lost += 1;
            state.problem = Some(self.told(&error));
        }
    }

    /// What is wrong, and what to do.
    fn told(&self, error: &io::Error) -> String {
        let told = Fault::of_io(error).told(&self.path, error);
        format!("{}: {told}", self.path.display())
    }

    fn try_write(&self, state: &mut State, line: &[u8]) -> io::Result<()> {
        // Asked each time: somebody may have truncated it.
        let len = state.file.metadata()?.len();
        if len > 0 && len + line.len() as u64 > self.max_bytes {
            (state.file, state.unkept) = self.rotate(&state.file)?;
        }
        append(&state.file, line)?;
        state.problem = None;
        Ok(())
    }

    /// The file to go on with, and why the old one is not kept if it is not.
    fn rotate(&self, full: &File) -> io::Result<(File, Option<String>)> {
        let moved = match self.keep {
            0 => fs::remove_file(&self.path),
            keep => {
                for number in (1..keep).rev() {
                    // Most often the first few are there.
                    let _ = fs::rename(self.rotated(number), self.rotated(number + 1));
                }
                fs::rename(&self.path, self.rotated(1))
            }
        };
        match moved.and_then(|()| append_to(&self.path)) {
            Ok(file) => Ok((file, None)),
            Err(error) => {
                // A folder that we may not write in: the newest lines are worth more than the
                // oldest, and the disk has an end.
                full.set_len(0)?;
                let path = self.path.display();
                let unkept = format!("{path} cannot be rotated and begins anew in place: {error}");
                Ok((full.try_clone()?, Some(unkept)))
            }
        }
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }

    /// Opens it anew. What is wrong is told by [`LogFile::problem`].
    pub(super) fn reopen(&self) {
        let opened = append_to(&self.path);
        let mut state = self.state.lock();
        match opened {
            Ok(file) => {
                state.file = file;
                state.unopened = None;
            }
            Err(error) => state.unopened = Some(self.told(&error)),
        }
    }

    /// Opens it anew if it is not where it was, and sees whether there is room for more.
    pub(super) fn look(&self) {
        self.look_for_the_file();
        let no_room = storage::no_room(&self.path);
        let no_room = no_room.map(|told| format!("{}: {told}", self.path.display()));
        let mut state = self.state.lock();
        if state.no_room.is_some() && no_room.is_none() {
            // The next line is written, and may be long in coming.
            state.problem = None;
        }
        state.no_room = no_room;
    }

    fn look_for_the_file(&self) {
        let there = fs::metadata(&self.path).ok();
        let open = self.state.lock().file.metadata();
        let same =
            |one: &Metadata, other: &Metadata| one.dev() == other.dev() && one.ino() == other.ino();
        match (there, open) {
            (Some(there), Ok(open)) if same(&there, &open) => {}
            _ => self.reopen(),
        }
    }

    /// What is wrong with it, if there is something.
    pub(super) fn problem(&self) -> Option<String> {
        let state = self.state.lock();
        let problems = [
            &state.no_room,
            &state.unopened,
            &state.problem,
            &state.unkept,
        ];
        problems.into_iter().flatten().next().cloned()
    }

    /// Lines that could not be written, since the start.
    pub(super) fn lost(&self) -> u64 {
        self.state.lock().lost
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
}

fn append(mut file: &File, line: &[u8]) -> io::Result<()> {
    let len = file.metadata()?.len();
    let written = file.write_all(line);
    if written.is_err() {
        // If that fails, too, the line is cut off: nothing better can be done.
        let _ = file.set_len(len);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::testing::SmallDisk;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.log");
        (folder, path)
    }

    #[test]
    fn a_full_file_makes_room_and_as_many_as_asked_for_are_kept() {
        let (_folder, path) = folder();
        let log = LogFile::open(&path, 8, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"] {
            log.write(line.as_bytes());
        }
        assert_eq!(read(&path), "six\n");
        assert_eq!(read(&log.rotated(1)), "five\n");
        assert_eq!(read(&log.rotated(2)), "four\n");
        assert!(!log.rotated(3).exists());
        assert_eq!((log.lost(), log.problem()), (0, None));
    }

    #[test]
    fn with_nothing_to_keep_the_old_is_gone() {
        let (_folder, path) = folder();
        let log = LogFile::open(&path, 8, 0).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            log.write(line.as_bytes());
        }
        assert_eq!(read(&path), "three\n");
        assert!(!log.rotated(1).exists());
    }

    #[test]
    fn a_line_longer_than_a_file_is_written_all_the_same() {
        let (_folder, path) = folder();
        let log = LogFile::open(&path, 4, 1).unwrap();
        log.write(b"longer than that\n");
        assert_eq!(read(&path), "longer than that\n");
    }

    #[test]
    fn what_was_there_before_is_kept() {
        let (_folder, path) = folder();
        fs::write(&path, "before\n").unwrap();
        LogFile::open(&path, 100, 1).unwrap().write(b"after\n");
        assert_eq!(read(&path), "before\nafter\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew_with_or_without_a_signal() {
        let (folder, path) = folder();
        let log = LogFile::open(&path, 100, 1).unwrap();
        let away = folder.path().join("away");
        log.write(b"one\n");
        fs::rename(&path, &away).unwrap();
        log.write(b"two\n");
        log.look();
        log.write(b"three\n");
        assert_eq!(
            (read(&away), read(&path)),
            ("one\ntwo\n".into(), "three\n".into())
        );
        fs::rename(&path, &away).unwrap();
        log.reopen();
        log.write(b"four\n");
        assert_eq!(read(&path), "four\n");
    }

    #[test]
    fn a_file_that_was_truncated_goes_on_at_its_end() {
        let (_folder, path) = folder();
        let log = LogFile::open(&path, 12, 1).unwrap();
        log.write(b"0123456789\n");
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        log.write(b"next\n");
        assert_eq!(read(&path), "next\n");
        assert!(!log.rotated(1).exists());
    }

    #[test]
    fn a_full_disk_loses_lines_counts_them_and_is_told_until_there_is_room() {
        // Always full (full(4)).
        let log = LogFile::open(Path::new("/dev/full"), 100, 1).unwrap();
        log.write(b"one\n");
        log.write(b"two\n");
        assert_eq!(log.lost(), 2);
        let problem = log.problem().unwrap();
        assert!(problem.contains("/dev/full: the disk is full"), "{problem}");
        log.state.lock().file = tempfile::tempfile().unwrap();
        log.write(b"three\n");
        assert_eq!((log.lost(), log.problem()), (2, None));
    }

    #[test]
    fn a_full_disk_is_told_before_a_line_is_lost_and_until_there_is_room() {
        SmallDisk::with(1 << 20, |disk| {
            let path = disk.path().join("edge.log");
            let log = LogFile::open(&path, 1 << 30, 1).unwrap();
            log.write(b"one\n");
            log.look();
            assert_eq!(log.problem(), None);

            disk.fill();
            log.look();
            let problem = log.problem().unwrap();
            assert!(problem.contains("the disk is full (0 of"), "{problem}");
            // The block that the file has has room for this one, and for no page more.
            log.write(b"two\n");
            assert_eq!(log.lost(), 0);
            log.write(&[b'-'; 5_000]);
            assert_eq!(log.lost(), 1);
            log.write(b"three\n");
            log.look();
            assert!(log.problem().unwrap().contains("the disk is full"));

            disk.free();
            log.write(&[b'-'; 5_000]);
            disk.fill();
            log.write(&[b'-'; 5_000]);
            log.look();
            disk.free();
            // Nobody has written anything since.
            log.look();
            assert_eq!((log.lost(), log.problem()), (2, None));
            assert!(read(&path).starts_with("one\ntwo\nthree\n-----"));
        });
    }

    #[test]
    fn room_that_is_back_does_not_bring_back_a_file_that_is_gone() {
        SmallDisk::with(1 << 20, |disk| {
            let folder = disk.path().join("log");
            fs::create_dir(&folder).unwrap();
            let log = LogFile::open(&folder.join("edge.log"), 1 << 30, 1).unwrap();
            disk.fill();
            fs::remove_dir_all(&folder).unwrap();
            log.look();
            assert!(log.problem().unwrap().contains("the disk is full"));
            disk.free();
            log.look();
            assert!(log.problem().unwrap().contains("No such file"));
            // The file that is open still takes a line, and nobody will find it there.
            log.write(b"one\n");
            assert!(log.problem().unwrap().contains("No such file"));
            fs::create_dir(&folder).unwrap();
            log.look();
            assert_eq!(log.problem(), None);
        });
    }

    #[test]
    fn a_file_that_cannot_rotate_begins_anew_in_place() {
        let (folder, path) = folder();
        let log = LogFile::open(&path, 8, 1).unwrap();
        log.write(b"one\n");
        // A folder in the way stands for one that may not be written in: root may everything.
        fs::create_dir(log.rotated(1)).unwrap();
        fs::write(log.rotated(1).join("full"), "").unwrap();
        log.write(b"two\n");
        log.write(b"three\n");
        assert_eq!(read(&path), "three\n");
        assert_eq!(log.lost(), 0);
        assert!(log.problem().unwrap().contains("cannot be rotated"));
        drop(folder);
    }

    #[test]
    fn a_folder_that_is_gone_is_told_and_the_file_is_back_once_the_folder_is() {
        let (folder, path) = folder();
        let inner = folder.path().join("log");
        fs::create_dir(&inner).unwrap();
        let path = inner.join(path.file_name().unwrap());
        let log = LogFile::open(&path, 100, 1).unwrap();
        fs::remove_dir_all(&inner).unwrap();
        log.look();
        assert!(log.problem().unwrap().contains("No such file"));
        fs::create_dir(&inner).unwrap();
        log.look();
        log.write(b"back\n");
        assert_eq!((read(&path), log.problem()), ("back\n".into(), None));
    }
}
