//! Files that other users of the system must not read.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes the file and its folders where they are not there, closed to other users whatever the umask.
/// For databases: SQLite would make them by the umask, and its own files take over the mode.
pub fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o750).create(folder)?;
    }
    // One that is there is not opened: to close it would take away the locks that SQLite has on it
    // in this process (https://sqlite.org/howtocorrupt.html, 2.2).
    let mut options = fs::OpenOptions::new();
    match options.create_new(true).write(true).mode(0o640).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
