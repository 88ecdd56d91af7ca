//! What status tells of the journal.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::size;
use crate::ops::sources::Reading;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Journal {
    pub phones: u64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    /// Events that the kernel program had no room to tell.
    pub lost: u64,
    /// Phones in the file, and those that it has an older state of.
    pub saved: u64,
    pub waiting: u64,
    /// The file cannot be used at the moment.
    pub is_failing: bool,
}

impl Journal {
    pub(super) fn new(reading: &Reading) -> Self {
        let (counts, store) = (&reading.overview.journal, &reading.journal);
        Self {
            phones: counts.phones,
            memory_bytes: counts.bytes,
            memory_limit_bytes: counts.bytes_limit,
            lost: counts.lost,
            saved: store.saved,
            waiting: store.waiting,
            is_failing: store.is_failing,
        }
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (size(self.memory_bytes), size(self.memory_limit_bytes));
        write!(out, "journal: {} phones, {used} of {limit}", self.phones)?;
        match self.is_failing {
            true => write!(out, "; in memory only")?,
            false => write!(out, "; {} saved, {} waiting", self.saved, self.waiting)?,
        }
        match self.lost {
            0 => writeln!(out),
            lost => writeln!(out, "; {lost} events lost"),
        }
    }
}
