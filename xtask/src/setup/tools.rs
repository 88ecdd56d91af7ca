//! What the tests, `lint` and `package` call: TFTP clients, SIPp, capture tools, a browser,
//! Prometheus, Debian's tools for packages, shells, clippy and rustfmt.

use std::fs;
use std::process::Command;

use anyhow::Context as _;

use super::apt;
use crate::toolchain::{SYSTEM, Toolchain};
use crate::ui::Step;
use crate::workspace::{Workspace, on_path};

/// The Debian package of each program the tests call.
const PROGRAMS: [(&str, &str); 21] = [
    ("tftp", "tftp-hpa"),
    ("atftp", "atftp"),
    ("busybox", "busybox"),
    ("curl", "curl"),
    ("tshark", "tshark"),
    ("tcpdump", "tcpdump"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("dnsmasq", "dnsmasq-base"),
    ("bpftool", "bpftool"),
    ("sipp", "sip-tester"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    // For the Debian package: what makes it, and what its tests ask.
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("strip", "binutils"),
    ("lintian", "lintian"),
    ("man", "man-db"),
    ("strace", "strace"),
    ("faketime", "faketime"),
    ("zsh", "zsh"),
    ("fish", "fish"),
];

/// The programs of [`PROGRAMS`], whoever installed them.
pub(crate) fn programs(step: Step, installed: &mut bool) {
    let missing: Vec<_> = PROGRAMS
        .into_iter()
        .filter(|(program, _)| on_path(program).is_none())
        .collect();
    if missing.is_empty() {
        step.done(&format!(
            "already there: {}",
            PROGRAMS.map(|(program, _)| program).join(" ")
        ));
        return;
    }
    let (programs, packages): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
    if !apt::available() {
        step.warn(&format!(
            "missing; install with your package manager: {}",
            programs.join(" ")
        ));
        return;
    }
    match apt::install(&packages, &step) {
        Ok(()) => {
            *installed = true;
            step.done(&format!("installed: {}", packages.join(" ")));
        }
        Err(error) => step.warn(&format!("{error:#}")),
    }
}

/// Prometheus and promtool, out of Debian's package: installing that would start a server.
pub(crate) fn prometheus(workspace: &Workspace, step: Step, installed: &mut bool) {
    const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];
    let is_missing = |program: &&str| {
        let found = workspace.tool(program).or_else(|| on_path(program));
        found.is_none()
    };
    let missing: Vec<_> = PROGRAMS.into_iter().filter(is_missing).collect();
    if missing.is_empty() {
        step.done(&format!("already there: {}", PROGRAMS.join(" ")));
        return;
    }
    if !apt::available() {
        let missing = missing.join(" ");
        step.warn(&format!(
            "missing; take from https://prometheus.io/download: {missing}"
        ));
        return;
    }
    let unpacked = workspace.tools.join("prometheus");
    let result = apt::unpack(&["prometheus"], &unpacked, &step).and_then(|()| {
        for program in &missing {
            let packed = unpacked.join("usr/bin").join(program);
            fs::copy(packed, workspace.bin().join(program))
                .with_context(|| format!("{program} is not where the package used to have it"))?;
        }
        Ok(())
    });
    // The rest of the package, its pages and libraries of scripts, is of no use here.
    let _ = fs::remove_dir_all(&unpacked);
    match result {
        Ok(()) => {
            *installed = true;
            step.done("unpacked from Debian's package");
        }
        Err(error) => step.warn(&format!("{error:#}")),
    }
}

/// clippy and rustfmt for the host, and the BPF compiler's own clippy.
pub(crate) fn lints(toolchain: Option<&Toolchain>, step: Step, installed: &mut bool) {
    match install_lints(toolchain, &step) {
        Ok(false) => step.done("already there: rustfmt, clippy, clippy for BPF"),
        Ok(true) => {
            *installed = true;
            step.done("installed");
        }
        Err(error) => step.warn(&format!("{error:#}")),
    }
}

fn install_lints(toolchain: Option<&Toolchain>, step: &Step) -> anyhow::Result<bool> {
    let mut installed = false;
    for (program, component, package) in [
        ("clippy", "clippy", "rust-web-clippy"),
        ("fmt", "rustfmt", "rustfmt-web"),
    ] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        if answers(Command::new(cargo).args([program, "--version"])) {
            continue;
        }
        step.doing(component);
        if on_path("rustup").is_some() {
            step.run(Command::new("rustup").args(["component", "add", component]))?;
        } else {
            apt::install(&[package], step)?;
        }
        installed = true;
    }
    let Some(toolchain) = toolchain else {
        return Ok(installed);
    };
    if !answers(toolchain.compiler.clippy().arg("--version")) {
        let name = &toolchain.compiler.name;
        step.doing(&format!("clippy of `{name}`"));
        if name == SYSTEM && apt::available() {
            apt::install(&["rust-web-clippy"], step)?;
        } else {
            let mut rustup = Command::new("rustup");
            step.run(rustup.args(["component", "add", "clippy", "--toolchain", name]))?;
        }
        installed = true;
    }
    Ok(installed)
}

/// Whether a command runs and succeeds.
pub(crate) fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
