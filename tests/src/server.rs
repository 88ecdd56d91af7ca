//! TFTP servers, ours and others, started the same way in the same place.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::Exchange;
use crate::lab::{Namespace, Process, SERVER_V4};

/// Where a server runs.
#[derive(Clone, Copy, Debug)]
pub enum Place<'lab> {
    /// In the lab's server namespace.
    Namespace(&'lab Namespace),
    /// On the loopback of the machine, as whoever we are.
    Loopback,
}

impl Place<'_> {
    /// A command that will run there.
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Namespace(namespace) => namespace.command(program),
            Self::Loopback => Command::new(program),
        }
    }

    /// Runs `work` there.
    pub fn enter<T: Send>(self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match self {
            Self::Namespace(namespace) => namespace.enter(work),
            Self::Loopback => work(),
        }
    }

    /// Moves the calling thread there, for good.
    pub fn enter_thread(self) -> Result<()> {
        match self {
            Self::Namespace(namespace) => namespace.enter_thread(),
            Self::Loopback => Ok(()),
        }
    }

    /// The server's IPv4 address there.
    pub fn address(self) -> Ipv4Addr {
        match self {
            Self::Namespace(_) => SERVER_V4,
            Self::Loopback => Ipv4Addr::LOCALHOST,
        }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub enum Server {
    /// `tftp-edge run --config FILE`, behind the words of a command that becomes it.
    Edge {
        under: Vec<OsString>,
        binary: PathBuf,
        config: PathBuf,
    },
    /// One process, one thread.
    Dnsmasq { root: PathBuf },
    /// A process for every request.
    Busybox { root: PathBuf },
}

impl Server {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Edge { .. } => "tftp-edge",
            Self::Dnsmasq { .. } => "dnsmasq",
            Self::Busybox { .. } => "busybox",
        }
    }

    /// Starts it in `place`, logging to `log`; returns when it answers requests to `port`. The
    /// others than ours listen to port 69 only.
    pub fn start(&self, place: Place<'_>, port: u16, log: &Path) -> Result<Process> {
        let command = self.command(place);
        let mut process = Process::start(self.name(), command, log)?;
        let server = SocketAddr::from((place.address(), port));
        process
            .wait_until(Duration::from_secs(120), || {
                place.enter(|| answers(server)).unwrap_or(false)
            })
            .with_context(|| format!("starting {}", self.name()))?;
        Ok(process)
    }

    fn command(&self, place: Place<'_>) -> Command {
        match self {
            Self::Edge {
                under,
                binary,
                config,
            } => {
                let mut words = under
                    .iter()
                    .map(OsString::as_os_str)
                    .chain([binary.as_os_str()]);
                let program = words.next().unwrap_or(binary.as_os_str());
                let mut command = place.command(program);
                command.args(words).args(["run", "--config"]).arg(config);
                command
            }
            Self::Dnsmasq { root } => {
                let mut command = place.command("dnsmasq");
                command
                    .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0"])
                    .args(["--user=root", "--log-facility=-", "--enable-tftp"])
                    .args(["--tftp-max=20000", "--pid-file"])
                    .arg(prefixed("--tftp-root=", root));
                command
            }
            Self::Busybox { root } => {
                let mut command = place.command("busybox");
                let address = place.address().to_string();
                command
                    .args(["udpsvd", &address, "69", "busybox", "tftpd", "-r"])
                    .arg(root);
                command
            }
        }
    }
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(prefix);
    argument.push(path);
    argument
}

/// Whether anything comes back for a name that does not exist. Where nobody listens the host says so,
/// and somebody who listens will answer: one question is under way at a time, and none is left behind
/// that would be counted later.
fn answers(server: SocketAddr) -> Result<bool> {
    let exchange = Exchange::new(server.ip(), 0)?;
    exchange.hear_refusals()?;
    exchange.send(server, b"\0\x01is-anybody-there\0octet\0")?;
    Ok(exchange.receive(Duration::from_secs(2))?.is_some())
}
