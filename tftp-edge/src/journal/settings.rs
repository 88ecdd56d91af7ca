//! `[journal]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::content::ByteSize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Boots that are kept of each phone, the present one included.
    pub boots: usize,
    /// Entries that are kept of each boot.
    pub entries: usize,
    /// What all of it may take in memory: then the oldest boots go first.
    pub memory_limit: ByteSize,
    /// Where it is saved; beside the inventory if it is empty.
    pub database: PathBuf,
    /// Days after the last sign of life for which a phone is kept.
    pub keep_days: u32,
    /// A phone that stays at one stage of its boot for so long may be stuck; longer where others of
    /// its model take longer.
    pub stuck_after_s: u64,
    /// The same for the stage in which it fetches firmware.
    pub stuck_in_firmware_after_s: u64,
    /// A phone that nothing was ever heard of is missed when others of its site are heard of for so
    /// long.
    pub silent_after_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            boots: 4,
            entries: 64,
            // Room for 100,000 phones, each with a boot of 14 entries, and some of them with more.
            memory_limit: ByteSize(256 << 20),
            database: PathBuf::new(),
            keep_days: 30,
            stuck_after_s: 30,
            stuck_in_firmware_after_s: 600,
            silent_after_s: 300,
        }
    }
}

impl Settings {
    /// Where it is saved, given where the inventory is.
    pub fn database_beside(&self, inventory: &Path) -> PathBuf {
        match self.database.as_os_str().is_empty() {
            true => inventory.with_file_name("journal.db"),
            false => self.database.clone(),
        }
    }

    /// For how long a phone is kept after its last sign of life.
    pub fn keep(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_days) * 86_400)
    }

    /// The first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if !(1..=32).contains(&self.boots) {
            let problem = format!("{} boots; choose 1 to 32", self.boots);
            return Err(("boots", problem));
        }
        if !(16..=1024).contains(&self.entries) {
            let problem = format!("{} entries; choose 16 to 1024", self.entries);
            return Err(("entries", problem));
        }
        if !(1..=3_650).contains(&self.keep_days) {
            let problem = format!("{} days; choose 1 to 3650", self.keep_days);
            return Err(("keep_days", problem));
        }
        for (key, value) in [
            ("stuck_after_s", self.stuck_after_s),
            ("stuck_in_firmware_after_s", self.stuck_in_firmware_after_s),
            ("silent_after_s", self.silent_after_s),
        ] {
            if !(1..=86_400).contains(&value) {
                return Err((key, format!("{value} seconds; choose 1 to 86400")));
            }
        }
        Ok(())
    }
}
