//! `cargo xtask test`: lints, host tests, lab tests, and one line that sums them up.

use std::time::Instant;

use anyhow::bail;

use crate::lint;
use crate::setup;
use crate::suite::{self, Tally};
use crate::ui::{self, Steps};
use crate::workspace::{Workspace, is_root};

pub(crate) fn run(workspace: &Workspace, filter: Option<&str>, lab: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let toolchain = setup::run(workspace)?;
    let run_lab = lab && is_root();

    // A filter is for the one test somebody works on.
    let lints = if filter.is_none() { 4 } else { 0 };
    let mut steps = Steps::new(lints + 1 + usize::from(run_lab));
    if filter.is_none() {
        lint::code(workspace, toolchain.as_ref(), &mut steps)?;
        lint::dependencies(workspace, steps.next("licences, sources, bans"))?;
    }

    let mut tally = Tally::default();
    let mut host = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    host.args(["--exclude", "tftp-edge-tests"]);
    host.args(filter.map(|filter| ["--", filter]).into_iter().flatten());
    tally.add(suite::run(&mut host, steps.next("host tests"))?);

    if run_lab {
        // They share the machine's processors and measure time, so one at a time.
        let mut lab = workspace.cargo(&["test", "--package", "tftp-edge-tests"]);
        lab.args(["--no-fail-fast", "--", "--test-threads=1"])
            .args(filter);
        tally.add(suite::run(&mut lab, steps.next("lab tests"))?);
    } else {
        let why = if lab { "they need root" } else { "--no-lab" };
        ui::note(&format!("lab tests left out: {why}"));
    }

    ui::note(&format!("took {}", ui::seconds(started.elapsed())));
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        bail!("{} tests failed", tally.failed);
    }
    Ok(())
}
