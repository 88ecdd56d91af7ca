//! What the thread of the store does at each turn.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::Snapshot;
use super::database::{Database, DatabaseError, Stored};
use crate::alarms::{AlarmKind, Alarms};
use crate::inventory::DeviceName;
use crate::journal::{Gap, Journal, Settings, unix_ms};
use crate::live::Live;

/// The longest that a change waits for its transaction.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Phones of one transaction, and transactions of one turn.
const BATCH: usize = 2_000;
const BATCHES: usize = 64;

/// How often the time is written while nothing happens: a restart begins the gap with it.
const STAMP_EVERY: Duration = Duration::from_secs(30);

/// Between two attempts to get a file that could not be used.
const RETRY: Duration = Duration::from_secs(30);

/// How often phones are looked for that were silent for too long.
const EXPIRE_EVERY: Duration = Duration::from_secs(3_600);

pub(super) struct Writer {
    path: PathBuf,
    settings: Live<Settings>,
    journal: Arc<Journal>,
    alarms: Arc<Alarms>,
    database: Option<Database>,
    /// When everything was written last, or when writing began to fail.
    written: Instant,
    /// When the time was written last.
    stamped: Instant,
    tried: Instant,
    expired: Option<Instant>,
    /// As the file has them.
    gaps: Vec<Gap>,
    seen: Arc<Mutex<Snapshot>>,
}

impl Writer {
    /// Opens the file and puts what is in it into the journal.
    pub(super) fn restore(
        path: PathBuf,
        settings: Live<Settings>,
        journal: Arc<Journal>,
        alarms: Arc<Alarms>,
        now: (Instant, SystemTime),
    ) -> Self {
        let mut writer = Self {
            path,
            settings,
            journal,
            alarms,
            database: None,
            written: now.0,
            stamped: now.0,
            tried: now.0,
            expired: None,
            gaps: Vec::new(),
            seen: Arc::default(),
        };
        match writer.open() {
            Err(error) => writer.fail(&error, now.0),
            Ok((database, stored)) => {
                writer.database = Some(database);
                writer.take_over(stored, now.1);
                writer.write_stamp(now);
            }
        }
        writer
    }

    fn take_over(&mut self, stored: Stored, now: SystemTime) {
        let (restored, unreadable) = (stored.phones.len() as u64, stored.unreadable);
        self.journal.restore(stored.phones, stored.gaps);
        if let Some(written_ms) = stored.written_ms {
            // Nobody counted what happened meanwhile.
            let written = UNIX_EPOCH.checked_add(Duration::from_millis(written_ms));
            let written = written.filter(|it| *it < now).unwrap_or(now);
            self.journal.lost(0, written, now);
        }
        tracing::info!(
            event = "journal.restored",
            restored,
            dropped = unreadable,
            "phones of the last run's journal"
        );
        let mut seen = self.seen.lock();
        (seen.restored, seen.unreadable) = (restored, unreadable);
    }

    /// A file that can never be used makes way for a new one.
    fn open(&self) -> Result<(Database, Stored), DatabaseError> {
        let open = || Database::open(&self.path).and_then(|it| Ok((it.read()?, it)));
        let opened = match open() {
            Err(error) if error.is_lasting() => {
                let aside = set_aside(&self.path)?;
                let problem = format!(
                    "{error}; it was set aside as {}, and a new one begun: what phones did before \
                     is not shown. Delete it, or move it back for the version it is of",
                    aside.display()
                );
                self.seen.lock().failures += 1;
                self.raise(problem);
                open()
            }
            opened => opened,
        };
        opened.map(|(stored, database)| (database, stored))
    }

    pub(super) fn seen(&self) -> Arc<Mutex<Snapshot>> {
        Arc::clone(&self.seen)
    }

    /// Writes what has waited long enough.
    pub(super) fn turn(&mut self, now: Instant, wall: SystemTime) {
        if self.database.is_none() && now.duration_since(self.tried) >= RETRY {
            self.reopen((now, wall));
        }
        if now.duration_since(self.written) >= FLUSH_WITHIN {
            self.flush((now, wall));
        }
        let is_due = |at: Instant| now.duration_since(at) >= EXPIRE_EVERY;
        if self.expired.is_none_or(is_due) {
            self.expired = Some(now);
            self.expire((now, wall));
        }
        self.look(now);
    }

    /// Writes all that waits, at the end.
    pub(super) fn finish(&mut self, now: Instant, wall: SystemTime) {
        self.flush((now, wall));
        self.write_stamp((now, wall));
    }

    fn look(&self, now: Instant) {
        let mut seen = self.seen.lock();
        seen.is_failing = self.database.is_none();
        seen.waiting = self.journal.unsaved() as u64;
        seen.oldest_waiting = match seen.waiting {
            0 => Duration::ZERO,
            _ => now.duration_since(self.written),
        };
    }

