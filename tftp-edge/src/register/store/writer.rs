//! What the thread of the store does at each turn.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::database::{Database, DatabaseError, State, Stored};
use super::{Dropped, Snapshot};
use crate::alarms::{AlarmKind, Alarms};
use crate::clock::Reading;
use crate::register::{Registration, SHARDS, Table};
use crate::stats::log2_bucket;
use crate::storage::{Opening, open_or_set_aside};

/// The longest that a change waits for its transaction.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Changes that do not wait for it.
const FLUSH_AT: usize = 10_000;

/// Between two attempts to get a file that could not be used.
const RETRY: Duration = Duration::from_secs(30);

/// NTP slews less than this; what it sets at once is more.
const CLOCK_WAS_SET: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    path: PathBuf,
    table: Arc<Table>,
    alarms: Arc<Alarms>,
    database: Option<Database>,
    /// The file was damaged when it was used last, though it may open and read well.
    is_damaged: bool,
    /// When everything was written last, or when writing began to fail.
    written: Instant,
    tried: Instant,
    /// By which the file has its times.
    clocks: Reading,
    seen: Arc<Mutex<Snapshot>>,
}

impl Writer {
    /// Opens the file and puts what is in it into the table: what is not over, and still wanted.
    pub(super) fn restore(
        path: PathBuf,
        table: Arc<Table>,
        alarms: Arc<Alarms>,
        is_wanted: impl Fn(&Registration) -> bool,
        now: (Instant, Reading),
    ) -> Self {
        let mut writer = Self {
            path,
            table,
            alarms,
            database: None,
            is_damaged: false,
            written: now.0,
            tried: now.0,
            clocks: now.1,
            seen: Arc::default(),
        };
        match writer.open(now.1) {
            Err(error) => writer.fail(&error, now.0),
            Ok(Opened {
                stored, database, ..
            }) => {
                writer.database = Some(database);
                writer.table.set_store(true);
                let mut dropped = [0; Dropped::COUNT];
                dropped[Dropped::Unreadable as usize] = stored.unreadable as u64;
                for registration in stored.registrations {
                    let device = registration.device;
                    let is_over = registration.expires <= now.1.steady;
                    let is_kept =
                        !is_over && is_wanted(&registration) && writer.table.restore(registration);
                    if !is_kept {
                        let why = match is_over {
                            true => Dropped::Expired,
                            false => Dropped::Unwanted,
                        };
                        dropped[why as usize] += 1;
                        writer.table.soil(&device);
                    }
                }
                let restored = writer.table.len() as u64;
                let dropped = {
                    let mut seen = writer.seen.lock();
                    (seen.restored, seen.dropped) = (restored, dropped);
                    seen.dropped()
                };
                tracing::info!(
                    event = "registrations.restored",
                    restored,
                    dropped,
                    "registrations of the last run"
                );
                if stored.unreadable > 0 {
                    writer.write_everything(now);
                }
            }
        }
        writer
    }

    /// A file that can never be used makes way for a new one.
    fn open(&mut self, clocks: Reading) -> Result<Opened, DatabaseError> {
        let opening = open_or_set_aside(
            &self.path,
            self.is_damaged,
            || Opened::open(&self.path, false, clocks),
            |error| error.is_lasting().then(|| error.told(&self.path)),
        )?;
        let told = match opening {
            Opening::Opened(opened) => return Ok(opened),
            Opening::SetAside(told) => told,
        };
        self.is_damaged = false;
        self.seen.lock().failures += 1;
        self.raise(format!(
            "{told}: who was registered before a restart registers as new. Delete it, or \
             move it back for the version it is of"
        ));
        Opened::open(&self.path, true, clocks)
    }

    pub(super) fn seen(&self) -> Arc<Mutex<Snapshot>> {
        Arc::clone(&self.seen)
    }

