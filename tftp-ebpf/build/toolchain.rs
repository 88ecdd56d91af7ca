//! Finds a compiler and a linker that can build the BPF object.
//!
//! Included with `#[path]` by the build scripts (through `object.rs`) and by `xtask`, so that what
//! `cargo xtask setup` calls good is exactly what `cargo build` will use. Nothing but `std`.
//!
//! A toolchain is known by the name `rustup run` takes: `nightly`, a linked name, or the prefix a
//! distribution installs to (`/usr`). With a prefix, rustup need not be there at all.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where Debian's `rustc-web` lives. Its core for BPF comes from `libstd-rust-web-dev-bpf`.
pub(crate) const SYSTEM: &str = "/usr";
/// The rustup toolchain that can build its own core.
pub(crate) const NIGHTLY: &str = "nightly";
/// The file in the tools folder that names the toolchain `cargo xtask setup` settled on.
pub(crate) const RECORD: &str = "bpf-toolchain";

/// A compiler for `bpfel-unknown-none` and a linker that was seen to read its bitcode.
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: PathBuf,
}

/// A rustc that has, or can build, a core for the BPF target.
#[derive(Clone)]
pub(crate) struct Compiler {
    /// What `rustup run` takes: a toolchain's name, or the prefix it is installed under.
    pub(crate) name: String,
    /// `rustc 1.96.0`, `rustc 1.97.0-nightly`.
    pub(crate) version: String,
    /// Its LLVM, as rustc prints it. The linker's must not be older.
    pub(crate) llvm: String,
    pub(crate) core: Core,
}

/// Where the compiler takes the BPF target's `core` from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Core {
    /// Installed ready-made, so a stable compiler will do.
    Prebuilt,
    /// Built from `rust-src` with `-Z build-std`, which needs a nightly.
    FromSource,
}

/// What stands between this machine and a BPF object.
#[derive(Debug)]
pub(crate) enum Missing {
    /// No toolchain of that name runs.
    Compiler(String),
    /// The toolchain runs, and has neither the BPF target's core nor, as a nightly, its source.
    Core(String),
    /// No `bpf-linker` in the tools folder or on `PATH`.
    Linker,
    /// The linker runs, and does not read what the compiler writes: usually an older LLVM.
    Mismatch { linker: PathBuf, reason: String },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiler(name) => write!(f, "Rust toolchain `{name}` does not run"),
            Self::Core(name) => write!(f, "Rust toolchain `{name}` has no core for BPF"),
            Self::Linker => write!(f, "bpf-linker is missing"),
            Self::Mismatch { linker, reason } => {
                write!(f, "{} cannot link: {reason}", linker.display())
            }
        }
    }
}

impl Toolchain {
    /// The recorded toolchain if it still works, else the first one on this machine that does: a
    /// nightly with `rust-src`, then Debian's.
    pub(crate) fn find(tools: &Path) -> Result<Self, Missing> {
        let recorded = recorded(tools);
        let names = recorded.as_deref().into_iter().chain([NIGHTLY, SYSTEM]);
        let mut nearest: Option<Missing> = None;
        for name in names {
            match Self::named(name, tools) {
                Ok(toolchain) => return Ok(toolchain),
                Err(missing) => {
                    if nearest
                        .as_ref()
                        .is_none_or(|nearest| missing.rank() > nearest.rank())
                    {
                        nearest = Some(missing);
                    }
                }
            }
        }
        Err(nearest.unwrap_or(Missing::Linker))
    }

    fn named(name: &str, tools: &Path) -> Result<Self, Missing> {
        let compiler = Compiler::named(name)?;
        let linker = find_linker(tools).ok_or(Missing::Linker)?;
        probe(&compiler, &linker, tools)?;
        Ok(Self { compiler, linker })
    }
}

impl Missing {
    /// How near to a working toolchain this is: the nearest of several is the one worth telling.
    fn rank(&self) -> u8 {
        match self {
            Self::Compiler(_) => 0,
            Self::Core(_) => 1,
            Self::Linker => 2,
            Self::Mismatch { .. } => 3,
        }
    }
}

impl Compiler {
    /// Asks one toolchain what it is.
    pub(crate) fn named(name: &str) -> Result<Self, Missing> {
        let absent = || Missing::Compiler(name.to_owned());
        let about = stdout(command(name, "rustc").arg("-vV")).ok_or_else(absent)?;
        let sysroot =
            stdout(command(name, "rustc").args(["--print", "sysroot"])).ok_or_else(absent)?;
        let field = |key| about.lines().find_map(|line| line.strip_prefix(key));
        let release = field("release: ").unwrap_or_default();

        let rustlib = Path::new(sysroot.trim()).join("lib/rustlib");
        let core = if rustlib.join(format!("{}/lib", bpf_target())).is_dir() {
            Core::Prebuilt
        } else if release.contains("nightly") && rustlib.join("src/rust/library/core").is_dir() {
            Core::FromSource
        } else {
            return Err(Missing::Core(name.to_owned()));
        };
        Ok(Self {
            name: name.to_owned(),
            version: format!("rustc {release}"),
            llvm: field("LLVM version: ").unwrap_or("unknown").to_owned(),
            core,
        })
    }

