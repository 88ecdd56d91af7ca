//! tftp-edge as a registrar, with the phones in its inventory.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tftp_edge::inventory::Protocol;

use super::population;
use crate::demo::{Edge, Mode};
use crate::lab::{Namespace, Process};
use crate::server::Place;

/// What it runs with.
pub struct EdgeRegistrar<'n> {
    edge: Edge<'n>,
    /// What it writes registrations to.
    store: PathBuf,
}

impl<'n> EdgeRegistrar<'n> {
    /// Writes its configuration into `folder` and imports the phones.
    pub fn new(
        binary: &Path,
        folder: &Path,
        namespace: &'n Namespace,
        registers: &Registers,
    ) -> Result<Self> {
        let place = Place::Namespace(namespace);
        let edge = Edge::new(binary, folder, place, Mode::Off, 1_000)?;
        edge.configure(&registers.section(place.address().into()))?;
        let csv = folder.join("phones.csv");
        fs::write(&csv, population::csv(registers.protocol, registers.phones))
            .with_context(|| format!("writing {}", csv.display()))?;
        edge.import(&csv)?;
        let store = folder.join("registrations.db");
        Ok(Self { edge, store })
    }

    /// Starts it with nobody registered; returns when it is ready.
    pub fn start(&self) -> Result<Process> {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.store.clone().into_os_string();
            file.push(suffix);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", file.display()));
                }
                _ => {}
            }
        }
        self.edge.start()
    }

    /// How many phones it has registered: it lists them, each once.
    pub fn registered(&self) -> Result<u64> {
        let listed = self.edge.command(&["registrations", "--json"])?;
        Ok(listed.iter().filter(|&&byte| byte == b'\n').count() as u64)
    }
}

/// Which phones register, and how.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    pub protocol: Protocol,
    pub digest: bool,
    pub phones: u32,
}

impl Registers {
    pub fn port(&self) -> u16 {
        match self.protocol {
            Protocol::Sip => 5060,
            Protocol::Sccp => 2000,
        }
    }

    /// Phones are granted what they ask for, without a cut, as at Kamailio: none is to leave before
    /// the round is over.
    fn section(&self, address: IpAddr) -> String {
        let listen = SocketAddr::from((address, self.port()));
        let require = if self.digest { "always" } else { "never" };
        let section = match self.protocol {
            Protocol::Sip => format!(
                r#"
[register.sip]
listen = ["{listen}"]

[register.sip.digest]
require = "{require}"

[register.sip.expires]
max_s = 3600
cut_percent = 0

[register.sccp]
enabled = false
"#
            ),
            Protocol::Sccp => format!(
                r#"
[register.sccp]
listen = ["{listen}"]

[register.sip]
enabled = false
"#
            ),
        };
        format!("\n[register]\nmode = \"registrar\"\n{section}")
    }
}