    /// Writes what has waited long enough, or all that waits if it is much.
    /// When the clock was set, all times in the file are wrong.
    pub(super) fn turn(&mut self, now: Instant, clocks: Reading) {
        if self.database.is_none() && now.duration_since(self.tried) >= RETRY {
            self.reopen((now, clocks));
        }
        if clocks.set_by(&self.clocks) >= CLOCK_WAS_SET {
            tracing::info!(
                event = "registrations.clock_set",
                "the clock was set: registrations go on, and are written anew with its time"
            );
            self.clocks = clocks;
            self.write_everything((now, clocks));
        }
        let waiting = self.table.dirt();
        let is_due = now.duration_since(self.written) >= FLUSH_WITHIN || waiting >= FLUSH_AT;
        if self.database.is_some() && is_due {
            self.flush(now, clocks);
        }
        let mut seen = self.seen.lock();
        seen.is_failing = self.database.is_none();
        seen.pending = match self.database {
            Some(_) => self.table.dirt() as u64,
            None => self.table.len() as u64,
        };
        seen.oldest_pending = match seen.pending {
            0 => Duration::ZERO,
            _ => now.duration_since(self.written),
        };
    }

    /// Writes all that waits.
    pub(super) fn flush(&mut self, now: Instant, clocks: Reading) {
        let Some(database) = &mut self.database else {
            return;
        };
        let states: Vec<State> = (0..SHARDS)
            .flat_map(|at| self.table.take_dirt(at))
            .collect();
        if states.is_empty() {
            self.written = now;
            return;
        }
        let began = Instant::now();
        match database.write(&states, clocks) {
            Ok(()) => self.wrote(states.len() as u64, began.elapsed(), now),
            // What was taken is not in the file: the next one that can be used gets everything.
            Err(error) => self.fail(&error, now),
        }
    }

    fn reopen(&mut self, now: (Instant, Reading)) {
        self.tried = now.0;
        match self.open(now.1) {
            Ok(Opened {
                database, is_new, ..
            }) => {
                self.database = Some(database);
                // Before the table is read: what changes meanwhile is written after it.
                self.table.set_store(true);
                self.write_everything(now);
                // That one was set aside is told until somebody has looked.
                if self.database.is_some() && !is_new {
                    let subject = self.path.display().to_string();
                    self.alarms.clear(AlarmKind::RegistrationStore, &subject);
                }
            }
            Err(error) => self.fail(&error, now.0),
        }
    }

    fn write_everything(&mut self, (now, clocks): (Instant, Reading)) {
        let Some(database) = &mut self.database else {
            return;
        };
        let pages = (0..).map_while(|at| self.table.page(at));
        let began = Instant::now();
        match database.replace(pages, clocks) {
            Ok(rows) => self.wrote(rows, began.elapsed(), now),
            Err(error) => self.fail(&error, now),
        }
    }

    fn wrote(&mut self, rows: u64, took: Duration, now: Instant) {
        self.written = now;
        let mut seen = self.seen.lock();
        seen.flushes += 1;
        seen.rows += rows;
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        seen.took_us[log2_bucket(us)] += 1;
        seen.took_us_sum = seen.took_us_sum.saturating_add(us);
    }

    /// Goes on in memory alone.
    fn fail(&mut self, error: &DatabaseError, now: Instant) {
        self.database = None;
        self.tried = now;
        self.table.set_store(false);
        self.is_damaged |= error.is_lasting();
        self.seen.lock().failures += 1;
        self.raise(format!(
            "{}; registrations are in memory only, and a restart would lose them. It is tried again \
             every {} s",
            error.told(&self.path),
            RETRY.as_secs()
        ));
    }

    fn raise(&self, problem: String) {
        let subject = self.path.display().to_string();
        self.alarms
            .raise(AlarmKind::RegistrationStore, &subject, problem);
    }
}

struct Opened {
    database: Database,
    stored: Stored,
    /// The one before was set aside.
    is_new: bool,
}

impl Opened {
    fn open(path: &Path, is_new: bool, clocks: Reading) -> Result<Self, DatabaseError> {
        let database = Database::open(path)?;
        let stored = database.read(clocks)?;
        Ok(Self {
            database,
            stored,
            is_new,
        })
    }
}
