//! `cargo xtask demo`, `storm` and `bench`: release builds, then the lab takes over.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::setup;
use crate::toolchain;
use crate::ui::{self, Steps};
use crate::workspace::Workspace;

/// Builds the daemon and the lab, and becomes `tftp-edge-lab <what>`.
pub(crate) fn run(workspace: &Workspace, what: &str, args: &[String]) -> anyhow::Result<()> {
    setup::run(workspace)?;

    let mut steps = Steps::new(1);
    let step = steps.next("release build of daemon and lab");
    step.doing("cargo build --release");
    step.run(&mut workspace.cargo(&[
        "build",
        "--release",
        "--package",
        "tftp-edge",
        "--package",
        "tftp-edge-tests",
        "--bins",
    ]))?;
    step.done("ready");

    let release = workspace.target.join("release");
    let mut lab = Command::new(release.join("tftp-edge-lab"));
    lab.arg(what)
        .arg("--daemon")
        .arg(release.join("tftp-edge"))
        .args(args)
        .env("PATH", toolchain::path_with(&workspace.bin()));
    // Replaced, not spawned: Ctrl-C then reaches the lab alone, which cleans up after itself.
    Err(lab.exec()).with_context(|| format!("cannot start `{}`", ui::shown(&lab)))
}
