//! `cargo xtask`: everything one does with this repository, in one place.

mod demo;
mod fuzz;
mod lint;
mod package;
mod setup;
mod suite;
mod test;
#[allow(
    dead_code,
    reason = "shared with the build scripts, which use more of it"
)]
#[path = "../../tftp-ebpf/build/toolchain.rs"]
mod toolchain;
mod ui;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

/// Sets up, builds, tests and shows tftp-edge.
///
/// On a fresh machine: `cargo xtask demo` boots a site of simulated phones through the real thing,
/// `cargo xtask test` proves it. Both first install what is missing, and say what they install.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or install the BPF toolchain and the test tools; does nothing when all is there
    Setup,
    /// Build the daemon, with the kernel program in it
    Build {
        /// Optimised, as it is meant to run
        #[arg(long)]
        release: bool,
    },
    /// Build the Debian package
    ///
    /// With DEBFULLNAME and DEBEMAIL set, they are its maintainer.
    Package {
        /// What is packed: as it is meant to run, or the build that the tests use
        #[arg(long, value_enum, default_value = "release")]
        profile: package::Profile,
        /// The folder it is written to; `debian` of the target folder if it is not given
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Run every test, after formatting and clippy
    ///
    /// The lab's tests work in network namespaces of their own and so need root; without it they
    /// are left out, and that is said.
    Test {
        /// Only tests whose name contains this; skips formatting and clippy, and the Debian package
        /// unless it begins with `package`
        filter: Option<String>,
        /// Leave out the tests that need network namespaces
        #[arg(long)]
        no_lab: bool,
    },
    /// Boot a simulated site through the kernel program and the daemon
    Demo {
        /// Handed on to `tftp-edge-lab demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Storm a throttled registrar with simulated phones
    Storm {
        /// Handed on to `tftp-edge-lab storm`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Put an hour's load on the daemon in a short time, and fail if what it holds grows
    Soak {
        /// Handed on to `tftp-edge-lab soak`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Look for inputs that break a parser or a transfer, and grow the corpora of the tests
    ///
    /// New inputs go to fuzz/corpus, those that fail to fuzz/regressions. The first run builds
    /// everything once more, with coverage.
    Fuzz {
        /// One target alone, such as sip_message
        target: Option<String>,
        /// For each target
        #[arg(long, default_value_t = fuzz::SECONDS, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// Processes at a time
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
        jobs: u32,
        /// Watch over every access to memory; slower
        #[arg(long)]
        address_sanitizer: bool,
    },
    /// Measure the kernel path, the daemon and regeneration
    Bench {
        /// Handed on to `tftp-edge-lab bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Formatting, clippy, documentation, licences and sources; any warning fails
    ///
    /// The kernel program is checked twice: its rules as host code, and the whole of it for the BPF
    /// target. The second needs the clippy that belongs to the BPF compiler (Debian's
    /// rust-web-clippy, or the nightly's); without one, rustc's own warnings stand in for it.
    Lint,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Workspace::locate().and_then(|workspace| match cli.command {
        Task::Setup => setup::run(&workspace).map(drop),
        Task::Build { release } => build(&workspace, release),
        Task::Package { profile, out } => package::run(&workspace, profile, out),
        Task::Test { filter, no_lab } => test::run(&workspace, filter.as_deref(), !no_lab),
        Task::Demo { args } => demo::run(&workspace, "demo", &args),
        Task::Storm { args } => demo::run(&workspace, "storm", &args),
        Task::Soak { args } => demo::run(&workspace, "soak", &args),
        Task::Fuzz {
            target,
            seconds,
            jobs,
            address_sanitizer,
        } => fuzz::run(
            &workspace,
            &fuzz::Options {
                target,
                seconds,
                jobs,
                address_sanitizer,
            },
        ),
        Task::Bench { args } => demo::run(&workspace, "bench", &args),
        Task::Lint => lint::run(&workspace),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::failure(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn build(workspace: &Workspace, release: bool) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo(&["build", "--package", "tftp-edge"]);
    if release {
        cargo.arg("--release");
    }
    ui::run_through(&mut cargo)?;
    let profile = if release { "release" } else { "debug" };
    ui::note(
        &workspace
            .target
            .join(profile)
            .join("tftp-edge")
            .display()
            .to_string(),
    );
    Ok(())
}
