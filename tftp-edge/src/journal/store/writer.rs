//! What the thread of the store does at each turn.

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
use crate::storage::{Opening, open_or_set_aside};

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

/// The clock was set by so much or more, and how long nobody is taken for silent then: long enough for
/// every phone that is there to have been heard of by the new time.
const CLOCK_WAS_SET: Duration = Duration::from_secs(3_600);
const SPARED_FOR: Duration = Duration::from_secs(86_400);

pub(super) struct Writer {
    path: PathBuf,
    settings: Live<Settings>,
    journal: Arc<Journal>,
    alarms: Arc<Alarms>,
    database: Option<Database>,
    /// The file was damaged when it was used last, though it may open and read well.
    is_damaged: bool,
    /// When everything was written last, or when writing began to fail.
    written: Instant,
    /// When the time was written last.
    stamped: Instant,
    tried: Instant,
    expired: Option<Instant>,
    /// One moment on both clocks, and until when nobody is taken for silent.
    clocks: (Instant, SystemTime),
    spared_until: Instant,
    /// As the file has them.
    gaps: Vec<Gap>,
    seen: Arc<Mutex<Snapshot>>,
}

struct Opened {
    database: Database,
    stored: Stored,
    /// The one before was set aside.
    is_new: bool,
}

impl Opened {
    fn open(path: &Path, is_new: bool) -> Result<Self, DatabaseError> {
        let database = Database::open(path)?;
        let stored = database.read()?;
        Ok(Self {
            database,
            stored,
            is_new,
        })
    }
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
            is_damaged: false,
            written: now.0,
            stamped: now.0,
            tried: now.0,
            expired: None,
            clocks: now,
            spared_until: now.0,
            gaps: Vec::new(),
            seen: Arc::default(),
        };
        match writer.open() {
            Err(error) => writer.fail(&error, now.0),
            Ok(Opened {
                database, stored, ..
            }) => {
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
    fn open(&mut self) -> Result<Opened, DatabaseError> {
        let opening = open_or_set_aside(
            &self.path,
            self.is_damaged,
            || Opened::open(&self.path, false),
            |error| error.is_lasting().then(|| error.told(&self.path)),
        )?;
        let told = match opening {
            Opening::Opened(opened) => return Ok(opened),
            Opening::SetAside(told) => told,
        };
        self.is_damaged = false;
        self.seen.lock().failures += 1;
        self.raise(format!(
            "{told}: what phones did before is not shown. Delete it, or move it back for the \
             version it is of"
        ));
        Opened::open(&self.path, true)
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
        self.look_at_clock((now, wall));
        let is_due = |at: Instant| now.duration_since(at) >= EXPIRE_EVERY;
        if self.expired.is_none_or(is_due) && now >= self.spared_until {
            self.expired = Some(now);
            self.expire((now, wall));
        }
        self.look(now);
    }

    /// A clock that is set a year forward makes every phone one that was silent for a year.
    fn look_at_clock(&mut self, now: (Instant, SystemTime)) {
        let should_be = self.clocks.1 + now.0.duration_since(self.clocks.0);
        let off = now.1.duration_since(should_be);
        let off = off.unwrap_or_else(|behind| behind.duration());
        self.clocks = now;
        if off >= CLOCK_WAS_SET {
            self.spared_until = now.0 + SPARED_FOR;
        }
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
            Ok(Opened {
                database,
                stored,
                is_new,
            }) => {
                self.database = Some(database);
                // What it has of phones that nothing was heard of since.
                let phones = stored.phones.into_iter();
                let silent = phones.filter(|(it, _)| self.journal.with(it, |_| ()).is_none());
                self.journal.add(silent);
                self.journal.soil_all();
                self.flush(now);
                // That one was set aside is told until somebody has looked.
                if self.database.is_some() && !is_new {
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
        self.is_damaged |= error.is_lasting();
        self.seen.lock().failures += 1;
        self.raise(format!(
            "{}; the journal is in memory only, and a restart would lose what is new in it. It is \
             tried again every {} s",
            error.told(&self.path),
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
