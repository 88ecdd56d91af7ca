//! tftp-edge as a registrar, with the phones in its inventory.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result};
use tftp_edge::inventory::Protocol;

use super::population;
use crate::demo::{Edge, Mode};
use crate::lab::{Namespace, Process};
use crate::server::Place;

/// What it runs with.
pub struct EdgeRegistrar<'n> {
    edge: Edge<'n>,
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
        Ok(Self { edge })
    }

    /// Starts it with nobody registered; returns when it is ready.
    pub fn start(&self) -> Result<Process> {
        self.edge.start()
    }

    /// How many phones it has registered, by itself.
    pub fn registered(&self) -> Result<u64> {
        Ok(self.edge.metrics()?.sum("tftp_edge_registrations", &[]) as u64)
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

    /// Phones keep what they ask for, as at Kamailio: none is to leave before the round is over.
    fn section(&self, address: IpAddr) -> String {
        let listen = SocketAddr::from((address, self.port()));
        let (sip, sccp) = match self.protocol {
            Protocol::Sip => (format!("listen = [\"{listen}\"]"), "enabled = false".into()),
            Protocol::Sccp => ("enabled = false".into(), format!("listen = [\"{listen}\"]")),
        };
        let require = if self.digest { "always" } else { "never" };
        format!(
            r#"
[register]
mode = "registrar"

[register.sip]
{sip}

[register.sip.digest]
require = "{require}"

[register.sip.expires]
max_s = 3600

[register.sccp]
{sccp}
"#
        )
    }
}
