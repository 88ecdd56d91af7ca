//! Where things are, and how cargo is called.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::toolchain;

pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// cargo's target folder: `CARGO_TARGET_DIR` if that is set.
    pub(crate) target: PathBuf,
    /// Our own tools, kept out of the user's `~/.cargo/bin`.
    pub(crate) tools: PathBuf,
}

impl Workspace {
    pub(crate) fn locate() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask does not lie in a workspace")?
            .to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => std::path::absolute(&folder)
                .with_context(|| format!("CARGO_TARGET_DIR={}", folder.display()))?,
            None => root.join("target"),
        };
        let tools = target.join("tools");
        Ok(Self {
            root,
            target,
            tools,
        })
    }

    /// The cargo that runs us, with our tools first on `PATH`.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command
            .args(args)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("PATH", toolchain::path_with(&self.bin()));
        command
    }

    /// Where our tools' programs are.
    pub(crate) fn bin(&self) -> PathBuf {
        self.tools.join("bin")
    }

    /// A program of ours, if it is there.
    pub(crate) fn tool(&self, name: &str) -> Option<PathBuf> {
        Some(self.bin().join(name)).filter(|path| path.is_file())
    }
}

/// A program on `PATH`. The administrator's folders count even when the user's `PATH` omits them,
/// as Debian's does for everyone but root.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Whether this process may install packages and make network namespaces.
pub(crate) fn is_root() -> bool {
    // The second field of `Uid:` is the effective one.
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().nth(1))
            .is_some_and(|effective| effective == "0")
    })
}
