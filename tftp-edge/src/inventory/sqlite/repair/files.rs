//! The folder that work is done in, and the damaged file beside the new one.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::super::super::StoreError;
use super::super::last_good;
use super::fault;
use crate::storage::{link_aside, with_suffix};

/// A folder beside the database, of its owner alone, that goes when it is done with.
pub(super) struct Workshop(PathBuf);

impl Workshop {
    pub(super) fn make(database: &Path) -> Result<Self, StoreError> {
        let folder = with_suffix(database, &format!(".repair-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| fault(&folder, error))?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What stays is named as what it is.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn copy_file(mut from: &File, to: &Path) -> Result<(), StoreError> {
    let mut into = File::create(to).map_err(|error| fault(to, error))?;
    io::copy(&mut from, &mut into).map_err(|error| fault(to, error))?;
    Ok(())
}

/// Puts the new database in the place of the damaged one, for the same owner; gives back where the
/// damaged one is.
pub(super) fn put_in_place(repaired: &Path, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let place = || {
        let owner = [path, &last_good(path), folder]
            .into_iter()
            .find_map(|it| fs::metadata(it).ok());
        if let Some(owner) = owner {
            chown(repaired, Some(owner.uid()), Some(owner.gid()))?;
        }
        fs::set_permissions(repaired, Permissions::from_mode(0o640))?;
        let mut file = File::options().append(true).open(repaired)?;
        file.flush()?;
        file.sync_all()?;
        // Never a moment without a file, which a daemon would take for a lost one.
        let aside = match link_aside(path) {
            Ok(aside) => Some(aside),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        fs::rename(repaired, path)?;
        File::open(folder)?.sync_all()?;
        Ok(aside)
    };
    place().map_err(|error| fault(path, error))
}
