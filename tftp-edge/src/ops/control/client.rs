//! The asking side, for the command line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Request, Response};
use crate::inventory::DeviceName;
use crate::journal::{self, Overview, Page, PhoneView};
use crate::ops::exit::Exit;
use crate::ops::log;
use crate::ops::reload::Reloaded;
use crate::ops::status::Status;
use crate::provisioning::{Knockers, Knocking};
use crate::register::bans::{Banned, Lift};
use crate::register::export::{Event, Filter, HEARTBEAT, Row};
use crate::register::pacer::{Command, Ordered, Progress};
use crate::trace::{self, Told};

const PATIENCE: Duration = Duration::from_secs(10);
/// A hundred thousand phones, each on a row of half a kilobyte.
const ANSWER_MAX: u64 = 128 << 20;

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
    Refused {
        socket: PathBuf,
        message: String,
        exit: Exit,
    },
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
            Self::Refused { exit, .. } => *exit,
            Self::Answer { .. } | Self::Other { .. } => Exit::Software,
        }
    }
}

/// Why a command that prints what the daemon answers did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

impl AskError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::Output(_) => Exit::Io,
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

/// Has the daemon behind `socket` read its configuration anew.
pub fn reload(socket: &Path) -> Result<Reloaded, ClientError> {
    match ask(socket, Request::Reload)? {
        Response::Reloaded(reloaded) => Ok(reloaded),
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

/// Gives every registration that the filter takes to `each`, one by one.
pub fn registrations(
    socket: &Path,
    filter: Filter,
    mut each: impl FnMut(Row),
) -> Result<(), ClientError> {
    let mut lines = Lines::ask(socket, &Request::Registrations { filter }, Some(PATIENCE))?;
    loop {
        match lines.next_response()? {
            Response::Registration(row) => each(*row),
            Response::End { .. } => return Ok(()),
            _ => return Err(lines.other()),
        }
    }
}

/// Gives the stream of registrations to `each`, until that wants no more or the daemon ends.
pub fn follow<E: From<ClientError>>(
    socket: &Path,
    filter: Filter,
    mut each: impl FnMut(Event) -> Result<(), E>,
) -> Result<(), E> {
    let mut lines = Lines::ask(socket, &Request::Follow { filter }, Some(HEARTBEAT * 2))?;
    loop {
        each(lines.next_event()?)?;
    }
}

/// Gives what a trace tells to `each`, to its end.
pub fn trace<E: From<ClientError>>(
    socket: &Path,
    order: &trace::Order,
    mut each: impl FnMut(Told) -> Result<(), E>,
) -> Result<(), E> {
    // The daemon ends it in time, and has to have the programs verified before.
    let patience = Duration::from_secs(order.seconds) + 6 * PATIENCE;
    let request = Request::Trace(order.clone());
    let mut lines = Lines::ask(socket, &request, Some(patience))?;
    loop {
        let line = lines.next_line()?;
        let told = match serde_json::from_str(&line) {
            Ok(told) => told,
            Err(_) => {
                lines.understood(&line)?;
                return Err(lines.other().into());
            }
        };
        let is_last = matches!(told, Told::Ended { .. });
        each(told)?;
        if is_last {
            return Ok(());
        }
    }
}

/// Has phones told to restart.
pub fn order(socket: &Path, command: Command) -> Result<Ordered, ClientError> {
    match ask(socket, Request::Order(command))? {
        Response::Ordered(ordered) => Ok(ordered),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

/// How far orders are.
pub fn orders(socket: &Path, ticket: Option<u64>) -> Result<Progress, ClientError> {
    match ask(socket, Request::Orders { ticket })? {
        Response::Orders(progress) => Ok(progress),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

/// Who is shut out from registration, the first to be let in again first.
pub fn bans(socket: &Path) -> Result<Vec<Banned>, ClientError> {
    match ask(socket, Request::Bans)? {
        Response::Bans(banned) => Ok(banned),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

/// Lets sources in again; those that it was.
pub fn lift(socket: &Path, which: Lift) -> Result<Vec<Banned>, ClientError> {
    match ask(socket, Request::Lift { which })? {
        Response::Lifted(lifted) => Ok(lifted),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

/// Changes what the daemon behind `socket` logs, for a while or for good, and tells what that is.
pub fn log(
    socket: &Path,
    change: Option<log::Change>,
    lasting: Option<Duration>,
) -> Result<log::Now, ClientError> {
    let request = Request::Log {
        change,
        // A part of a second is a second.
        for_seconds: lasting.map(|it| it.as_secs() + u64::from(it.subsec_nanos() > 0)),
    };
    match ask(socket, request)? {
        Response::Log(now) => Ok(*now),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

/// All phones together.
pub fn overview(socket: &Path) -> Result<Overview, ClientError> {
    match ask(socket, Request::Overview)? {
        Response::Overview(overview) => Ok(*overview),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

/// How far the phones are that the filter takes.
pub fn phones(socket: &Path, filter: journal::Filter) -> Result<Page, ClientError> {
    match ask(socket, Request::Phones { filter })? {
        Response::Phones(page) => Ok(page),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

/// What one phone did; none if nobody knows it.
pub fn phone(socket: &Path, device: DeviceName) -> Result<Option<PhoneView>, ClientError> {
    match ask(socket, Request::Phone { device })? {
        Response::Phone(phone) => Ok(phone.map(|it| *it)),
        _ => Err(ClientError::Other {
            socket: socket.to_owned(),
        }),
    }
}

fn ask(socket: &Path, request: Request) -> Result<Response, ClientError> {
    Lines::ask(socket, &request, Some(PATIENCE))?.next_response()
}

/// The answer to a request, line by line.
struct Lines<'s> {
    socket: &'s Path,
    answer: BufReader<UnixStream>,
}

impl<'s> Lines<'s> {
    fn ask(
        socket: &'s Path,
        request: &Request,
        patience: Option<Duration>,
    ) -> Result<Self, ClientError> {
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
        let ask = |mut stream: UnixStream| -> io::Result<_> {
            stream.set_read_timeout(patience)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut line = serde_json::to_string(request)?;
            line.push('\n');
            stream.write_all(line.as_bytes())?;
            Ok(BufReader::new(stream))
        };
        match ask(stream) {
            Ok(answer) => Ok(Self { socket, answer }),
            Err(source) => Err(ClientError::Broken {
                socket: owned(),
                source,
            }),
        }
    }

    fn next_line(&mut self) -> Result<String, ClientError> {
        let mut line = String::new();
        let read = (&mut self.answer).take(ANSWER_MAX).read_line(&mut line);
        let broken = |source| ClientError::Broken {
            socket: self.socket.to_owned(),
            source,
        };
        read.map_err(broken)?;
        match line.ends_with('\n') {
            true => Ok(line),
            false => Err(broken(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn next_response(&mut self) -> Result<Response, ClientError> {
        let line = self.next_line()?;
        self.understood(&line)
    }

    fn next_event(&mut self) -> Result<Event, ClientError> {
        let line = self.next_line()?;
        match serde_json::from_str(&line) {
            Ok(event) => Ok(event),
            Err(_) => match self.understood(&line)? {
                Response::End { .. } => Err(ClientError::Refused {
                    socket: self.socket.to_owned(),
                    message: "it follows nobody any more".to_owned(),
                    exit: Exit::Unavailable,
                }),
                _ => Err(self.other()),
            },
        }
    }

    fn understood(&self, line: &str) -> Result<Response, ClientError> {
        let socket = || self.socket.to_owned();
        match serde_json::from_str(line) {
            Ok(Response::Error(message)) => Err(ClientError::Refused {
                socket: socket(),
                message,
                exit: Exit::Software,
            }),
            Ok(Response::Refused { exit, message }) => Err(ClientError::Refused {
                socket: socket(),
                message,
                exit,
            }),
            Ok(response) => Ok(response),
            Err(source) => Err(ClientError::Answer {
                socket: socket(),
                source,
            }),
        }
    }

    fn other(&self) -> ClientError {
        ClientError::Other {
            socket: self.socket.to_owned(),
        }
    }
}
