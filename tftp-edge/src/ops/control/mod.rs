//! The control socket: how `tftp-edge status`, `phones` and `registrations` ask the daemon that
//! runs.
//!
//! Newline-delimited JSON over a Unix stream socket. A request is one line:
//!
//! ```text
//! {"request":"status"}                                      {"status":{…}}
//! {"request":"knocking","who":"unknown"}                    {"knocking":[…]}
//! {"request":"registrations","filter":{"site":"berlin"}}    {"registration":{…}}, one a line, then
//!                                                           {"end":{"registrations":2}}
//! {"request":"follow","filter":{}}                          events, one a line, without an end
//! {"request":"order","order":"reset","phones":{"names":["SEP001122334455"]}}
//!                                                           {"ordered":{…}}
//! {"request":"orders","ticket":7}                           {"orders":{…}}
//! {"request":"bans"}                                        {"bans":[…]}
//! {"request":"lift","which":{"sources":["10.66.6.6"]}}       {"lifted":[…]}, those that it was
//! {"request":"lift","which":"all"}
//! {"request":"log","change":{"level":"debug"},"for_seconds":600}
//!                                                           {"log":{…}}
//! {"request":"overview"}                                    {"overview":{…}}
//! {"request":"reload"}                                      {"reloaded":{"done":{…}}}, or
//!                                                           {"reloaded":{"refused":"…"}}
//! {"request":"phones","filter":{"site":"berlin","stuck":true}}   {"phones":{"total":2,"rows":[…]}}
//! {"request":"phone","device":"SEP001122334455"}            {"phone":{…}}, or {"phone":null}
//! {"request":"trace","target":"10.0.0.5","seconds":60}      what a trace tells, one thing a line, to
//!                                                           {"ended":{…}}; then the connection ends
//! ```
//!
//! What is not understood is told as `{"error":"…"}`, and what cannot be done now, or not for who asks,
//! as `{"refused":{"exit":"temporary","message":"…"}}`, with how the command is to end. Registrations and events are those of
//! [`crate::register::export`], orders those of [`crate::register::pacer`], and a trace
//! tells what [`crate::trace::Told`] has. A connection may ask
//! again after an answer that has an end; it is closed when a line is too long, when none comes for
//! a while, and when an answer is not read.

mod claim;
mod client;
mod stream;

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use self::claim::{Claim, ClaimError};
pub use self::client::{
    AskError, ClientError, bans, follow, knocking, lift, log, order, orders, overview, phone,
    phones, registrations, reload, status, trace,
};
use super::exit::Exit;
use super::log;
use super::reload::Reloaded;
use super::sources::Sources;
use super::status::Status;
use crate::clock::steady;
use crate::inventory::DeviceName;
use crate::journal::{self, Overview, Page, PhoneView};
use crate::provisioning::{Knockers, Knocking};
use crate::register::bans::{Banned, Bans, Lift};
use crate::register::export::{Filter, Row};
use crate::register::pacer::{Command, Ordered, Progress};
use crate::trace;

/// Longest request line, its newline included.
const LINE_MAX: u64 = 4096;
/// How long a client may take for a line, in either direction.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 32;
/// After a failed accept (too many open files): retrying at once would only burn the CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// `[control]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub socket: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/tftp-edge/control.sock"),
        }
    }
}

/// The room for a path in `sockaddr_un`, less its closing NUL (unix(7)).
const PATH_MAX: usize = 107;

impl Settings {
    /// The first key whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let len = self.socket.as_os_str().len();
        if len > PATH_MAX {
            return Err((
                "socket",
                format!("the path has {len} bytes and a socket's may have {PATH_MAX}; shorten it"),
            ));
        }
        Ok(())
    }
}

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    Status,
    /// Read the configuration anew.
    Reload,
    /// The devices that asked in vain.
    Knocking {
        who: Knockers,
    },
    /// Who is registered now.
    Registrations {
        #[serde(default)]
        filter: Filter,
    },
    /// The same, and what changes from then on.
    Follow {
        #[serde(default)]
        filter: Filter,
    },
    /// Tell phones to restart.
    Order(Command),
    /// How far that is.
    Orders {
        #[serde(default)]
        ticket: Option<u64>,
    },
    /// Who is shut out from registration.
    Bans,
    /// Let them in again.
    Lift {
        which: Lift,
    },
    /// What is logged now, after the change if there is one.
    Log {
        #[serde(default)]
        change: Option<log::Change>,
        /// The change ends after so long.
        #[serde(default)]
        for_seconds: Option<u64>,
    },
    /// All phones together, by stage.
    Overview,
    /// How far phones are.
    Phones {
        #[serde(default)]
        filter: journal::Filter,
    },
    /// What one phone did.
    Phone {
        device: DeviceName,
    },
    /// Every packet of one phone.
    Trace(trace::Order),
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    Status(Box<Status>),
    Reloaded(Reloaded),
    Knocking(Vec<Knocking>),
    /// One of many.
    Registration(Box<Row>),
    /// That was the last of them.
    End {
        registrations: u64,
    },
    Ordered(Ordered),
    Orders(Progress),
    Bans(Vec<Banned>),
    /// Those that it was.
    Lifted(Vec<Banned>),
    Log(Box<log::Now>),
    Overview(Box<Overview>),
    Phones(Page),
    /// None: neither the inventory nor the journal has it.
    Phone(Option<Box<PhoneView>>),
    /// Understood, and not done.
    Refused {
        /// How the command that asked is to end.
        exit: Exit,
        message: String,
    },
    Error(String),
}

