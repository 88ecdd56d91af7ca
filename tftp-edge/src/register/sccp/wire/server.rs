//! ServerRes: the servers a phone can turn to.

use std::net::{IpAddr, Ipv4Addr};

use super::{Body, Dialect, Outgoing, Reply};

/// How many servers a phone is told.
pub const SERVERS: usize = 5;

/// A server a phone can register with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationServer<'p> {
    pub name: &'p str,
    pub port: u16,
    /// Unspecified if only the name is known.
    pub address: IpAddr,
}

/// ServerRes 0x009E.
#[derive(Clone, Copy, Debug)]
pub struct ServerRes<'p> {
    /// In the order to try them, [`SERVERS`] at most.
    pub servers: &'p [StationServer<'p>],
}

/// How an address's family is written where there is room for both.
const IPV4: u32 = 0;
const IPV6: u32 = 1;

impl Reply for ServerRes<'_> {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::ServerRes
    }

    fn emit(&self, body: &mut Body<'_>) {
        let nobody = StationServer {
            name: "",
            port: 0,
            address: Ipv4Addr::UNSPECIFIED.into(),
        };
        let servers: [&StationServer<'_>; SERVERS] =
            std::array::from_fn(|at| self.servers.get(at).unwrap_or(&nobody));
        for server in servers {
            body.text(server.name, 48);
        }
        for server in servers {
            body.u32(server.port.into());
        }
        for server in servers {
            let address = server.address.to_canonical();
            if body.dialect().has_dynamic_lines() {
                body.u32(if address.is_ipv6() { IPV6 } else { IPV4 });
                body.address(address, 16);
            } else {
                body.address(address, 4);
            }
        }
    }
}
