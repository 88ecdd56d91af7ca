//! Builds a BPF package into `OUT_DIR`, or says in one line why it could not.
//!
//! For build scripts, which include it with `#[path]`:
//!
//! ```ignore
//! #[path = "../tftp-ebpf/build/object.rs"]
//! mod object;
//!
//! fn main() -> anyhow::Result<()> {
//!     object::build("tftp-ebpf", "../tftp-ebpf", "tftp-edge-bpf")
//! }
//! ```
//!
//! and then in the crate:
//!
//! ```ignore
//! #[cfg(bpf_object)]
//! static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tftp-edge-bpf"));
//! ```

#[allow(dead_code, reason = "shared with xtask, which uses more of it")]
#[path = "toolchain.rs"]
mod toolchain;

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use aya_build::Package;

use toolchain::{RECORD, Toolchain};

/// Builds the binary `bin` of the workspace package `package` for the BPF target and leaves it in
/// `OUT_DIR/<bin>`, with `cfg(bpf_object)` set; without a BPF toolchain, warns and leaves both out.
///
/// `root_dir` is the package's folder, from the folder of the crate being built: a change in it
/// rebuilds. A program that does not compile is an error.
pub(crate) fn build(package: &str, root_dir: &str, bin: &str) -> anyhow::Result<()> {
    println!("cargo::rustc-check-cfg=cfg(bpf_object)");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR: not in a build script")?);
    let tools = tools_dir(&out_dir);
    watch(&tools);

    let toolchain = match Toolchain::find(&tools) {
        Ok(toolchain) => toolchain,
        Err(missing) => {
            forget(&tools);
            println!(
                "cargo::warning={package}: {missing}; building without the kernel program \
                 (`cargo xtask setup` puts it right)"
            );
            return Ok(());
        }
    };

    let object = out_dir.join(bin);
    // An object left by an earlier run must not pass for this one's.
    if let Err(error) = fs::remove_file(&object) {
        ensure!(
            error.kind() == io::ErrorKind::NotFound,
            "{}: {error}",
            object.display()
        );
    }
    set_environment(&toolchain);
    aya_build::build_ebpf(
        [Package {
            name: package,
            root_dir,
            ..Default::default()
        }],
        aya_build::Toolchain::Custom(&toolchain.compiler.name),
    )
    .with_context(|| format!("{package}: the kernel program did not build"))?;
    // AYA_BUILD_SKIP ends in success with nothing built, and has said so itself.
    if object.is_file() {
        println!("cargo::rustc-cfg=bpf_object");
    }
    Ok(())
}

/// What aya-build's cargo must inherit; it offers no other way to pass it.
fn set_environment(toolchain: &Toolchain) {
    let mut variables = vec![
        (
            "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER",
            toolchain.linker.clone().into_os_string(),
        ),
        (
            "CARGO_TARGET_BPFEB_UNKNOWN_NONE_LINKER",
            toolchain.linker.clone().into_os_string(),
        ),
        // Every line the inner cargo writes becomes a warning of the outer one.
        ("CARGO_TERM_QUIET", "true".into()),
    ];
    if let Some(bootstrap) = toolchain.compiler.bootstrap() {
        variables.push(("RUSTC_BOOTSTRAP", bootstrap.into()));
    }
    // Without rustup aya-build takes cargo from PATH.
    if let Some(prefix) = toolchain::prefix(&toolchain.compiler.name) {
        variables.push(("PATH", toolchain::path_with(&prefix.join("bin"))));
    }
    for (key, value) in variables {
        // SAFETY: a build script is a process of its own, and this one has started no thread.
        unsafe { env::set_var(key, value) };
    }
}

/// The folder `cargo xtask setup` keeps its tools in: `tools` in the target folder.
///
/// Where that is, a build script has to work out: `OUT_DIR` lies in it, three or four levels down.
fn tools_dir(out_dir: &Path) -> PathBuf {
    let built_in = out_dir
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("tools"));
    let configured = env::var_os("CARGO_TARGET_DIR").map(|folder| Path::new(&folder).join("tools"));
    let default = Path::new("../target/tools").to_owned();
    built_in
        .chain(configured)
        .find(|tools| tools.is_dir())
        .unwrap_or_else(|| std::path::absolute(&default).unwrap_or(default))
}

/// Has cargo run the script again once setup has changed its record.
fn watch(tools: &Path) {
    let record = tools.join(RECORD);
    // cargo takes a watched file that is missing for one that changed, and would rebuild every time.
    if !record.exists() {
        forget(tools);
    }
    println!("cargo::rerun-if-changed={}", record.display());
    println!("cargo::rerun-if-changed=build.rs");
}

/// Leaves an empty record, which means none: setup writes a new one when the toolchain is whole,
/// and that is the change cargo waits for.
fn forget(tools: &Path) {
    // On failure the next build runs the script once more, which is all it costs.
    let _ = fs::create_dir_all(tools)
        .and_then(|()| File::create(tools.join(RECORD)))
        // Dated back, so as not to look like that change itself.
        .and_then(|record| record.set_modified(SystemTime::UNIX_EPOCH));
}
