//! Has the daemon go on when the database of the inventory does not.
//!
//! - While it runs, what was read last stays: configurations are in memory.
//! - At the start there is nothing in memory yet. So every now and then the daemon keeps a copy of the
//!   database beside it, `inventory.db.last-good` (at once if there is none), and begins with that when the database cannot be
//!   read. A power cut takes the phones and the disk at the same moment.
//!
//! The copy is made only of a database that SQLite finds to be sound, to a file of its own, and takes
//! the place of the one before when it has been read back. So a damaged database never replaces it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Contents, Settings, SqliteStore, Store, StoreError, sqlite};
use crate::alarms::{AlarmKind, Alarms};
use crate::private_file;
use crate::storage::{Fault, with_suffix};

/// How often a database that failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// A copy is made when nothing was committed for so long, and not more often than that.
const QUIET: Duration = Duration::from_secs(10);
const COPY_EVERY: Duration = Duration::from_secs(60);

/// With nothing new, so often all the same: to make it is to look at every page.
const SCRUB_EVERY: Duration = Duration::from_secs(86_400);

/// What is to be done about the copy, by time alone.
#[derive(Debug, Default)]
struct Copying {
    /// When something was committed that the copy does not have.
    changed: Option<Instant>,
    tried: Option<Instant>,
    /// There is one that can wait to be renewed.
    has_one: bool,
}

impl Copying {
    fn changed(&mut self, now: Instant, has_one: bool) {
        (self.changed, self.has_one) = (Some(now), has_one);
    }

    fn is_due(&self, now: Instant) -> bool {
        let is_over =
            |at: Option<Instant>, long| at.is_none_or(|at| now.duration_since(at) >= long);
        let every = match self.changed {
            Some(_) => COPY_EVERY,
            None => SCRUB_EVERY,
        };
        (!self.has_one || is_over(self.changed, QUIET)) && is_over(self.tried, every)
    }
}

pub(super) struct Guard {
    database: PathBuf,
    copy: PathBuf,
    alarms: Arc<Alarms>,
    copying: Copying,
    /// When the database failed last; none while it does not.
    failed: Option<Instant>,
    /// What is served is what the copy has.
    serves_copy: bool,
    /// It can be read, and a part of it is damaged all the same.
    is_unsound: bool,
}

/// What there is to serve.
pub(super) enum Seen {
    Unchanged,
    Contents(Box<Contents>),
}

impl Guard {
    pub(super) fn new(settings: &Settings, alarms: Arc<Alarms>) -> Self {
        Self {
            copy: sqlite::last_good(&settings.database),
            database: settings.database.clone(),
            alarms,
            copying: Copying::default(),
            failed: None,
            serves_copy: false,
            is_unsound: false,
        }
    }

