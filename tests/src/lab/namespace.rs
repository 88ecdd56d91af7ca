//! A network namespace with a name, so that `ip` knows it too.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::command::{output, run};

/// Names are `PREFIX-PID-NUMBER-ROLE`; the pid tells whose it is.
const PREFIX: &str = "tftplab";

static MADE: AtomicU32 = AtomicU32::new(0);

pub fn is_root() -> bool {
    geteuid().is_root()
}

/// A namespace that is removed, with every process left in it, when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes an empty one. `role` is the end of its name.
    pub fn new(role: &str) -> Result<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{number}-{role}", std::process::id());
        run("ip", ["netns", "add", &name])?;
        Ok(Self { name })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A command that will run inside. `ip` becomes the program, so the pid is the program's own.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program inside, to its end, and returns what it wrote to standard output.
    pub fn output<A: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<String> {
        let outer = ["netns", "exec", &self.name, program].map(OsStr::new);
        let args: Vec<A> = args.into_iter().collect();
        output(
            "ip",
            outer.into_iter().chain(args.iter().map(AsRef::as_ref)),
        )
    }

    pub fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<()> {
        self.output(program, args).map(drop)
    }

    /// Runs `ip -n NAME ARGS`.
    pub fn ip(&self, args: &[&str]) -> Result<()> {
        run("ip", ["-n", &self.name].iter().chain(args))
    }

    /// The processes inside, but for threads of our own.
    pub fn pids(&self) -> Result<Vec<i32>> {
        pids(&self.name)
    }

    /// Sets `/proc/sys/KEY`, a key that each namespace has for itself.
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        self.enter(|| {
            std::fs::write(&path, value).with_context(|| format!("writing {}", path.display()))
        })
    }

    /// Moves the calling thread inside, for good: sockets it makes from now on belong there.
    pub fn enter_thread(&self) -> Result<()> {
        let path = self.path();
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        setns(file, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("entering namespace {}", self.name))
    }

    /// Runs `work` on a thread of its own inside. Sockets it returns stay inside.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter_thread()?;
                work()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name) {
            eprintln!("namespace {} is left behind: {error:#}", self.name);
        }
    }
}

/// Ends what runs in a namespace, then removes it.
fn remove(name: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let pids = pids(name)?;
        if pids.is_empty() {
            break;
        }
        for &pid in &pids {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if Instant::now() > deadline {
            return Err(anyhow!("processes {pids:?} in it do not end"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    run("ip", ["netns", "delete", name])
}

fn pids(name: &str) -> Result<Vec<i32>> {
    let own = std::process::id() as i32;
    let pids = output("ip", ["netns", "pids", name])?;
    let pids = pids.lines().filter_map(|line| line.trim().parse().ok());
    Ok(pids.filter(|&pid| pid != own).collect())
}

/// Removes the namespaces of lab processes that are no more.
pub fn sweep_stale() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for name in entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        let mut parts = name.split('-');
        if parts.next() != Some(PREFIX) {
            continue;
        }
        let Some(Ok(pid)) = parts.next().map(str::parse::<u32>) else {
            continue;
        };
        if !Path::new(&format!("/proc/{pid}")).exists()
            && let Err(error) = remove(&name)
        {
            eprintln!("stale namespace {name} cannot be removed: {error:#}");
        }
    }
}