    fn flush(&mut self, now: (Instant, SystemTime)) {
        for _ in 0..BATCHES {
            if self.database.is_none() {
                return;
            }
            let phones = self.journal.take_unsaved(BATCH);
            let gaps = self.journal.gaps();
            let is_last = phones.len() < BATCH;
            let is_stamp_due = now.0.duration_since(self.stamped) >= STAMP_EVERY;
            if !phones.is_empty() || gaps != self.gaps || is_stamp_due {
                self.write(&phones, gaps, now);
            }
            if is_last {
                break;
            }
        }
        if self.database.is_some() {
            self.written = now.0;
        }
    }

    fn write_stamp(&mut self, now: (Instant, SystemTime)) {
        let gaps = self.journal.gaps();
        self.write(&[], gaps, now);
    }

    fn write(
        &mut self,
        phones: &[(DeviceName, crate::journal::Phone)],
        gaps: Vec<Gap>,
        now: (Instant, SystemTime),
    ) {
        let Some(database) = &mut self.database else {
            return;
        };
        let changed = (gaps != self.gaps).then_some(&gaps[..]);
        let written = database.write(phones, changed, unix_ms(now.1));
        match written.and_then(|()| database.size()) {
            Ok((saved, size_bytes)) => {
                (self.stamped, self.gaps) = (now.0, gaps);
                let mut seen = self.seen.lock();
                seen.flushes += 1;
                seen.rows += phones.len() as u64;
                (seen.saved, seen.size_bytes) = (saved, size_bytes);
            }
            Err(error) => {
                self.journal.soil(phones.iter().map(|(device, _)| *device));
                self.fail(&error, now.0);
            }
        }
    }

    fn reopen(&mut self, now: (Instant, SystemTime)) {
        self.tried = now.0;
        match self.open() {
            Ok((database, stored)) => {
                self.database = Some(database);
                // What it has of phones that nothing was heard of since.
                let is_new = stored.phones.into_iter();
                let is_new = is_new.filter(|(it, _)| self.journal.with(it, |_| ()).is_none());
                self.journal.add(is_new);
                self.journal.soil_all();
                self.flush(now);
                if self.database.is_some() {
                    let subject = self.path.display().to_string();
                    self.alarms.clear(AlarmKind::JournalStore, &subject);
                }
            }
            Err(error) => self.fail(&error, now.0),
        }
    }

    /// Deletes phones that were silent for too long. The file does not have each sign of life: what
    /// the journal knows better is written anew.
    fn expire(&mut self, now: (Instant, SystemTime)) {
        let before_ms =
            unix_ms(now.1).saturating_sub(self.settings.get().keep().as_millis() as u64);
        let Some(database) = &mut self.database else {
            return;
        };
        let found = database.silent_since(before_ms);
        let done = found.and_then(|silent| {
            let is_silent = |device: &DeviceName| {
                let heard = self.journal.with(device, |phone| phone.heard_ms);
                heard.is_none_or(|heard_ms| heard_ms < before_ms)
            };
            let (gone, alive): (Vec<_>, Vec<_>) = silent.into_iter().partition(is_silent);
            self.journal.soil(alive.into_iter());
            gone.iter().for_each(|device| self.journal.forget(device));
            if gone.is_empty() {
                return Ok(());
            }
            tracing::info!(
                event = "journal.expired",
                devices = gone.len(),
                "silent for too long: deleted"
            );
            database.delete(&gone)
        });
        if let Err(error) = done {
            self.fail(&error, now.0);
        }
    }

    /// Goes on in memory alone.
    fn fail(&mut self, error: &DatabaseError, now: Instant) {
        self.database = None;
        self.tried = now;
        self.seen.lock().failures += 1;
        self.raise(format!(
            "{error}; the journal is in memory only, and a restart would lose what is new in it. \
             Make room for the file, or end who has it: it is tried again every {} s",
            RETRY.as_secs()
        ));
    }

    #[cfg(test)]
    pub(super) fn limit_to_pages(&self, pages: u32) {
        self.database.as_ref().unwrap().limit_to_pages(pages);
    }

    fn raise(&self, problem: String) {
        let subject = self.path.display().to_string();
        self.alarms
            .raise(AlarmKind::JournalStore, &subject, problem);
    }
}

/// Renames the file and what SQLite keeps beside it. Gives back its new name.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let with = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let now = unix_ms(SystemTime::now()) / 1_000;
    let aside = with(path, &format!(".{now}.aside"));
    for end in ["-wal", "-shm"] {
        match fs::rename(with(path, end), with(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}
