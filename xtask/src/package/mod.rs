//! `cargo xtask package`: the Debian package.
//!
//! What is made is laid out first, in a folder that looks to cargo-deb like the target folder of a
//! release build: so a package for the tests is made of the debug build that is there already.

mod licences;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, ensure};

use crate::setup::{self, bpf};
use crate::suite::{self, Tally};
use crate::ui::{self, Step, Steps};
use crate::workspace::{Workspace, on_path};

/// The versions that `tftp-edge/Cargo.toml` and `contrib/debian/about.toml` are written for.
const TOOLS: [(&str, &str, &[&str]); 2] = [
    ("cargo-deb", "cargo-deb@3.8.0", &[]),
    ("cargo-about", "cargo-about@0.9.3", &["--features", "cli"]),
];

/// What packing and testing take beside them. Where one is missing, the system is no Debian.
const PROGRAMS: [&str; 3] = ["dpkg-deb", "dpkg-shlibdeps", "lintian"];

/// The package with the tests, and how they learn what to test.
pub(crate) const TESTS: &str = "tftp-edge-package-tests";
/// What the names of the tests begin with.
pub(crate) const NAME: &str = "package";
const VARIABLE: &str = "TFTP_EDGE_PACKAGE";

/// Who signs the package, as Debian's own tools ask it (devscripts(1)).
const PACKAGER: [&str; 2] = ["DEBFULLNAME", "DEBEMAIL"];

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    Release,
    /// For the tests: the build that is there, packed fast, and large.
    Dev,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

pub(crate) fn run(
    workspace: &Workspace,
    profile: Profile,
    out: Option<PathBuf>,
) -> anyhow::Result<()> {
    setup::run(workspace)?;
    let out = match out {
        Some(out) => std::path::absolute(out)?,
        None => workspace.target.join("debian"),
    };
    let step = Steps::new(1).next("package");
    tools(workspace, &step)?;
    let package = build(workspace, profile, &out, &step)?;
    step.done(&shown(&package)?);
    Ok(())
}

/// cargo-deb and cargo-about, built if they are not there.
fn tools(workspace: &Workspace, step: &Step) -> anyhow::Result<()> {
    for (program, version, features) in TOOLS {
        if workspace.tool(program).is_none() {
            step.doing(&format!("building {version}, about three minutes, once"));
            bpf::cargo_install(workspace, version, features, None, step)?;
        }
    }
    Ok(())
}

/// Packs the debug build, and runs the tests of the package. A machine that cannot is told so.
pub(crate) fn test(
    workspace: &Workspace,
    filter: Option<&str>,
    steps: &mut Steps,
) -> anyhow::Result<Tally> {
    let step = steps.next("package of the debug build");
    let missing = PROGRAMS.into_iter().find(|it| on_path(it).is_none());
    let ready = match missing {
        Some(program) => Err(anyhow!("no {program}")),
        None => tools(workspace, &step),
    };
    if let Err(error) = ready {
        step.warn(&format!("not tested: {error:#}"));
        return Ok(Tally::default());
    }
    let out = workspace.target.join("package/debug");
    let package = build(workspace, Profile::Dev, &out, &step)?;
    step.done(&shown(&package)?);
    let mut cargo = workspace.cargo(&["test", "--package", TESTS, "--no-fail-fast"]);
    cargo.args(filter).env(VARIABLE, package);
    suite::run(&mut cargo, steps.next("package tests"))
}

