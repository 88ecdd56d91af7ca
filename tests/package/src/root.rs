//! The machine's own files with a layer over them: what is installed there is there alone.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::command::output;

/// No service may be started, whatever a package says: invoke-rc.d(8).
const POLICY: &str = "#!/bin/sh\nexit 101\n";

/// Moves the calling thread out of the host's mounts and network, for good.
pub(crate) fn leave_the_host() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).context("unshare")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).context("private mounts")?;
    Ok(())
}

/// Goes with the thread that made it, at the latest.
#[derive(Debug)]
pub struct Root {
    /// Where all of it is mounted.
    base: PathBuf,
    path: PathBuf,
}

impl Drop for Root {
    /// Never by removing files: the host's own devices are mounted in here.
    fn drop(&mut self) {
        if umount2(&self.base, MntFlags::MNT_DETACH).is_ok() {
            let _ = fs::remove_dir(&self.base);
        }
    }
}

impl Root {
    pub fn new() -> Result<Self> {
        let base = tempfile::tempdir()?.keep();
        file_system("tmpfs", &base, "mode=755")?;
        let [upper, work, path] = ["upper", "work", "root"].map(|name| base.join(name));
        // From here on it goes whatever fails.
        let root = Self { base, path };
        let path = &root.path;
        for folder in [&upper, &work, path] {
            fs::create_dir(folder)?;
        }
        let layers = format!(
            "lowerdir=/,upperdir={},workdir={}",
            upper.display(),
            work.display()
        );
        file_system("overlay", path, &layers)?;
        for folder in ["proc", "dev"] {
            let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
            let host = Path::new("/").join(folder);
            mount(
                Some(&host),
                &path.join(folder),
                None::<&str>,
                bind,
                None::<&str>,
            )
            .with_context(|| folder.to_owned())?;
        }
        // Of the network of this thread.
        file_system("sysfs", &path.join("sys"), "")?;
        file_system("bpf", &path.join("sys/fs/bpf"), "mode=700")?;
        file_system("tmpfs", &path.join("run"), "mode=755")?;

        root.write("usr/sbin/policy-rc.d", POLICY)?;
        let policy = root.at("usr/sbin/policy-rc.d");
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        // Indexing all manual pages of the machine takes long, and says nothing about ours.
        let _ = fs::remove_file(root.at("var/lib/man-db/auto-update"));
        Ok(root)
    }

    /// Where a path of this root is for the test.
    pub fn at(&self, path: &str) -> PathBuf {
        self.path.join(path.trim_start_matches('/'))
    }

    pub fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.at(path)).with_context(|| path.to_owned())
    }

    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.at(path), text).with_context(|| path.to_owned())
    }

    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// Mode and owner, as `ls` shows them: `750 root:tftp-edge`.
    pub fn mode(&self, path: &str) -> Result<String> {
        let metadata = fs::symlink_metadata(self.at(path)).with_context(|| path.to_owned())?;
        let name = |file: &str, id: u32| -> Result<String> {
            let all = self.read(file)?;
            let mut lines = all.lines().map(|line| line.split(':'));
            let found = lines.find_map(|mut fields| {
                let name = fields.next()?;
                (fields.nth(1)? == id.to_string()).then(|| name.to_owned())
            });
            Ok(found.unwrap_or_else(|| id.to_string()))
        };
        let owner = name("etc/passwd", metadata.uid())?;
        let group = name("etc/group", metadata.gid())?;
        Ok(format!("{:o} {owner}:{group}", metadata.mode() & 0o7777))
    }

    /// A command that will run in here.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.path).arg(program);
        command.env("LC_ALL", "C.UTF-8").current_dir("/");
        command
    }

    /// Runs a program in here and returns what it wrote, to either stream.
    pub fn output(&self, program: &str, args: &[&str]) -> Result<String> {
        output(self.command(program).args(args))
    }

    /// Installs a package, or another version of it. Its new defaults never replace what was changed.
    pub fn install(&self, package: &Path) -> Result<String> {
        let inside = "tmp/tftp-edge.deb";
        fs::copy(package, self.at(inside)).with_context(|| package.display().to_string())?;
        let inside = format!("/{inside}");
        self.output("dpkg", &["--force-confold", "--install", &inside])
    }
}

fn file_system(kind: &str, at: &Path, options: &str) -> Result<()> {
    mount(
        Some(kind),
        at,
        Some(kind),
        MsFlags::empty(),
        Some(options).filter(|it| !it.is_empty()),
    )
    .with_context(|| format!("mounting {kind} at {}", at.display()))
}
