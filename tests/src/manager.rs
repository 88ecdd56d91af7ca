//! What a service manager does for the daemon: a user without rights of its own, a socket to be told
//! things on, and sockets that are opened before it starts.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::{Gid, Uid, chown};

use crate::lab::receive_within;
use crate::server::Place;

/// Nobody else's: it has no name, no home and no files but those it is given.
const USER: u32 = 64_123;

/// What the unit gives, without `CAP_`.
pub const CAPABILITIES: [&str; 5] = ["net_bind_service", "net_raw", "net_admin", "bpf", "perfmon"];

/// The first descriptor that is handed in: `SD_LISTEN_FDS_START`.
const FIRST: i32 = 3;

/// A command that runs a program as the user of the service, with these capabilities in every set, as
/// `AmbientCapabilities=`, `CapabilityBoundingSet=` and `NoNewPrivileges=yes` have it.
pub fn as_user(place: Place<'_>, capabilities: &[&str], program: impl AsRef<OsStr>) -> Command {
    let mut command = place.command("setpriv");
    command.args(&user_words(capabilities)[1..]).arg(program);
    command
}

/// The words of that command, up to the program.
pub fn user_words(capabilities: &[&str]) -> Vec<String> {
    let added = capabilities.iter().map(|it| format!(",+{it}"));
    let set = format!("-all{}", added.collect::<String>());
    let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    let words = ["setpriv", &user, &group, "--clear-groups", "--no-new-privs"];
    let caps = ["--inh-caps", "--ambient-caps", "--bounding-set"];
    let caps = caps.iter().flat_map(|name| [*name, &set]);
    words.into_iter().chain(caps).map(str::to_owned).collect()
}

/// Gives a folder, and all in it, to the user of the service.
pub fn give(folder: &Path) -> Result<()> {
    let (user, group) = (Uid::from_raw(USER), Gid::from_raw(USER));
    chown(folder, Some(user), Some(group))
        .with_context(|| format!("giving {}", folder.display()))?;
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
}

/// `$NOTIFY_SOCKET`, with somebody who listens.
#[derive(Debug)]
pub struct Notifications {
    socket: UnixDatagram,
}

impl Notifications {
    /// `path` is to be the daemon's [`environment`](Self::environment).
    pub fn listen(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path).context("binding the notify socket")?;
        // The daemon is another user's.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { socket })
    }

    /// Has a command talk to it.
    pub fn environment(command: &mut Command, path: &Path, watchdog: Option<Duration>) {
        command.env("NOTIFY_SOCKET", path);
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
    }

    /// What is said within a time; nothing is none.
    pub fn next(&self, within: Duration) -> Result<Option<String>> {
        let mut bytes = [0; 4096];
        let came = receive_within(within, |left| {
            self.socket.set_read_timeout(Some(left))?;
            self.socket.recv(&mut bytes)
        });
        let len = came.context("listening to the daemon")?;
        Ok(len.map(|len| String::from_utf8_lossy(&bytes[..len]).into_owned()))
    }

    /// Listens until a line is said that begins so; returns everything up to it.
    pub fn until(&self, wanted: &str) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut heard = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(
                !left.is_zero(),
                "waited in vain for {wanted}; heard:\n{heard}"
            );
            if let Some(said) = self.next(left)? {
                heard.push_str(&said);
                if said.lines().any(|line| line.starts_with(wanted)) {
                    return Ok(heard);
                }
            }
        }
    }

    /// All that is said until the time is over.
    pub fn during(&self, time: Duration) -> Result<String> {
        let deadline = Instant::now() + time;
        let mut heard = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(heard);
            }
            heard.push_str(&self.next(left)?.unwrap_or_default());
        }
    }
}

/// Hands sockets to a command, each with its name. The daemon finds `LISTEN_PID` to be its own, as the
/// shell that sets it becomes the daemon.
pub fn hand_in(command: &Command, sockets: &[(OwnedFd, &str)]) -> Result<Command> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", r#"LISTEN_PID=$$ exec "$@""#, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env("LISTEN_FDS", sockets.len().to_string());
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(key, value);
        }
    }
    let names: Vec<_> = sockets.iter().map(|(_, name)| *name).collect();
    shell.env("LISTEN_FDNAMES", names.join(":"));
    // Out of the way of the numbers they are to have, and closed in every other child.
    let mut high = Vec::new();
    for (socket, _) in sockets {
        let number = fcntl(socket, FcntlArg::F_DUPFD_CLOEXEC(200))?;
        // SAFETY: the call returned a descriptor that nobody else owns.
        high.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    let hand_over = move || {
        for (at, socket) in high.iter().enumerate() {
            // SAFETY: it takes numbers alone; a descriptor that was there before is the child's own.
            if unsafe { libc::dup2(socket.as_raw_fd(), FIRST + at as i32) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec nothing is called but dup2, which is async-signal-safe.
    unsafe { shell.pre_exec(hand_over) };
    Ok(shell)
}

/// A thread of another process that stands still, as one that waits for a disk for ever would.
#[derive(Debug)]
pub struct Halted(nix::unistd::Pid);

impl Halted {
    /// By `ptrace`: a signal would stop the whole process.
    pub fn thread(process: u32, name: &str) -> Result<Self> {
        use nix::sys::ptrace;
        use nix::sys::wait::{WaitPidFlag, waitpid};

        let tasks = format!("/proc/{process}/task");
        let mut thread = None;
        for task in fs::read_dir(&tasks)? {
            let task = task?;
            if fs::read_to_string(task.path().join("comm"))?.trim() == name {
                thread = task.file_name().to_str().and_then(|it| it.parse().ok());
            }
        }
        let thread = thread.with_context(|| format!("{tasks} has no thread {name}"))?;
        let thread = nix::unistd::Pid::from_raw(thread);
        ptrace::seize(thread, ptrace::Options::empty()).context("seizing the thread")?;
        ptrace::interrupt(thread).context("halting the thread")?;
        waitpid(thread, Some(WaitPidFlag::__WALL)).context("waiting for the thread to halt")?;
        Ok(Self(thread))
    }

    /// Lets it go on. By the thread that has halted it.
    pub fn release(self) -> Result<()> {
        nix::sys::ptrace::detach(self.0, None).context("letting the thread go on")
    }
}
