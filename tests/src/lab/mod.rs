//! The lab: a server and its clients, each in a network namespace of their own, on a veth pair.
//!
//! Everything is taken down again when the value that stands for it is dropped, also on panic.
//! What a killed run left behind is found by its name when the next lab is made.

mod capture;
mod command;
mod interrupt;
mod namespace;
mod process;
mod programs;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};

pub use capture::{Capture, Findings};
pub use command::{output, run};
pub use interrupt::{interrupted, watch_for_interrupt};
pub use namespace::{Namespace, is_root, sweep_stale};
pub use process::Process;
pub use programs::{Attached, Impairment, Impairs, LabPrograms, Side, Tags};

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
        run(
            "ip",
            [
                "link",
                "add",
                CLIENT_IF,
                "mtu",
                &mtu,
                "netns",
                self.client.name(),
                "type",
                "veth",
                "peer",
                "name",
                SERVER_IF,
                "mtu",
                &mtu,
                "netns",
                self.server.name(),
            ],
        )?;
        let ends = [
            (&self.server, SERVER_IF, SERVER_V4, SERVER_V6),
            (&self.client, CLIENT_IF, CLIENT_V4, CLIENT_V6),
        ];
        for (namespace, interface, v4, v6) in ends {
            // Checksums and tags as they stand on a real wire: captures and XDP see them complete.
            namespace.run(
                "ethtool",
                [
                    "-K", interface, "tx", "off", "txvlan", "off", "rxvlan", "off", "gro", "off",
                    "tso", "off", "gso", "off",
                ],
            )?;
            namespace.ip(&["link", "set", "lo", "up"])?;
            namespace.ip(&["addr", "add", &format!("{v4}/24"), "dev", interface])?;
            namespace.ip(&[
                "-6",
                "addr",
                "add",
                &format!("{v6}/64"),
                "dev",
                interface,
                "nodad",
            ])?;
            namespace.ip(&["link", "set", interface, "up"])?;
        }
        self.introduce(
            &self.server,
            SERVER_IF,
            &self.client,
            CLIENT_IF,
            [CLIENT_V4.into(), CLIENT_V6.into()],
        )?;
        self.introduce(
            &self.client,
            CLIENT_IF,
            &self.server,
            SERVER_IF,
            [SERVER_V4.into(), SERVER_V6.into()],
        )?;

        let phones_v4 = format!("{}/{}", PHONES_V4.0, PHONES_V4.1);
        let phones_v6 = format!("{}/{}", PHONES_V6.0, PHONES_V6.1);
        self.server
            .ip(&["route", "add", &phones_v4, "via", &CLIENT_V4.to_string()])?;
        self.server.ip(&[
            "-6",
            "route",
            "add",
            &phones_v6,
            "via",
            &CLIENT_V6.to_string(),
        ])?;
        self.client
            .ip(&["route", "add", "local", &phones_v4, "dev", "lo"])?;
        self.client
            .ip(&["-6", "route", "add", "local", &phones_v6, "dev", "lo"])?;
        Ok(())
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

    /// Gives both ends an interface in VLAN `id`, for servers that take tagged frames from a
    /// socket; addresses move to it. The server's is `srv0.ID`.
    pub fn add_server_vlan(&self, id: u16) -> Result<()> {
        let name = format!("{SERVER_IF}.{id}");
        let tag = id.to_string();
        let namespace = &self.server;
        namespace.ip(&[
            "link", "add", "link", SERVER_IF, "name", &name, "type", "vlan", "id", &tag,
        ])?;
        namespace.ip(&["addr", "flush", "dev", SERVER_IF])?;
        namespace.ip(&["link", "set", &name, "up"])?;
        namespace.ip(&["addr", "add", &format!("{SERVER_V4}/24"), "dev", &name])?;
        namespace.ip(&[
            "-6",
            "addr",
            "add",
            &format!("{SERVER_V6}/64"),
            "dev",
            &name,
            "nodad",
        ])?;
        let path = format!("/sys/class/net/{CLIENT_IF}/address");
        let lladdr = self.client.output("cat", [path.as_str()])?;
        for address in [IpAddr::from(CLIENT_V4), CLIENT_V6.into()] {
            namespace.ip(&[
                "neigh",
                "replace",
                &address.to_string(),
                "lladdr",
                lladdr.trim(),
                "dev",
                &name,
                "nud",
                "permanent",
            ])?;
        }
        let phones_v4 = format!("{}/{}", PHONES_V4.0, PHONES_V4.1);
        let phones_v6 = format!("{}/{}", PHONES_V6.0, PHONES_V6.1);
        namespace.ip(&[
            "route",
            "replace",
            &phones_v4,
            "via",
            &CLIENT_V4.to_string(),
        ])?;
        namespace.ip(&[
            "-6",
            "route",
            "replace",
            &phones_v6,
            "via",
            &CLIENT_V6.to_string(),
        ])?;
        Ok(())
    }
}
