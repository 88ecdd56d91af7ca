//! `cargo xtask test`: lints, host tests, lab tests, and one line that sums them up.

use std::thread;
use std::time::Instant;

use anyhow::bail;

use crate::lint;
use crate::package;
use crate::setup;
use crate::suite::{self, Tally};
use crate::ui::{self, Steps};
use crate::workspace::{Workspace, is_root};

/// The package with the lab and the end-to-end tests.
const LAB: &str = "tftp-edge-tests";
/// Names the daemon to the lab's tests, which start it as a process.
const DAEMON_VARIABLE: &str = "TFTP_EDGE_DAEMON";

pub(crate) fn run(workspace: &Workspace, filter: Option<&str>, lab: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let toolchain = setup::run(workspace)?;
    let run_lab = lab && is_root();

    // A filter is for the one test somebody works on.
    let lints = if filter.is_none() { 4 } else { 0 };
    // Packing takes longer than most tests.
    let run_package = run_lab && filter.is_none_or(|filter| filter.starts_with(package::NAME));
    let lab_steps = if run_lab { 3 } else { 2 };
    let package_steps = if run_package { 2 } else { 0 };
    let mut steps = Steps::new(lints + lab_steps + package_steps);
    if filter.is_none() {
        lint::code(workspace, toolchain.as_ref(), &mut steps)?;
        lint::dependencies(workspace, steps.next("licences, sources, bans"))?;
    }

    let mut tally = Tally::default();
    let mut host = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    host.args(["--exclude", LAB, "--exclude", package::TESTS]);
    host.args(filter);
    tally.add(suite::run(&mut host, steps.next("host tests"))?);

    if run_lab {
        let step = steps.next("daemon for the lab");
        step.doing("cargo build");
        step.run(&mut workspace.cargo(&["build", "--package", "tftp-edge"]))?;
        step.done("built");

        // Each has namespaces of its own.
        let mut lab = workspace.cargo(&["test", "--package", LAB, "--no-fail-fast"]);
        lab.args(filter).arg("--");
        lab.arg(format!("--test-threads={}", at_once()));
        lab.env(DAEMON_VARIABLE, workspace.target.join("debug/tftp-edge"));
        tally.add(suite::run(&mut lab, steps.next("lab tests"))?);
    } else {
        let mut units = workspace.cargo(&["test", "--package", LAB, "--no-fail-fast"]);
        units.args(["--lib", "--bins"]).args(filter);
        tally.add(suite::run(&mut units, steps.next("the lab's own tests"))?);
        let why = if lab { "they need root" } else { "--no-lab" };
        ui::note(&format!(
            "tests end to end and of the package left out: {why}"
        ));
    }
    if run_package {
        tally.add(package::test(workspace, filter, &mut steps)?);
    }

    ui::note(&format!("took {}", ui::seconds(started.elapsed())));
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        bail!("tests failed: {}", tally.failed);
    }
    Ok(())
}

/// How many of the lab's tests run at one time. Each starts a daemon and simulated phones, and waits
/// for half of its time: one more than there are processors keeps these at work.
fn at_once() -> usize {
    const MOST: usize = 4;
    thread::available_parallelism().map_or(1, |it| (it.get() + 1).min(MOST))
}
