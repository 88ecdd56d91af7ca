//! `cargo xtask fuzz`: libFuzzer over the targets of the crate in `fuzz/`, and what it finds kept.
//!
//! Coverage comes from LLVM's own pass, which every rustc has: no nightly is needed, and no
//! cargo-fuzz, though `fuzz/` is laid out for it. Everything is built for the target by name, so that
//! build scripts and procedural macros stay as they are. An address sanitizer needs a compiler that
//! takes `-Z` flags and has its runtime; rustup's do when told to (`RUSTC_BOOTSTRAP`).
//!
//! New inputs are merged: of all there are, old and new, those stay that reach something no smaller
//! one does. What makes a target fail goes to `fuzz/regressions`, where the tests fail on it until it
//! is mended.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::setup::tools::answers;
use crate::ui::{Step, Steps};
use crate::workspace::Workspace;

const PACKAGE: &str = "tftp-edge-fuzz";
/// Where the instrumented build goes, in the target folder.
const BUILD: &str = "fuzz";
const PROFILE: &str = "fuzz";

/// What cargo-fuzz asks of LLVM: counters of edges, and of what comparisons are about.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

/// A corpus is read on every run of the tests, and by people: it holds so many inputs and bytes.
const MAX_FILES: usize = 200;
const MAX_BYTES: u64 = 300_000;

/// An input that takes longer is a failure, as one that takes more memory.
const TIMEOUT_S: u32 = 10;
const MEMORY_MB: u32 = 2048;

pub(crate) struct Options {
    /// None is all of them.
    pub(crate) target: Option<String>,
    pub(crate) seconds: u32,
    pub(crate) jobs: u32,
    pub(crate) address_sanitizer: bool,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let all = targets(workspace)?;
    let chosen: Vec<_> = match &options.target {
        None => all,
        Some(name) => {
            ensure!(
                all.contains(name),
                "there is no target {name}; choose one of: {}",
                all.join(" ")
            );
            vec![name.clone()]
        }
    };
    let mut steps = Steps::new(1 + chosen.len());
    let binaries = build(workspace, options, steps.next("instrumented build"))?;
    let mut failing = Vec::new();
    for target in &chosen {
        let fuzzing = Fuzzing {
            binary: binaries.join(target),
            corpus: workspace.root.join("fuzz/corpus").join(target),
            regressions: workspace.root.join("fuzz/regressions").join(target),
            scratch: workspace.target.join(BUILD).join("runs").join(target),
            options,
        };
        if !fuzzing.run(steps.next(target))? {
            failing.push(target.as_str());
        }
    }
    if !failing.is_empty() {
        bail!(
            "inputs that fail were kept in fuzz/regressions: {}; `cargo xtask test` fails on them \
             until they are mended",
            failing.join(" ")
        );
    }
    Ok(())
}

/// By the files of their binaries.
fn targets(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let folder = workspace.root.join("fuzz/fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        names.extend(path.file_stem().map(|it| it.to_string_lossy().into_owned()));
    }
    names.sort_unstable();
    Ok(names)
}

/// Builds every target; returns the folder of their binaries.
fn build(workspace: &Workspace, options: &Options, step: Step) -> anyhow::Result<PathBuf> {
    if !answers(std::process::Command::new("c++").arg("--version")) {
        bail!("libFuzzer is built with c++: install g++ or clang");
    }
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut flags = COVERAGE.join("\x1f");
    let folder = workspace.target.join(BUILD);
    let folder = match options.address_sanitizer {
        true => folder.join("asan"),
        false => folder,
    };
    step.doing("cargo build: some minutes the first time");
    let mut cargo = workspace.cargo(&["build", "--package", PACKAGE, "--bins"]);
    cargo
        .args(["--features", "libfuzzer", "--profile", PROFILE])
        .args(["--target", &triple])
        .env("CARGO_TARGET_DIR", &folder)
        // Targets run on the host's own code alone.
        .env("AYA_BUILD_SKIP", "1");
    if options.address_sanitizer {
        flags.push_str("\x1f-Zsanitizer=address");
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    step.run(cargo.env("CARGO_ENCODED_RUSTFLAGS", flags))?;
    step.done("built");
    Ok(folder.join(triple).join(PROFILE))
}

/// One target at work.
struct Fuzzing<'o> {
    binary: PathBuf,
    /// In the repository.
    corpus: PathBuf,
    regressions: PathBuf,
    /// What this run finds.
    scratch: PathBuf,
    options: &'o Options,
}

