//! The journal outlives a restart: it is written behind into SQLite.
//!
//! Nothing waits for the disk. The journal notes which phones the file has an older state of, and a
//! thread writes the last state of each every two seconds. However much happened to a phone in
//! between, it is one row.
//!
//! What happens while no daemon runs is not seen by anybody: from the last time that something was
//! written to the start of the next daemon the journal has a [`Gap`](super::Gap).
//!
//! A file that is damaged, of a newer version or no journal at all is set aside, and a new one
//! begun. One that is locked or on a full disk is tried again every 30 seconds; until then the
//! journal is in memory only, and what changed is kept for the file. There is an alarm in each case.
//!
//! A phone that nothing was heard of for `keep_days` is deleted.

mod database;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use self::writer::Writer;
use super::{Journal, Settings};
use crate::alarms::Alarms;
use crate::live::Live;
use crate::turns::{Turn, Turns};

/// How often it is looked whether there is something to write.
const TURN: Duration = Duration::from_millis(250);

/// The store at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Phones in the file.
    pub saved: u64,
    /// Phones of which the file has an older state, or none.
    pub waiting: u64,
    /// The longest that one of them can have waited.
    pub oldest_waiting: Duration,
    /// Transactions, and the phones in them, since the start.
    pub flushes: u64,
    pub rows: u64,
    /// How often the file could not be opened, read or written.
    pub failures: u64,
    /// It cannot be used at the moment: the journal is in memory only.
    pub is_failing: bool,
    /// Of the file.
    pub size_bytes: u64,
    /// Phones put back at the start, and rows that could not be read.
    pub restored: u64,
    pub unreadable: u64,
}

/// The thread that writes. Dropping it writes what is left.
pub struct Store {
    seen: Arc<Mutex<Snapshot>>,
    turns: Turns,
}

impl Store {
    /// Puts back what the file has, and goes on writing to it. Before anything is told.
    pub fn start(
        path: PathBuf,
        settings: Live<Settings>,
        journal: Arc<Journal>,
        alarms: Arc<Alarms>,
    ) -> io::Result<Self> {
        let now = (Instant::now(), SystemTime::now());
        let mut writer = Writer::restore(path, settings, journal, alarms, now);
        let seen = writer.seen();
        let turns = Turns::start("journal-store", TURN, move |turn| {
            let (now, wall) = (Instant::now(), SystemTime::now());
            match turn {
                Turn::Next => writer.turn(now, wall),
                Turn::Last => writer.finish(now, wall),
            }
        })?;
        Ok(Self { seen, turns })
    }

    pub fn snapshot(&self) -> Snapshot {
        *self.seen.lock()
    }

    /// Whether the thread has ended by itself, which only a panic makes it do.
    pub fn has_ended(&self) -> bool {
        self.turns.has_ended()
    }
}