    /// Whether to ask the database now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.failed.is_none_or(|at| now.duration_since(at) >= RETRY)
    }

    /// It was read; `is_new` if it has other content than before.
    pub(super) fn read(&mut self, is_new: bool, now: Instant) {
        if is_new {
            self.copying.changed(now, self.copy.exists());
            self.serves_copy = false;
            if self.is_unsound {
                // It may be the one that was repaired.
                self.copying.tried = None;
            }
        }
        if self.failed.take().is_some() {
            tracing::info!(
                event = "inventory.readable", file = %self.database.display(),
                "the inventory can be read again"
            );
        }
        if !self.is_unsound {
            let subject = self.subject(&self.database);
            self.alarms.clear(AlarmKind::Inventory, &subject);
        }
    }

    /// It was not. With nothing to serve yet, what the copy has is given back, or the error if there
    /// is none.
    pub(super) fn failed(
        &mut self,
        error: StoreError,
        has_served: bool,
        now: Instant,
    ) -> Result<Seen, StoreError> {
        let is_first = self.failed.replace(now).is_none();
        let seen = match has_served {
            true => Seen::Unchanged,
            false => match self.contents(&error) {
                Some(contents) => Seen::Contents(Box::new(contents)),
                None => return Err(error),
            },
        };
        self.serves_copy |= matches!(seen, Seen::Contents(_));
        let served = match self.serves_copy {
            false => "what was read of it last is served".to_owned(),
            true => format!("its last good copy, {}, is served", self.told_copy()),
        };
        let problem = format!(
            "{error}; {served}, and changes have to wait. It is tried again every {} s",
            RETRY.as_secs()
        );
        if is_first {
            tracing::error!(event = "inventory.unreadable", %error, "the inventory cannot be read: {served}");
        }
        let subject = self.subject(&self.database);
        self.alarms.raise(AlarmKind::Inventory, &subject, problem);
        Ok(seen)
    }

    /// Of the copy. A database of a newer program is no fault: its configurations would be missing
    /// what the newer one added.
    fn contents(&self, error: &StoreError) -> Option<Contents> {
        if matches!(error, StoreError::TooNew { .. }) || !self.copy.exists() {
            return None;
        }
        match read_copy(&self.copy) {
            Ok(contents) => Some(contents),
            Err(error) => {
                tracing::error!(event = "inventory.copy_unreadable", %error, "the last good copy cannot be read either");
                None
            }
        }
    }

    fn told_copy(&self) -> String {
        let made = fs::metadata(&self.copy).and_then(|it| it.modified());
        let made = made.unwrap_or(SystemTime::UNIX_EPOCH);
        let made = humantime::format_rfc3339_seconds(made);
        format!("{} of {made}", self.copy.display())
    }

    /// Renews the copy if it is time to.
    pub(super) fn keep_copy(&mut self, store: &mut dyn Store, now: Instant) {
        if self.failed.is_some() || !self.copying.is_due(now) {
            return;
        }
        self.copying.tried = Some(now);
        let (database, copy) = (self.subject(&self.database), self.subject(&self.copy));
        match renew(store, &self.copy) {
            Ok(()) => {
                self.copying.changed = None;
                self.is_unsound = false;
                self.alarms.clear(AlarmKind::Inventory, &copy);
                self.alarms.clear(AlarmKind::Inventory, &database);
                tracing::debug!(file = copy, "the last good copy of the inventory is new");
            }
            // It is read, and yet not sound: the copy stays as it is.
            Err(error) if error.needs_repair() => {
                self.is_unsound = true;
                let problem = format!(
                    "{error}; what can be read of it is served. Repair it before more is lost"
                );
                self.alarms.raise(AlarmKind::Inventory, &database, problem);
            }
            Err(error) => {
                let problem = format!(
                    "the copy that the daemon starts with when the inventory is damaged cannot be \
                     written: {error}; the one before is kept, and it is tried again every {} s",
                    COPY_EVERY.as_secs()
                );
                self.alarms.raise(AlarmKind::Inventory, &copy, problem);
            }
        }
    }

    fn subject(&self, path: &Path) -> String {
        path.display().to_string()
    }
}

/// Writes a copy beside the one there is, reads it back, and puts it in its place.
pub(super) fn renew(store: &mut dyn Store, copy: &Path) -> Result<(), StoreError> {
    let fresh = with_suffix(copy, ".new");
    let fault = |source: io::Error| {
        let fault = Fault::of_io(&source);
        StoreError::Fault {
            path: fresh.clone(),
            fault,
            told: fault.told(&fresh, &source),
        }
    };
    let write = |store: &mut dyn Store| {
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        private_file::create(&fresh).map_err(fault)?;
        store.copy_to(&fresh)?;
        read_copy(&fresh)?;
        let synced = File::open(&fresh).and_then(|it| it.sync_all());
        synced.map_err(fault)?;
        fs::rename(&fresh, copy).map_err(fault)?;
        // The name, too, is there after a power cut.
        let folder = copy.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|it| it.sync_all()).map_err(fault)
    };
    write(store).inspect_err(|_| {
        // It takes room that others need; one that is not there is none.
        let _ = fs::remove_file(&fresh);
    })
}

pub(super) fn read_copy(copy: &Path) -> Result<Contents, StoreError> {
    SqliteStore::read_copy(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_waits_for_quiet_and_is_not_made_too_often() {
        let mut copying = Copying::default();
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        copying.changed(began, true);
        assert!(!copying.is_due(after(9)));
        copying.changed(after(9), true);
        assert!(!copying.is_due(after(18)));
        assert!(copying.is_due(after(19)));
        copying.tried = Some(after(19));
        copying.changed = None;
        copying.changed(after(20), true);
        assert!(!copying.is_due(after(78)));
        assert!(copying.is_due(after(79)));
        copying.changed = None;
        copying.tried = Some(after(79));
        assert!(!copying.is_due(after(86_400)));
        assert!(
            copying.is_due(after(79 + 86_400)),
            "once a day it is looked at"
        );
        let mut first = Copying::default();
        first.changed(began, false);
        assert!(first.is_due(began), "any is better than none");
    }
}
