//! `cargo xtask lint`: every warning is an error.

use std::process::Command;

use anyhow::Context as _;

use crate::setup::{self, bpf};
use crate::toolchain::{self, Core, Toolchain};
use crate::ui::{Step, Steps};
use crate::workspace::Workspace;

/// The version `deny.toml` is written for.
const CARGO_DENY: &str = "cargo-deny@0.20.2";

/// The packages whose binaries are BPF objects. Their libraries are checked along with them.
const BPF_PACKAGES: &[&str] = &["tftp-ebpf", "tftp-lab-ebpf"];

pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let toolchain = setup::run(workspace)?;
    let mut steps = Steps::new(6);
    code(workspace, toolchain.as_ref(), &mut steps)?;
    documentation(workspace, steps.next("rustdoc"))?;
    dependencies(workspace, steps.next("licences, sources, bans"))?;
    advisories(workspace, steps.next("advisories"))
}

/// The three steps about code, which `test` runs too.
pub(crate) fn code(
    workspace: &Workspace,
    toolchain: Option<&Toolchain>,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let step = steps.next("rustfmt");
    if installed(workspace, "fmt") {
        step.run(&mut workspace.cargo(&["fmt", "--all", "--check"]))
            .context("run `cargo fmt --all`")?;
        step.done("formatted");
    } else {
        step.warn("not checked: no rustfmt");
    }

    let step = steps.next("clippy");
    if installed(workspace, "clippy") {
        step.doing("every crate");
        let mut clippy = workspace.cargo(&["clippy", "--workspace", "--all-targets"]);
        step.run(clippy.args(["--", "-Dwarnings"]))?;
        step.done("no warnings");
    } else {
        step.warn("not checked: no clippy");
    }

    kernel_program(workspace, toolchain, steps.next("kernel program"))
}

/// Whether this cargo has the subcommand: setup cannot always install it.
fn installed(workspace: &Workspace, subcommand: &str) -> bool {
    setup::tools::answers(&mut workspace.cargo(&[subcommand, "--version"]))
}

/// The kernel program for the target it runs on.
///
/// Its modules that name BPF helpers exist there alone, so clippy over the host's build never sees
/// them. That takes the BPF compiler's own clippy; where it has none, rustc's warnings.
fn kernel_program(
    workspace: &Workspace,
    toolchain: Option<&Toolchain>,
    step: Step,
) -> anyhow::Result<()> {
    let Some(toolchain) = toolchain else {
        step.warn("not checked for BPF: no toolchain; its rules were checked as host code");
        return Ok(());
    };
    let compiler = &toolchain.compiler;
    let clippy = setup::tools::answers(compiler.clippy().arg("--version"));
    let lints = if clippy { "clippy" } else { "rustc" };
    step.doing(&format!("{lints} for {}", toolchain::bpf_target()));

    let arch = std::env::consts::ARCH;
    let mut flags = format!("--cfg=bpf_target_arch=\"{arch}\"");
    let mut cargo = if clippy {
        compiler.clippy()
    } else {
        compiler.command("cargo")
    };
    if !clippy {
        cargo.arg("check");
    }
    cargo
        .arg("--bins")
        .args(
            BPF_PACKAGES
                .iter()
                .flat_map(|package| ["--package", package]),
        )
        .args(["--target", toolchain::bpf_target(), "--target-dir"])
        .arg(workspace.target.join("bpf-lint"))
        .current_dir(&workspace.root);
    if compiler.core == Core::FromSource {
        cargo.args(["-Z", "build-std=core"]);
    }
    if clippy {
        cargo.args(["--", "-Dwarnings"]);
    } else {
        flags.push_str("\x1f-Dwarnings");
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    if let Some(bootstrap) = compiler.bootstrap() {
        cargo.env("RUSTC_BOOTSTRAP", bootstrap);
    }
    step.run(&mut cargo)?;
    step.done(&format!(
        "no warnings from {lints} for {}",
        toolchain::bpf_target()
    ));
    Ok(())
}

fn documentation(workspace: &Workspace, step: Step) -> anyhow::Result<()> {
    step.doing("cargo doc");
    let mut cargo = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
    step.run(cargo.env("RUSTDOCFLAGS", "-Dwarnings"))?;
    step.done("no warnings");
    Ok(())
}

/// What of `deny.toml` needs nothing from outside: `test` runs it too, because CI runs no more than
/// `test`, and a dependency's licence is easiest to refuse on the day it comes in.
///
/// The first run builds cargo-deny, three minutes on two cores. A machine that cannot is told so.
pub(crate) fn dependencies(workspace: &Workspace, step: Step) -> anyhow::Result<()> {
    if workspace.tool("cargo-deny").is_none() {
        step.doing(&format!("building {CARGO_DENY}, about three minutes, once"));
        if let Err(error) = bpf::cargo_install(workspace, CARGO_DENY, &[], None, &step) {
            step.warn(&format!("not checked: {error:#}"));
            return Ok(());
        }
    }
    step.run(&mut deny(workspace, &["bans", "licenses", "sources"]))?;
    step.done("as deny.toml allows");
    Ok(())
}

/// Known vulnerabilities and yanked versions, if their database can be fetched.
fn advisories(workspace: &Workspace, step: Step) -> anyhow::Result<()> {
    if workspace.tool("cargo-deny").is_none() {
        step.warn("not checked: no cargo-deny");
        return Ok(());
    }
    step.doing("fetching the advisory database");
    let fetched = step.run(
        workspace
            .cargo(&["deny", "fetch", "db"])
            .env("GIT_TERMINAL_PROMPT", "0"),
    );
    if let Err(error) = fetched {
        let error = format!("{error:#}");
        let reason = error.lines().last().unwrap_or_default().trim();
        step.warn(&format!(
            "not checked: the advisory database cannot be fetched ({reason})"
        ));
        return Ok(());
    }
    step.run(&mut deny(workspace, &["advisories"]))?;
    step.done("none against our dependencies");
    Ok(())
}

fn deny(workspace: &Workspace, checks: &[&str]) -> Command {
    let mut cargo = workspace.cargo(&["deny", "--workspace", "--all-features"]);
    cargo.args(["check", "--hide-inclusion-graph"]);
    cargo.args(checks);
    cargo
}
