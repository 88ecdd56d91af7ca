//! A registrar to measure, ours or Kamailio, in a namespace of its own, and what it uses.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tftp_edge::inventory::Protocol;

use super::edge::{EdgeRegistrar, Registers};
use super::kamailio::Kamailio;
use crate::bench::runs::{cpu_time, cpu_time_of};
use crate::lab::{Namespace, PHONES_V4, Process, SERVER_V4};

/// The thread of ours that writes registrations behind.
const STORE: &str = "register-store";

/// It writes every two seconds at least: after so long without work, all is written.
const WRITTEN_AFTER: Duration = Duration::from_millis(2500);

/// A namespace with a loopback where the registrar and all phones have their addresses.
pub fn loopback() -> Result<Namespace> {
    let namespace = Namespace::new("reg")?;
    let (server, phones) = (
        format!("{SERVER_V4}/32"),
        format!("{}/{}", PHONES_V4.0, PHONES_V4.1),
    );
    namespace.ip(&["link", "set", "lo", "up"])?;
    namespace.ip(&["addr", "add", &server, "dev", "lo"])?;
    namespace.ip(&["route", "add", "local", &phones, "dev", "lo"])?;
    Ok(namespace)
}

enum Kind<'n> {
    Edge(EdgeRegistrar<'n>),
    Kamailio(Kamailio),
}

/// One registrar with one configuration.
pub struct Arm<'n> {
    kind: Kind<'n>,
    pub namespace: &'n Namespace,
    pub listen: SocketAddr,
    _folder: TempDir,
}

impl<'n> Arm<'n> {
    pub fn edge(binary: &Path, namespace: &'n Namespace, registers: &Registers) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let edge = EdgeRegistrar::new(binary, folder.path(), namespace, registers)?;
        Ok(Self {
            kind: Kind::Edge(edge),
            namespace,
            listen: (SERVER_V4, registers.port()).into(),
            _folder: folder,
        })
    }

    pub fn kamailio(namespace: &'n Namespace, digest: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let registers = Registers {
            protocol: Protocol::Sip,
            digest,
            phones: 0,
        };
        let listen = (SERVER_V4, registers.port()).into();
        let kamailio = Kamailio::new(folder.path(), listen, digest, cores)?;
        Ok(Self {
            kind: Kind::Kamailio(kamailio),
            namespace,
            listen,
            _folder: folder,
        })
    }

    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Edge(_) => "tftp-edge",
            Kind::Kamailio(_) => "kamailio",
        }
    }

    /// Starts it with nobody registered.
    pub fn start(&self) -> Result<Running<'_>> {
        let process = match &self.kind {
            Kind::Edge(edge) => edge.start()?,
            Kind::Kamailio(kamailio) => kamailio.start(self.namespace)?,
        };
        let pids = self.namespace.pids()?;
        let running = Running {
            arm: self,
            process,
            pids: pids.into_iter().map(|pid| pid as u32).collect(),
        };
        let registered = running.registered()?;
        ensure!(
            registered == 0,
            "{} begins with {registered} phones registered",
            self.name()
        );
        Ok(running)
    }
}

/// A registrar that runs.
pub struct Running<'a> {
    pub arm: &'a Arm<'a>,
    process: Process,
    /// All its processes.
    pids: Vec<u32>,
}

impl Running<'_> {
    /// How many phones it says it has registered.
    pub fn registered(&self) -> Result<u64> {
        match &self.arm.kind {
            Kind::Edge(edge) => edge.registered(),
            Kind::Kamailio(kamailio) => kamailio.registered(),
        }
    }

    /// CPU time of all its processes and threads.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.pids.iter().map(|&pid| cpu_time(pid)).sum()
    }

    /// The part of [`cpu_time`](Self::cpu_time) that went into writing registrations behind.
    pub fn store_time(&self) -> Result<Duration> {
        self.pids.iter().map(|&pid| cpu_time_of(pid, STORE)).sum()
    }

    /// Waits until all that was registered is written. Kamailio has nowhere to write it to.
    pub fn settle(&self) -> Result<()> {
        let Kind::Edge(_) = self.arm.kind else {
            return Ok(());
        };
        let (mut before, mut since) = (self.store_time()?, Instant::now());
        while since.elapsed() < WRITTEN_AFTER {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.store_time()?;
            // It looks around often, for microseconds.
            if now.saturating_sub(before) > Duration::from_millis(1) {
                (before, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Memory that is its own, in bytes: what its processes share is counted once.
    pub fn memory(&self) -> Result<u64> {
        self.pids.iter().map(|&pid| memory(pid)).sum()
    }

    pub fn stop(mut self) -> Result<()> {
        self.process.stop().map(drop)
    }

    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

/// Anonymous and shared memory in proportion to who shares it.
fn memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let kilobytes = |key: &str| -> Result<u64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(key));
        let value = line.and_then(|line| line.split_whitespace().next());
        let value = value.with_context(|| format!("{path} has no {key}"))?;
        Ok(value.parse::<u64>()? * 1024)
    };
    Ok(kilobytes("Pss_Anon:")? + kilobytes("Pss_Shmem:")?)
}
