//! Tests that cannot run here: each is seen to have been left out, and why.

use std::io::Write as _;

use anyhow::Result;

use super::{LabPrograms, is_root};

/// Says that the running test is left out. Past the capture of the test harness, which shows what a
/// macro prints of failed tests alone.
pub fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}

/// Runs the test if it can run, and says so if not.
pub fn with_root(needs_programs: bool, test: impl FnOnce() -> Result<()>) {
    if !is_root() {
        return skipped("network namespaces need root");
    }
    if needs_programs && let Some(missing) = LabPrograms::unavailable() {
        return skipped(missing);
    }
    if let Err(error) = test() {
        panic!("{error:?}");
    }
}