    /// One of this toolchain's programs, ready for arguments.
    pub(crate) fn command(&self, program: &str) -> Command {
        command(&self.name, program)
    }

    /// `cargo clippy` of this toolchain. Called by its own name: cargo would look for it in the
    /// user's `~/.cargo/bin` first, and there find rustup's for another toolchain.
    pub(crate) fn clippy(&self) -> Command {
        let mut command = self.command("cargo-clippy");
        command.arg("clippy");
        command
    }

    /// What `RUSTC_BOOTSTRAP` must be for this compiler, if anything.
    ///
    /// `aya-ebpf` asks for `asm_experimental_arch`. Naming the crate, and not `1`, opens that
    /// feature to it alone and keeps aya-build from asking for `-Z build-std`.
    pub(crate) fn bootstrap(&self) -> Option<&'static str> {
        (self.core == Core::Prebuilt).then_some("aya_ebpf")
    }
}

/// The BPF target of this machine's byte order.
pub(crate) fn bpf_target() -> &'static str {
    if cfg!(target_endian = "big") {
        "bpfeb-unknown-none"
    } else {
        "bpfel-unknown-none"
    }
}

/// The toolchain `cargo xtask setup` wrote down.
pub(crate) fn recorded(tools: &Path) -> Option<String> {
    let text = fs::read_to_string(tools.join(RECORD)).ok()?;
    let name = text.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Our own `bpf-linker`, else the one on `PATH`.
pub(crate) fn find_linker(tools: &Path) -> Option<PathBuf> {
    let ours = tools.join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(ours)
        .chain(env::split_paths(&path))
        .map(|folder| folder.join("bpf-linker"))
        .find(|linker| linker.is_file())
}

/// Compiles one function and has the linker turn it into a BPF object.
///
/// Nothing short of this tells whether the linker's LLVM reads the compiler's bitcode: versions
/// compare equal across builds that disagree. It takes a tenth of a second.
pub(crate) fn probe(compiler: &Compiler, linker: &Path, tools: &Path) -> Result<(), Missing> {
    let mismatch = |reason: String| Missing::Mismatch {
        linker: linker.to_owned(),
        reason: first_line(&reason),
    };
    let folder = tools.join(format!("probe-{}", std::process::id()));
    let run = || -> io::Result<Result<(), Missing>> {
        fs::create_dir_all(&folder)?;
        let source = folder.join("probe.rs");
        let bitcode = folder.join("probe.bc");
        fs::write(
            &source,
            "#![no_std]\n#[unsafe(no_mangle)]\npub extern \"C\" fn probe(x: u64) -> u64 { x + 1 }\n",
        )?;
        // The host's target, because a nightly has no core for BPF before it has built one. The
        // bitcode format is the same.
        let compiled = compiler
            .command("rustc")
            .args(["--edition=2024", "--crate-type=lib", "--emit=llvm-bc"])
            .args(["-Copt-level=2", "-Cpanic=abort", "-o"])
            .arg(&bitcode)
            .arg(&source)
            .output()?;
        if !compiled.status.success() {
            return Ok(Err(Missing::Compiler(compiler.name.clone())));
        }
        let linked = Command::new(linker)
            .args(["--target", bpf_target(), "--export", "probe", "-o"])
            .arg(folder.join("probe.o"))
            .arg(&bitcode)
            .output()?;
        Ok(if linked.status.success() {
            Ok(())
        } else {
            Err(mismatch(
                String::from_utf8_lossy(&linked.stderr).into_owned(),
            ))
        })
    };
    let result = run().unwrap_or_else(|error| Err(mismatch(error.to_string())));
    // Best effort: what stays behind is three small files in the target folder.
    let _ = fs::remove_dir_all(&folder);
    result
}

/// `program` of toolchain `name`, through rustup where there is one.
fn command(name: &str, program: &str) -> Command {
    let mut command = if let Some(prefix) = prefix(name) {
        let mut command = Command::new(prefix.join("bin").join(program));
        // cargo finds rustc on PATH: it must be the one beside it, not rustup's.
        command.env("PATH", path_with(&prefix.join("bin")));
        command
    } else {
        let mut command = Command::new("rustup");
        command.args(["run", name, program]);
        command
    };
    // Set by the cargo that runs us, for its own toolchain.
    for key in [
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTUP_TOOLCHAIN",
        "CARGO",
    ] {
        command.env_remove(key);
    }
    command
}

/// The folder a toolchain is installed under, if it is known by that and not by a name.
pub(crate) fn prefix(name: &str) -> Option<&Path> {
    Some(Path::new(name)).filter(|path| path.is_absolute())
}

/// `PATH` with `folder` before everything else.
pub(crate) fn path_with(folder: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
    // Joining fails on a folder whose name holds a colon, which PATH cannot express anyway.
    env::join_paths(folders).unwrap_or(path)
}

fn stdout(command: &mut Command) -> Option<String> {
    let Output { status, stdout, .. } = command.output().ok()?;
    status
        .success()
        .then(|| String::from_utf8_lossy(&stdout).into_owned())
}

fn first_line(text: &str) -> String {
    text.lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no reason given")
        .trim()
        .to_owned()
}
