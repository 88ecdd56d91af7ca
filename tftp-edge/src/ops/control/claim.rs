//! One daemon for each control socket.
//!
//! Whoever holds the lock beside the socket owns the socket. The system gives the lock back when
//! the holder dies, however it dies, so a socket without a locked lock is left over and may be
//! replaced; nothing has to be guessed from a pid.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::service;

/// Owner and group may ask; the directory lets others see that there is a socket.
const SOCKET_MODE: u32 = 0o660;
const DIRECTORY_MODE: u32 = 0o755;
const BACKLOG: i32 = 64;

/// Why the control socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(
        "another tftp-edge{} serves {}; stop it first, or give this one its own control.socket",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        socket.display()
    )]
    Taken { socket: PathBuf, pid: Option<u32> },
    #[error(
        "control.socket {} is there and is not a socket; move it away or choose another path",
        .0.display()
    )]
    NotASocket(PathBuf),
    #[error("control.socket {}: cannot {step}: {source}", socket.display())]
    System {
        socket: PathBuf,
        step: &'static str,
        source: io::Error,
    },
}

/// The right to answer on a control socket. The socket is bound and accepts nothing yet, so that
/// the daemon can claim it first and answer when there is something to say.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    socket: Socket,
    /// The service manager's own stays where it is.
    is_ours: bool,
    /// Dropped last: who gets the lock next finds no socket.
    _lock: File,
}

impl Claim {
    pub fn take(path: &Path) -> Result<Self, ClaimError> {
        let step = |step| {
            move |source| ClaimError::System {
                socket: path.to_owned(),
                step,
                source,
            }
        };
        if let Some(directory) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(DIRECTORY_MODE)
                .create(directory)
                .map_err(step("create its directory"))?;
        }
        let lock = lock(path)?;
        if let Some(socket) = service::sockets::unix(path).map_err(step("take over"))? {
            return Ok(Self {
                path: path.to_owned(),
                socket,
                is_ours: false,
                _lock: lock,
            });
        }
        remove_leftover(path)?;
        let socket =
            Socket::new(Domain::UNIX, Type::STREAM, None).map_err(step("make a socket"))?;
        let address = SockAddr::unix(path).map_err(step("use the path"))?;
        socket.bind(&address).map_err(step("bind"))?;
        // Between bind and listen nobody can connect: the mode is right before the first client.
        std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))
            .map_err(step("set the mode"))?;
        Ok(Self {
            path: path.to_owned(),
            socket,
            is_ours: true,
            _lock: lock,
        })
    }

    pub(super) fn listen(&self) -> io::Result<UnixListener> {
        self.socket.listen(BACKLOG)?;
        Ok(self.socket.try_clone()?.into())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(event = "control.socket_kept", file = %self.path.display(), %error, "cannot remove the control socket");
        }
    }
}

fn lock(socket: &Path) -> Result<File, ClaimError> {
    let system = |step| {
        move |source| ClaimError::System {
            socket: socket.to_owned(),
            step,
            source,
        }
    };
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(&path)
        .map_err(system("open its lock"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The pid is for the message alone: without it the message is shorter.
            let _ = file.read_to_string(&mut holder);
            return Err(ClaimError::Taken {
                socket: socket.to_owned(),
                pid: holder.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(system("lock its lock")(source)),
    }
    let write_pid = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write_pid(&mut file).map_err(system("write its lock"))?;
    Ok(file)
}

fn remove_leftover(socket: &Path) -> Result<(), ClaimError> {
    let system = |source| ClaimError::System {
        socket: socket.to_owned(),
        step: "replace a left-over socket",
        source,
    };
    match std::fs::symlink_metadata(socket) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(socket).map_err(system),
        Ok(_) => Err(ClaimError::NotASocket(socket.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system(error)),
    }
}
