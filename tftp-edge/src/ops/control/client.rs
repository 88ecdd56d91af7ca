//! The asking side, for the command line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Request, Response};
use crate::ops::exit::Exit;
use crate::ops::status::Status;
use crate::provisioning::{Knockers, Knocking};

const PATIENCE: Duration = Duration::from_secs(10);
/// Ten thousand devices that asked in vain are far below.
const ANSWER_MAX: u64 = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no daemon answers on {}: {source}; start it with `tftp-edge run`, or name its \
         configuration with --config",
        socket.display()
    )]
    NoDaemon { socket: PathBuf, source: io::Error },
    #[error(
        "{}: {source}; run as root or as a member of the socket's group",
        socket.display()
    )]
    NotAllowed { socket: PathBuf, source: io::Error },
    #[error("{}: the daemon did not answer: {source}", socket.display())]
    Broken { socket: PathBuf, source: io::Error },
    #[error("{}: the daemon refused: {message}", socket.display())]
    Refused { socket: PathBuf, message: String },
    #[error(
        "{}: the answer is not understood: {source}; are daemon and command the same version?",
        socket.display()
    )]
    Answer {
        socket: PathBuf,
        source: serde_json::Error,
    },
    #[error(
        "{}: the answer is to another question; are daemon and command the same version?",
        socket.display()
    )]
    Other { socket: PathBuf },
}

impl ClientError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotAllowed { .. } => Exit::NoPermission,
            Self::NoDaemon { .. } | Self::Broken { .. } => Exit::Unavailable,
            Self::Refused { .. } | Self::Answer { .. } | Self::Other { .. } => Exit::Software,
        }
    }
}

/// Asks the daemon behind `socket` how it is.
pub fn status(socket: &Path) -> Result<Status, ClientError> {
    match ask(socket, Request::Status)? {
        Response::Status(status) => Ok(*status),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

/// Asks the daemon behind `socket` which devices asked in vain, the last first.
pub fn knocking(socket: &Path, who: Knockers) -> Result<Vec<Knocking>, ClientError> {
    match ask(socket, Request::Knocking { who })? {
        Response::Knocking(devices) => Ok(devices),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

fn ask(socket: &Path, request: Request) -> Result<Response, ClientError> {
    let owned = || socket.to_owned();
    let stream = UnixStream::connect(socket).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ClientError::NotAllowed {
            socket: owned(),
            source,
        },
        _ => ClientError::NoDaemon {
            socket: owned(),
            source,
        },
    })?;
    let line = exchange(stream, request).map_err(|source| ClientError::Broken {
        socket: owned(),
        source,
    })?;
    match serde_json::from_str(&line) {
        Ok(Response::Error(message)) => Err(ClientError::Refused {
            socket: owned(),
            message,
        }),
        Ok(response) => Ok(response),
        Err(source) => Err(ClientError::Answer {
            socket: owned(),
            source,
        }),
    }
}

fn exchange(mut stream: UnixStream, request: Request) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(&request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_MAX)).read_line(&mut answer)?;
    if answer.ends_with('\n') {
        Ok(answer)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
