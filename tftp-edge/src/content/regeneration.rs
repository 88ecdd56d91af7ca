//! How often files were generated anew, how many, and how long it took.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tftp_ebpf::stage::Stage;

use crate::stats::{LOG2_BUCKETS, log2_bucket};

/// Why files were generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The daemon started.
    Start,
    /// The inventory was seen to be another one. Several commits within a tenth of a second are seen
    /// as one.
    Inventory,
    /// The folder of templates was.
    Templates,
}

impl Cause {
    pub const COUNT: usize = 3;
    pub const ALL: [Self; Self::COUNT] = [Self::Start, Self::Inventory, Self::Templates];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Inventory => "inventory",
            Self::Templates => "templates",
        }
    }
}

/// All runs since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Regenerations {
    /// By [`Cause`].
    pub runs: [u64; Cause::COUNT],
    /// Files that became other ones, by [`Stage`]; those of the last run too.
    pub files: [u64; Stage::COUNT],
    pub last_files: [u64; Stage::COUNT],
    /// Microseconds of each run, from hearing of the change to the last listener having taken it.
    pub took_us: [u64; LOG2_BUCKETS],
    pub took_us_sum: u64,
}

impl Regenerations {
    /// Notes one run: the names whose content is another one now.
    pub(super) fn note(&mut self, cause: Cause, names: &[Arc<str>], took: Duration) {
        self.runs[cause as usize] += 1;
        self.last_files = [0; Stage::COUNT];
        for name in names {
            self.last_files[Stage::of_name(name.as_bytes()) as usize] += 1;
        }
        for (all, last) in self.files.iter_mut().zip(self.last_files) {
            *all += last;
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.took_us[log2_bucket(us)] += 1;
        self.took_us_sum = self.took_us_sum.saturating_add(us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_run_is_told_beside_all_of_them() {
        let names =
            |names: &[&str]| -> Vec<Arc<str>> { names.iter().map(|&it| it.into()).collect() };
        let mut runs = Regenerations::default();
        let first = names(&[
            "sep001122334455.cnf.xml",
            "sep001122334456.cnf.xml",
            "sk1.xml",
        ]);
        runs.note(Cause::Start, &first, Duration::from_micros(300));
        let second = names(&["sep001122334455.cnf.xml"]);
        runs.note(Cause::Inventory, &second, Duration::from_micros(40));
        assert_eq!(runs.runs, [1, 1, 0]);
        let of = |files: &[u64], stage| files[stage as usize];
        assert_eq!(of(&runs.files, Stage::Config), 3);
        assert_eq!(of(&runs.files, Stage::SoftKeys), 1);
        assert_eq!(of(&runs.last_files, Stage::Config), 1);
        assert_eq!(of(&runs.last_files, Stage::SoftKeys), 0);
        assert_eq!(
            (runs.took_us_sum, runs.took_us.iter().sum::<u64>()),
            (340, 2)
        );
    }
}
