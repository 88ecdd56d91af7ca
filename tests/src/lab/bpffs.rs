//! A BPF file system of a test's own: `ip netns exec` hides the machine's, and others pin there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Names are `PREFIX-PID-NUMBER`; the pid tells whose it is.
const PREFIX: &str = "tftplab-bpf";
const FOLDER: &str = "/run";

static MADE: AtomicU32 = AtomicU32::new(0);

/// One that is gone, with all that is pinned there, when this is dropped.
#[derive(Debug)]
pub struct BpfFs(PathBuf);

impl BpfFs {
    pub fn mount() -> Result<Self> {
        sweep_stale();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}", std::process::id());
        let path = Path::new(FOLDER).join(name);
        fs::create_dir_all(&path)?;
        mount(
            Some("bpf"),
            &path,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .with_context(|| format!("mounting a BPF file system at {}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    let unmounted = umount2(path, MntFlags::MNT_DETACH);
    if let Err(error) = fs::remove_dir(path) {
        eprintln!("{} is left behind: {error}, {unmounted:?}", path.display());
    }
}

/// Removes those of test processes that are no more.
fn sweep_stale() {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let pid = rest.trim_start_matches('-').split('-').next();
        let is_stale = pid.and_then(|pid| pid.parse::<u32>().ok());
        if is_stale.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            remove(&Path::new(FOLDER).join(name));
        }
    }
}
