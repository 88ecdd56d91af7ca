//! What a daemon holds, and whether it grows.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tftp_edge::kernel::BoundedMap;

use crate::demo::Metrics;

/// One thing that a daemon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    MemoryBytes,
    Descriptors,
    Threads,
    MapEntries,
    SlabBytes,
    DatabaseBytes,
}

impl What {
    pub const ALL: [Self; 6] = [
        Self::MemoryBytes,
        Self::Descriptors,
        Self::Threads,
        Self::MapEntries,
        Self::SlabBytes,
        Self::DatabaseBytes,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MemoryBytes => "resident memory, bytes",
            Self::Descriptors => "descriptors",
            Self::Threads => "threads",
            Self::MapEntries => "entries of kernel maps",
            Self::SlabBytes => "slabs in the kernel, bytes",
            Self::DatabaseBytes => "databases and their logs, bytes",
        }
    }

    /// What the last third of a run may hold more than the middle one did: a share, and an amount.
    ///
    /// The content is the same all the time, so its slabs do not grow at all. Memory comes in pages
    /// that an allocator keeps, and a round that has more under way at one moment than any before
    /// keeps a few more. Connections that are being closed have descriptors, and two sources of a map
    /// may be told apart late. A database grows by pages, and its log up to the next checkpoint.
    const fn allowance(self) -> (f64, f64) {
        match self {
            Self::MemoryBytes => (0.03, 2e6),
            Self::Descriptors => (0.0, 16.0),
            Self::Threads => (0.0, 2.0),
            Self::MapEntries => (0.02, 64.0),
            Self::SlabBytes => (0.0, 0.0),
            Self::DatabaseBytes => (0.05, 1e6),
        }
    }
}

/// What was held at one moment, in the order of [`What::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    held: [f64; What::ALL.len()],
}

impl Sample {
    /// Of a daemon with this number, its metrics, and the folder of its databases.
    pub fn take(pid: u32, metrics: &Metrics, folder: &Path) -> Result<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let entries = |name: &str| -> Result<f64> {
            let path = process.join(name);
            let listed = fs::read_dir(&path).with_context(|| path.display().to_string())?;
            Ok(listed.count() as f64)
        };
        let in_map =
            |map: &BoundedMap| metrics.sum("tftp_edge_xdp_map_entries", &[("map", map.as_str())]);
        Ok(Self {
            held: [
                metrics.sum("process_resident_memory_bytes", &[]),
                entries("fd")?,
                entries("task")?,
                BoundedMap::ALL.iter().map(in_map).sum(),
                metrics.sum("tftp_edge_xdp_slab_bytes", &[]),
                databases(folder)?,
            ],
        })
    }

    pub fn of(&self, what: What) -> f64 {
        self.held[what as usize]
    }

    #[cfg(test)]
    fn all(value: f64) -> Self {
        Self {
            held: [value; What::ALL.len()],
        }
    }
}

/// Bytes of the databases in a folder, with what is not yet written to them.
fn databases(folder: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if [".db", ".sqlite", "-wal"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes as f64)
}

/// One thing over a whole run: the means of its thirds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Course {
    pub what: What,
    pub thirds: [f64; 3],
    /// The most that the last third may have.
    pub allowed: f64,
}

impl Course {
    /// Of at least three samples, in the order they were taken.
    pub fn of(what: What, samples: &[Sample]) -> Self {
        let third = samples.len() / 3;
        let (first, rest) = samples.split_at(third);
        let (middle, last) = rest.split_at(rest.len() - third);
        let mean = |part: &[Sample]| {
            let sum: f64 = part.iter().map(|sample| sample.of(what)).sum();
            sum / part.len().max(1) as f64
        };
        let thirds = [first, middle, last].map(mean);
        let (share, amount) = what.allowance();
        Self {
            what,
            thirds,
            allowed: thirds[1] * (1.0 + share) + amount,
        }
    }

    /// A daemon that holds less than before is no worse.
    pub fn is_flat(&self) -> bool {
        self.thirds[2] <= self.allowed
    }
}

impl fmt::Display for Course {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, middle, last] = self.thirds;
        let verdict = if self.is_flat() { "flat" } else { "GROWS" };
        write!(
            to,
            "{:<34}{first:>14.0}{middle:>14.0}{last:>14.0}{:>14.0}  {verdict}",
            self.what.as_str(),
            self.allowed
        )
    }
}

/// The head over [`Course`]s.
pub const HEAD: [&str; 5] = ["", "first third", "middle", "last third", "allowed"];

#[cfg(test)]
mod tests {
    use super::*;

    fn courses(values: &[f64]) -> Vec<Course> {
        let samples: Vec<_> = values.iter().copied().map(Sample::all).collect();
        let of = |what| Course::of(what, &samples);
        What::ALL.into_iter().map(of).collect()
    }

    #[test]
    fn what_grows_at_the_beginning_alone_is_flat() {
        let courses = courses(&[1e6, 50e6, 100e6, 100e6, 100e6, 100e6, 100e6, 99e6, 100e6]);
        assert!(courses.iter().all(Course::is_flat), "{courses:#?}");
    }

    #[test]
    fn what_grows_to_the_end_is_not() {
        let growing: Vec<f64> = (0..9).map(|at| 100e6 + 5e6 * f64::from(at)).collect();
        let courses = courses(&growing);
        assert!(!courses.iter().any(Course::is_flat), "{courses:#?}");
    }

    #[test]
    fn content_that_stays_takes_no_byte_more() {
        let courses = courses(&[1e6, 1e6, 1e6 + 1.0]);
        let flat = |what| courses.iter().any(|it| it.what == what && it.is_flat());
        assert!(!flat(What::SlabBytes) && flat(What::MemoryBytes));
    }
}