impl Fuzzing<'_> {
    /// Looks for new inputs, and keeps what is worth it. False: there are some that fail.
    fn run(&self, step: Step) -> anyhow::Result<bool> {
        let (found, crashes) = (self.scratch.join("found"), self.scratch.join("crashes"));
        // What an earlier run left was merged by it.
        let _ = fs::remove_dir_all(&self.scratch);
        for folder in [&self.corpus, &found, &crashes] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let before = files(&self.corpus)?.len();
        step.doing(&format!("{} s", self.options.seconds));
        let mut fuzzer = self.command();
        fuzzer
            .arg(format!("-max_total_time={}", self.options.seconds))
            .arg(format!("-timeout={TIMEOUT_S}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB}"))
            .arg(format!("-jobs={}", self.options.jobs))
            .arg(format!("-workers={}", self.options.jobs))
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .args([&found, &self.corpus]);
        // It fails when an input does, and that is looked at by itself.
        let ended = step.run(&mut fuzzer);
        let kept = self.keep_failing(&crashes)?;
        if kept == 0 {
            ended?;
        }
        let smaller = self.merge(&found, &step)?;
        match kept {
            0 => step.done(&format!("{before} inputs before, {smaller} now")),
            _ => step.warn(&format!("{kept} inputs fail")),
        }
        Ok(kept == 0)
    }

    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.binary);
        command.current_dir(&self.scratch);
        command
    }

    /// Copies what made the target fail to the regressions, each by libFuzzer's name of it.
    fn keep_failing(&self, crashes: &Path) -> anyhow::Result<usize> {
        let failing = files(crashes)?;
        if !failing.is_empty() {
            fs::create_dir_all(&self.regressions)?;
        }
        for file in &failing {
            let name = file.file_name().context("a file has a name")?;
            fs::copy(file, self.regressions.join(name))
                .with_context(|| file.display().to_string())?;
        }
        Ok(failing.len())
    }

    /// Puts the smallest inputs that reach everything into the place of the corpus.
    fn merge(&self, found: &Path, step: &Step) -> anyhow::Result<usize> {
        let merged = self.scratch.join("merged");
        fs::create_dir_all(&merged)?;
        step.doing("merging");
        let mut fuzzer = self.command();
        fuzzer
            .arg("-merge=1")
            .arg(format!("-timeout={TIMEOUT_S}"))
            .args([merged.as_path(), self.corpus.as_path(), found]);
        step.run(&mut fuzzer)?;
        let kept = bounded(files(&merged)?)?;
        for file in files(&self.corpus)? {
            fs::remove_file(file)?;
        }
        for file in &kept {
            let name = file.file_name().context("a file has a name")?;
            fs::copy(file, self.corpus.join(name)).with_context(|| file.display().to_string())?;
        }
        Ok(kept.len())
    }
}

/// As many files as a corpus may hold: of all sizes, and without the largest if they are too much.
fn bounded(files: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut sized = Vec::new();
    for file in files {
        sized.push((fs::metadata(&file)?.len(), file));
    }
    sized.sort_unstable();
    let count = sized.len();
    let mut kept: Vec<_> = match count > MAX_FILES {
        true => (0..MAX_FILES)
            .map(|at| sized[at * count / MAX_FILES].clone())
            .collect(),
        false => sized,
    };
    while kept.iter().map(|(len, _)| len).sum::<u64>() > MAX_BYTES {
        kept.pop();
    }
    Ok(kept.into_iter().map(|(_, file)| file).collect())
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry?.path());
    }
    Ok(files)
}

/// As long as a look at all targets may take on a machine that does other things too.
pub(crate) const SECONDS: u32 = 60;
