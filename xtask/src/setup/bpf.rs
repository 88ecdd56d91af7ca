//! The compiler and the linker of the kernel program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, bail};

use super::apt;
use crate::toolchain::{self, Compiler, Core, Missing, NIGHTLY, RECORD, SYSTEM, Toolchain};
use crate::ui::Step;
use crate::workspace::{Workspace, is_root, on_path};

/// Debian's compiler, its core for BPF, and what `bpf-linker` links against.
const DEBIAN: [&str; 7] = [
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
];
const DEBIAN_LLVM: &str = "/usr/lib/llvm-22";

/// The version that is built; one the user has may be any that passes the probe.
const BPF_LINKER: &str = "bpf-linker@0.13.0";

/// A compiler with a core for BPF, installed if there is none.
///
/// One that also has its linker is left as it is. Otherwise Debian's comes first where it can be
/// had: its LLVM is there to build the linker against.
pub(crate) fn compiler(
    workspace: &Workspace,
    step: Step,
    installed: &mut bool,
) -> Option<Compiler> {
    let found = match Toolchain::find(&workspace.tools) {
        Ok(toolchain) => Ok(toolchain.compiler),
        Err(_) if apt_can_serve() => Compiler::named(SYSTEM),
        Err(_) => Compiler::named(NIGHTLY),
    };
    if let Ok(compiler) = found {
        step.done(&format!("already there: {}", describe(&compiler)));
        return Some(compiler);
    }
    match install_compiler(&step) {
        Ok(compiler) => {
            *installed = true;
            step.done(&format!("installed: {}", describe(&compiler)));
            Some(compiler)
        }
        Err(error) => {
            step.warn(&format!("{error:#}"));
            None
        }
    }
}

fn install_compiler(step: &Step) -> anyhow::Result<Compiler> {
    let name = if apt_can_serve() {
        apt::install(&apt::missing(&DEBIAN), step)?;
        SYSTEM
    } else if on_path("rustup").is_some() {
        step.doing("rustup toolchain install nightly --component rust-src");
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
        step.run(rustup.args(["--component", "rust-src"]))?;
        NIGHTLY
    } else {
        bail!(
            "install rustup (https://rustup.rs), then run: \
             rustup toolchain install nightly --component rust-src"
        );
    };
    Compiler::named(name).map_err(|missing| anyhow!("installed, but: {missing}"))
}

/// Whether Debian's packages are the way: root can install them, or they are there already, or
/// there is no rustup that could do without root.
fn apt_can_serve() -> bool {
    let possible = is_root() || on_path("rustup").is_none() || apt::missing(&DEBIAN).is_empty();
    apt::available() && is_debian() && possible
}

/// Only Debian ships these packages; on its relatives, rustup is the better way.
fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release")
        .is_ok_and(|text| text.lines().any(|line| line == "ID=debian"))
}

/// A linker that reads what `compiler` writes, built into the tools folder if there is none.
pub(crate) fn linker(
    workspace: &Workspace,
    compiler: &Compiler,
    step: Step,
    installed: &mut bool,
) -> Option<PathBuf> {
    if let Some(linker) = toolchain::find_linker(&workspace.tools)
        && toolchain::probe(compiler, &linker, &workspace.tools).is_ok()
    {
        step.done(&format!("already there: {}", linker.display()));
        return Some(linker);
    }
    match install_linker(workspace, compiler, &step) {
        Ok(linker) => {
            *installed = true;
            step.done(&format!("built {BPF_LINKER}"));
            Some(linker)
        }
        Err(error) => {
            step.warn(&format!("{error:#}"));
            None
        }
    }
}

fn install_linker(
    workspace: &Workspace,
    compiler: &Compiler,
    step: &Step,
) -> anyhow::Result<PathBuf> {
    let mut extra: &[&str] = &[];
    let mut prefix = None;
    if compiler.llvm.starts_with("22.") && apt::available() && is_debian() {
        let missing = apt::missing(&DEBIAN[3..]);
        if !missing.is_empty() {
            apt::install(&missing, step)?;
        }
        extra = &["--no-default-features", "--features", "llvm-22"];
        prefix = Some(DEBIAN_LLVM);
    }
    step.doing(&format!("building {BPF_LINKER}, about three minutes"));
    cargo_install(workspace, BPF_LINKER, extra, prefix, step).context(
        "bpf-linker did not build; it needs the LLVM it links, or take a ready-made one with: \
         cargo binstall bpf-linker",
    )?;
    workspace
        .tool("bpf-linker")
        .context("cargo left no bpf-linker in the tools folder")
}

/// `cargo install` into the tools folder, leaving nothing else behind.
pub(crate) fn cargo_install(
    workspace: &Workspace,
    package: &str,
    extra: &[&str],
    llvm_prefix: Option<&str>,
    step: &Step,
) -> anyhow::Result<()> {
    let scratch = workspace.tools.join("build");
    let mut cargo = workspace.cargo(&["install", "--locked", "--force", package]);
    cargo
        .args(extra)
        .arg("--root")
        .arg(&workspace.tools)
        .arg("--target-dir")
        .arg(&scratch);
    if let Some(prefix) = llvm_prefix {
        cargo.env("LLVM_PREFIX", prefix);
    }
    let result = step.run(&mut cargo);
    // Half a gigabyte nobody needs again; what stays after a failure is only disk space.
    let _ = fs::remove_dir_all(&scratch);
    result.map(drop)
}

/// Proves the pair and records it for the build scripts.
pub(crate) fn settle(
    workspace: &Workspace,
    compiler: Option<Compiler>,
    linker: Option<PathBuf>,
    step: Step,
) -> anyhow::Result<Option<Toolchain>> {
    let found = match (compiler, linker) {
        (Some(compiler), Some(linker)) => toolchain::probe(&compiler, &linker, &workspace.tools)
            .map(|()| Toolchain { compiler, linker }),
        _ => Err(Missing::Linker),
    };
    match found {
        Ok(toolchain) => {
            record(&workspace.tools, &toolchain.compiler.name)?;
            step.done(&format!(
                "`{}` and its linker agree",
                toolchain.compiler.name
            ));
            Ok(Some(toolchain))
        }
        Err(_) => {
            step.warn("none: the daemon builds without the kernel program, and serves by sockets");
            Ok(None)
        }
    }
}

/// Writes the record only if it says something new: the daemon is rebuilt whenever it changes.
fn record(tools: &Path, name: &str) -> anyhow::Result<()> {
    let path = tools.join(RECORD);
    if toolchain::recorded(tools).as_deref() != Some(name) {
        fs::write(&path, format!("{name}\n")).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn describe(compiler: &Compiler) -> String {
    let core = match compiler.core {
        Core::Prebuilt => "with a core for BPF",
        Core::FromSource => "with rust-src",
    };
    format!(
        "{} {core} (`{}`, LLVM {})",
        compiler.version, compiler.name, compiler.llvm
    )
}
