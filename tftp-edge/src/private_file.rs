//! Files that other users of the system must not read.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

/// Makes the file and its folders where they are not there, closed to other users whatever the umask.
/// For databases: SQLite would make them by the umask, and its own files take over mode and owner. What
/// root makes belongs to whoever the folder belongs to: the daemon is to use it, too.
pub fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o750).create(folder)?;
    }
    // One that is there is not opened: to close it would take away the locks that SQLite has on it
    // in this process (https://sqlite.org/howtocorrupt.html, 2.2).
    let mut options = fs::OpenOptions::new();
    match options.create_new(true).write(true).mode(0o640).open(path) {
        Ok(file) if nix::unistd::geteuid().is_root() => {
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            let folder = fs::metadata(folder.unwrap_or(Path::new(".")))?;
            match fchown(file, Some(folder.uid()), Some(folder.gid())) {
                // Root without the right to give files away uses them itself.
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
                _ => Ok(()),
            }
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_makes_is_the_folders_owners_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.db");
        let is_root = nix::unistd::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(folder.path(), Some(4321), Some(4322)).unwrap();
        }
        create(&path).unwrap();
        let made = fs::metadata(&path).unwrap();
        let owner = fs::metadata(folder.path()).unwrap();
        assert_eq!((made.uid(), made.gid()), (owner.uid(), owner.gid()));
        assert_eq!(made.mode() & 0o777, 0o640);
        // One that is there is left alone.
        fs::write(&path, "kept").unwrap();
        create(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }
}