/// Answers on a claimed socket until it is dropped; then the socket is gone.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
    _claim: Claim,
}

impl Server {
    /// Must be called inside a tokio runtime.
    pub fn start(claim: Claim, sources: Arc<Sources>) -> io::Result<Self> {
        let listener: StdListener = claim.listen()?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self {
            task: tokio::spawn(accept(listener, sources)),
            _claim: claim,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: UnixListener, sources: Arc<Sources>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let sources = Arc::clone(&sources);
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &sources).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(event = "control.accept_failed", %error, "control socket: cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(mut stream: UnixStream, sources: &Arc<Sources>) -> io::Result<()> {
    let is_trusted = may_read_passwords(&stream);
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut read).take(LINE_MAX);
        timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Ok(());
        }
        let complete = line.ends_with(b"\n");
        let response = if complete {
            match serde_json::from_slice(&line) {
                Ok(Request::Registrations { filter }) => {
                    stream::registrations(&sources.export, &filter, &mut write).await?
                }
                Ok(Request::Follow { filter }) => {
                    stream::follow(&sources.export, filter, &mut read, &mut write).await?
                }
                Ok(Request::Trace(order)) => {
                    let begun = begin_trace(sources, order, is_trusted).await;
                    match begun {
                        Ok(told) => return stream::trace(told, &mut read, &mut write).await,
                        Err(refused) => refused,
                    }
                }
                Ok(request) => answer(request, sources).await,
                Err(error) => Response::Error(format!("request not understood: {error}")),
            }
        } else {
            Response::Error(format!(
                "a request is one line of JSON of at most {LINE_MAX} bytes"
            ))
        };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        timeout(PATIENCE, write.write_all(&text)).await??;
        if !complete {
            return Ok(());
        }
    }
}

/// The socket's group may ask how the daemon is; the passwords of phones are another matter.
fn may_read_passwords(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    let peer = stream.peer_cred();
    peer.is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

/// Waits for the kernel program, elsewhere.
async fn begin_trace(
    sources: &Arc<Sources>,
    order: trace::Order,
    is_trusted: bool,
) -> Result<Receiver<trace::Told>, Response> {
    let tracer = Arc::clone(&sources.tracer);
    let begun = tokio::task::spawn_blocking(move || tracer.begin(&order, is_trusted));
    match begun.await {
        Ok(begun) => begun.map_err(|error| Response::Refused {
            exit: error.exit(),
            message: error.to_string(),
        }),
        Err(error) => Err(Response::Error(format!("the request failed: {error}"))),
    }
}

async fn answer(request: Request, sources: &Arc<Sources>) -> Response {
    let sources = Arc::clone(sources);
    // Reading the kernel's maps is a row of system calls, and the devices that asked are many.
    let answered = tokio::task::spawn_blocking(move || match request {
        Request::Status => Response::Status(Box::new(Status::new(&sources.read()))),
        Request::Reload => Response::Reloaded((sources.reload)()),
        Request::Knocking { who } => Response::Knocking((sources.knocking)(who)),
        Request::Order(command) => Response::Ordered(sources.orders.command(&command, steady())),
        Request::Orders { ticket } => Response::Orders(sources.orders.progress(ticket)),
        Request::Bans => Response::Bans(sources.bans.list(Instant::now())),
        Request::Lift { which } => Response::Lifted(let_in(&sources.bans, &which)),
        Request::Log {
            change,
            for_seconds,
        } => logged(&sources.log, change, for_seconds),
        Request::Overview => Response::Overview(Box::new((*sources.board.overview()).clone())),
        Request::Phones { filter } => Response::Phones(sources.board.phones(&filter)),
        Request::Phone { device } => Response::Phone(sources.board.phone(&device).map(Box::new)),
        Request::Registrations { .. } | Request::Follow { .. } | Request::Trace(_) => {
            unreachable!("their answers are streams")
        }
    });
    match answered.await {
        Ok(response) => response,
        Err(error) => Response::Error(format!("the request failed: {error}")),
    }
}

fn let_in(bans: &Bans, which: &Lift) -> Vec<Banned> {
    let lifted = bans.lift(which, Instant::now());
    for banned in &lifted {
        tracing::info!(
            event = "ban.lifted",
            source = banned.source,
            "let in again by an operator"
        );
    }
    lifted
}

fn logged(log: &log::Log, change: Option<log::Change>, for_seconds: Option<u64>) -> Response {
    let now = Instant::now();
    if let Some(change) = change {
        let lasting = for_seconds.map(Duration::from_secs);
        if let Err(error) = log.change(change, lasting, now) {
            return Response::Refused {
                exit: error.exit(),
                message: error.to_string(),
            };
        }
    }
    Response::Log(Box::new(log.now(now)))
}

#[cfg(test)]
mod tests;
