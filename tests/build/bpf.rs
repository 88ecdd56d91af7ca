//! Finds the toolchain that builds BPF objects, for build scripts.
//!
//! `cargo xtask setup` leaves two things in the target folder: `tools/bpf-toolchain`, one line with
//! the name of a rustup toolchain that has a `core` for `bpfel-unknown-none`, and
//! `tools/bin/bpf-linker`, whose LLVM is not older than that toolchain's. Nothing else is tried: a
//! linker found by chance on the PATH may read its input wrongly without saying so.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A toolchain that is complete.
pub(crate) struct BpfToolchain {
    /// Its name in rustup.
    pub(crate) name: String,
    /// The folder with `bpf-linker`.
    pub(crate) bin: PathBuf,
}

impl BpfToolchain {
    /// Looks in the target folder that `OUT_DIR` lies in; the error says in one line what is
    /// missing. Tells cargo which files to watch.
    pub(crate) fn find() -> Result<Self, String> {
        let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
        let target = target_dir(&out_dir)
            .ok_or_else(|| format!("{} lies in no target folder", out_dir.display()))?;
        let named = target.join("tools/bpf-toolchain");
        let bin = target.join("tools/bin");
        let linker = bin.join("bpf-linker");
        for watched in [&named, &linker] {
            println!("cargo:rerun-if-changed={}", watched.display());
        }
        let name = fs::read_to_string(&named).map_err(|_| {
            "no BPF toolchain; `cargo xtask setup` finds or installs one".to_owned()
        })?;
        if !linker.exists() {
            return Err(format!(
                "no {}; `cargo xtask setup` installs it",
                linker.display()
            ));
        }
        Ok(Self {
            name: name.trim().to_owned(),
            bin,
        })
    }

    /// Sets what the cargo that builds the BPF object inherits.
    pub(crate) fn set_environment(&self) {
        let mut path = OsString::from(&self.bin);
        if let Some(rest) = env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        // SAFETY: a build script has one thread until it starts one itself.
        unsafe {
            env::set_var("PATH", path);
            // aya-ebpf turns an unstable feature on. Naming that crate, not 1, keeps aya-build from
            // asking a stable compiler to build `core`; a nightly does so by itself.
            if !self.name.contains("nightly") {
                env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf");
            }
        }
    }
}

/// The target folder above `TARGET[/TRIPLE]/PROFILE/build/PACKAGE/out`: the one that has tools, or
/// else the innermost.
fn target_dir(out_dir: &Path) -> Option<&Path> {
    let candidates = || out_dir.ancestors().skip(4).take(2);
    candidates()
        .find(|folder| folder.join("tools").exists())
        .or_else(|| candidates().next())
}