/// Builds what is packed, and packs it into a file of `out`.
fn build(
    workspace: &Workspace,
    profile: Profile,
    out: &Path,
    step: &Step,
) -> anyhow::Result<PathBuf> {
    let laid_out = workspace.target.join("package").join(profile.folder());
    let release = laid_out.join("release");
    fs::create_dir_all(&release).with_context(|| release.display().to_string())?;

    step.doing("cargo build");
    let mut cargo = workspace.cargo(&["build", "--package", "tftp-edge"]);
    cargo.args(["--package", "tftp-edge-manual", "--bins"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    step.run(&mut cargo)?;
    let built = workspace.target.join(profile.folder());
    program(&built.join("tftp-edge"), &release.join("tftp-edge"), step)?;

    step.doing("manual pages and completions");
    for folder in ["man", "completions"] {
        // A command that is gone must not leave its page.
        let _ = fs::remove_dir_all(release.join(folder));
    }
    step.run(
        Command::new(built.join("tftp-edge-manual"))
            .arg("--config")
            .arg(workspace.root.join("tftp-edge/tftp-edge.toml"))
            .arg(&release),
    )?;
    let mut gzip = Command::new("gzip");
    step.run(gzip.args(["-9", "-n", "-r"]).arg(release.join("man")))?;
    licences::write(workspace, &release.join("THIRD-PARTY.gz"), step)?;

    step.doing("cargo deb");
    pack(workspace, profile, &laid_out, out, step)
}

fn shown(package: &Path) -> anyhow::Result<String> {
    let kilobytes = fs::metadata(package)?.len() / 1000;
    Ok(format!("{}, {kilobytes} kB", package.display()))
}

/// The program without its symbols, if it has the kernel program in it.
fn program(built: &Path, to: &Path, step: &Step) -> anyhow::Result<()> {
    let bytes = fs::read(built).with_context(|| built.display().to_string())?;
    ensure!(
        has_kernel_program(&bytes),
        "{} was built without the kernel program: it would serve over sockets alone. `cargo xtask \
         setup` finds or installs what it takes to build it",
        built.display()
    );
    let modified = |path: &Path| fs::metadata(path).and_then(|it| it.modified());
    let built_at = modified(built)?;
    if modified(to).is_ok_and(|packed_at| packed_at > built_at) {
        return Ok(());
    }
    step.doing("strip");
    // As debhelper(7) does it.
    let mut strip = Command::new("strip");
    strip.args(["--remove-section=.comment", "-o"]);
    step.run(strip.arg(to).arg(built))
}

/// Whether an ELF file for BPF lies inside of another one.
fn has_kernel_program(program: &[u8]) -> bool {
    const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";
    /// `e_machine` of BPF, and where it is: elf(5).
    const EM_BPF: [u8; 2] = 247u16.to_le_bytes();
    const E_MACHINE: usize = 18;
    program
        .windows(E_MACHINE + EM_BPF.len())
        .any(|bytes| bytes.starts_with(MAGIC) && bytes.ends_with(&EM_BPF))
}

fn pack(
    workspace: &Workspace,
    profile: Profile,
    laid_out: &Path,
    out: &Path,
    step: &Step,
) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let mut cargo = workspace.cargo(&["deb", "--no-build", "--no-strip", "--locked"]);
    cargo
        .args(["--package", "tftp-edge", "--output"])
        .arg(out)
        .env("CARGO_TARGET_DIR", laid_out);
    if profile == Profile::Dev {
        cargo.arg("--fast");
    }
    if let [Ok(name), Ok(address)] = PACKAGER.map(env::var) {
        cargo.args(["--maintainer", &format!("{name} <{address}>")]);
    }
    // The last line it prints is the package's path.
    let mut printed = String::new();
    let mut last = String::new();
    let status = ui::run_lines(&mut cargo, |line| {
        step.ticking(line.trim());
        printed.push_str(&line);
        printed.push('\n');
        if line.ends_with(".deb") {
            line.trim().clone_into(&mut last);
        }
    })?;
    ensure!(
        status.success(),
        "`{}` failed:\n{printed}",
        ui::shown(&cargo)
    );
    let package = PathBuf::from(last);
    ensure!(package.is_file(), "cargo-deb named no package:\n{printed}");
    Ok(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much of an ELF header as is looked at.
    fn header(machine: u16) -> Vec<u8> {
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(18, 0);
        header.extend(machine.to_le_bytes());
        header
    }

    #[test]
    fn a_program_without_a_kernel_program_in_it_is_told_from_one_with() {
        const EM_X86_64: u16 = 62;
        const EM_BPF: u16 = 247;
        let mut program = header(EM_X86_64);
        program.extend([0; 100]);
        program.extend(b"\x7fELF");
        assert!(!has_kernel_program(&program));
        program.extend(header(EM_BPF));
        program.extend([0; 100]);
        assert!(has_kernel_program(&program));
    }
}
