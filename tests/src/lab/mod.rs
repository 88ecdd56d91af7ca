//! The lab: a server and its clients, each in a network namespace of their own, on a veth pair.
//!
//! Everything is taken down again when the value that stands for it is dropped, also on panic.
//! What a killed run left behind is found by its name when the next lab is made.

mod bpffs;
mod capture;
mod command;
mod interrupt;
mod namespace;
mod process;
mod programs;
mod skip;
mod tool;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};

pub use bpffs::BpfFs;
pub use capture::{Capture, Findings};
pub use command::{output, run};
pub use interrupt::{interrupted, receive_within, uninterrupted, watch_for_interrupt};
pub use namespace::{Namespace, is_root, sweep_stale};
pub use process::Process;
pub use programs::{
    Attached, Impairment, Impairs, LabPrograms, Runs, Side, Tags, attached_to, identities,
    known_interfaces,
};
pub use skip::{skipped, with_root};
pub use tool::tool;

/// Queues of each end. Under XDP each has a ring of 256 frames; a storm overruns a single one.
const QUEUES: &str = "8";

/// The server's interface and addresses.
pub const SERVER_IF: &str = "srv0";
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

/// The clients' interface and its own addresses.
pub const CLIENT_IF: &str = "cli0";
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

/// Where simulated phones have their addresses. All of them are behind [`CLIENT_V4`] and
/// [`CLIENT_V6`], so the server needs one neighbour for any number of phones.
pub const PHONES_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 80, 0, 0), 12);
pub const PHONES_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 0), 64);

/// What can be chosen about a lab.
#[derive(Clone, Copy, Debug)]
pub struct LabOptions {
    /// MTU of both ends, in bytes.
    pub mtu: u32,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self { mtu: 1500 }
    }
}

/// Two namespaces on a wire.
#[derive(Debug)]
pub struct Lab {
    pub server: Namespace,
    pub client: Namespace,
}

impl Lab {
    /// Makes the lab. Needs root, `ip` and `ethtool`.
    pub fn new(options: LabOptions) -> Result<Self> {
        anyhow::ensure!(
            is_root(),
            "network namespaces need root: run this with sudo, or use the loopback"
        );
        sweep_stale();
        let lab = Self {
            server: Namespace::new("srv")?,
            client: Namespace::new("cli")?,
        };
        lab.wire(options).context("wiring the lab")?;
        Ok(lab)
    }

    fn wire(&self, options: LabOptions) -> Result<()> {
        let mtu = options.mtu.to_string();
        let (server, client) = (&self.server, &self.client);
        let ours = [
            "link",
            "add",
            CLIENT_IF,
            "mtu",
            &mtu,
            "numrxqueues",
            QUEUES,
            "numtxqueues",
            QUEUES,
            "netns",
            client.name(),
        ];
        let peer = [
            "peer",
            "name",
            SERVER_IF,
            "mtu",
            &mtu,
            "numrxqueues",
            QUEUES,
            "numtxqueues",
            QUEUES,
            "netns",
            server.name(),
        ];
        let words = ours.iter().chain(&["type", "veth"]).chain(&peer);
        run("ip", words)?;
        for (namespace, interface) in [(server, SERVER_IF), (client, CLIENT_IF)] {
            // Checksums and tags as they stand on a real wire: captures and XDP see them complete.
            let off = ["tx", "txvlan", "rxvlan", "gro", "tso", "gso"].map(|what| [what, "off"]);
            let words = ["-K", interface]
                .into_iter()
                .chain(off.into_iter().flatten());
            namespace.run("ethtool", words)?;
            namespace.ip(&["link", "set", "lo", "up"])?;
            namespace.ip(&["link", "set", interface, "up"])?;
        }
        self.address(client, CLIENT_IF, CLIENT_V4, CLIENT_V6)?;
        self.address(server, SERVER_IF, SERVER_V4, SERVER_V6)?;
        let addresses = [SERVER_V4.into(), SERVER_V6.into()];
        self.introduce(client, CLIENT_IF, server, SERVER_IF, addresses)?;
        let addresses = [CLIENT_V4.into(), CLIENT_V6.into()];
        self.introduce(server, SERVER_IF, client, CLIENT_IF, addresses)?;

        let [v4, v6] = [
            format!("{}/{}", PHONES_V4.0, PHONES_V4.1),
            format!("{}/{}", PHONES_V6.0, PHONES_V6.1),
        ];
        let (via_v4, via_v6) = (CLIENT_V4.to_string(), CLIENT_V6.to_string());
        server.ip(&["route", "add", &v4, "via", &via_v4])?;
        server.ip(&["-6", "route", "add", &v6, "via", &via_v6])?;
        client.ip(&["route", "add", "local", &v4, "dev", "lo"])?;
        client.ip(&["-6", "route", "add", "local", &v6, "dev", "lo"])?;
        // Phones repeat a SYN after 1, 3, 7 and 15 seconds; Linux would do so every second first.
        client.set_sysctl("net/ipv4/tcp_syn_linear_timeouts", "0")?;
        // A local route is enough to bind to for IPv4, but not for IPv6.
        client.set_sysctl("net/ipv6/ip_nonlocal_bind", "1")
    }

    /// Tells `here` the hardware address of `there`, so that no ARP can be lost in a storm.
    fn introduce(
        &self,
        here: &Namespace,
        here_if: &str,
        there: &Namespace,
        there_if: &str,
        addresses: [IpAddr; 2],
    ) -> Result<()> {
        let path = format!("/sys/class/net/{there_if}/address");
        let lladdr = there.output("cat", [path.as_str()])?;
        for address in addresses {
            here.ip(&[
                "neigh",
                "replace",
                &address.to_string(),
                "lladdr",
                lladdr.trim(),
                "dev",
                here_if,
                "nud",
                "permanent",
            ])?;
        }
        Ok(())
    }

    fn address(
        &self,
        namespace: &Namespace,
        interface: &str,
        v4: Ipv4Addr,
        v6: Ipv6Addr,
    ) -> Result<()> {
        let (v4, v6) = (format!("{v4}/24"), format!("{v6}/64"));
        namespace.ip(&["addr", "add", &v4, "dev", interface])?;
        namespace.ip(&["-6", "addr", "add", &v6, "dev", interface, "nodad"])
    }
}
