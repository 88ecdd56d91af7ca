//! Registrations outlive a restart: they are written behind into SQLite.
//!
//! Nothing waits for the disk. The table notes which devices the file has an older state of, and a
//! thread writes the last state of each in one transaction every two seconds, or sooner when many
//! wait. However often a device changed in between, it is one row. A refresh that only moves the
//! end is written at most once in half a lifetime: the file may say that a phone is gone up to half
//! a lifetime too early, and then it registers as new.
//!
//! After a restart, what is not over is put back before any phone is answered:
//! - SIP over UDP as it was: the phone can be reached, and refreshes when its time comes;
//! - SCCP, and SIP over TCP or TLS, as *expected*: the connection is gone and the phone has to come
//!   again. Until then, or until its time is over, it stands in the table without a connection, so
//!   that it counts as known in a storm and not as new, and cannot be told anything.
//!
//! Devices that the inventory does not have any more are left out.
//!
//! A file that is locked or on a full disk stops nobody from registering: the daemon goes on in
//! memory, raises an alarm, and tries again every 30 seconds. When the file can be used, everything is
//! written anew. A file that is damaged or of a newer version is set aside, and a new one begun.

mod database;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::writer::Writer;
use super::Desk;
use crate::clock::Reading;
use crate::stats::LOG2_BUCKETS;
use crate::turns::{Turn, Turns};

/// How often it is looked whether there is something to write.
const TURN: Duration = Duration::from_millis(250);

/// The store at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Devices of which the file has an older state, or none.
    pub pending: u64,
    /// The longest that one of them can have waited.
    pub oldest_pending: Duration,
    /// Transactions, and the rows in them, since the start.
    pub flushes: u64,
    pub rows: u64,
    /// How often the file could not be opened, read or written.
    pub failures: u64,
    /// It cannot be used at the moment: registrations are in memory only.
    pub is_failing: bool,
    /// Registrations put back at the start, and those left out, by [`Dropped`].
    pub restored: u64,
    pub dropped: [u64; Dropped::COUNT],
    /// Microseconds that transactions took.
    pub took_us: [u64; LOG2_BUCKETS],
    pub took_us_sum: u64,
}

/// Why a registration that the file has is not put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Its time was over before the daemon came back.
    Expired,
    /// The inventory does not have its device any more, or the table no room for it.
    Unwanted,
    /// It cannot be read.
    Unreadable,
}

impl Dropped {
    pub const COUNT: usize = 3;
    pub const ALL: [Self; Self::COUNT] = [Self::Expired, Self::Unwanted, Self::Unreadable];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unwanted => "unwanted",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Snapshot {
    /// For whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

/// The thread that writes. Dropping it writes what is left.
pub struct Store {
    seen: Arc<Mutex<Snapshot>>,
    turns: Turns,
}

impl Store {
    /// Puts back what the file has, and goes on writing to it.
    pub fn start(path: PathBuf, desk: &Desk) -> io::Result<Self> {
        let inventory = desk.directory.snapshot();
        let is_wanted = |it: &super::Registration| {
            let devices = inventory.as_ref().map(|it| &it.devices);
            devices.is_none_or(|devices| devices.contains_key(&it.device))
        };
        let mut writer = Writer::restore(
            path,
            Arc::clone(&desk.table),
            Arc::clone(&desk.alarms),
            is_wanted,
            (Instant::now(), Reading::now()),
        );
        let seen = writer.seen();
        let turns = Turns::start("register-store", TURN, move |turn| match turn {
            Turn::Next => writer.turn(Instant::now(), Reading::now()),
            Turn::Last => writer.flush(Instant::now(), Reading::now()),
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
