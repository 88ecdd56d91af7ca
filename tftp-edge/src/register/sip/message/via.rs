//! One hop of the way a request came: `SIP/2.0/UDP host:port;branch=…` (RFC 3261 20.42).

use std::net::{IpAddr, SocketAddr};

use super::text::{is_space, is_token};
use super::uri::{address, host_port};
use super::{Params, number};

/// What a Via without a port means.
const DEFAULT_PORT: u16 = 5060;
const DEFAULT_TLS_PORT: u16 = 5061;

/// One value of a Via header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'m> {
    /// `UDP`, `TCP`, `TLS`, …, as it was written.
    pub transport: &'m [u8],
    pub host: &'m [u8],
    pub port: Option<u16>,
    pub params: Params<'m>,
    /// What stands before the parameters, as it was written.
    pub before: &'m [u8],
}

impl<'m> Via<'m> {
    pub fn parse(value: &'m [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        // White space is allowed around the slashes.
        let (name, rest) = split(value, b'/')?;
        let (version, rest) = split(rest, b'/')?;
        let rest = rest.trim_ascii_start();
        let end = rest.iter().position(|&byte| is_space(byte))?;
        let (transport, sent_by) = rest.split_at(end);
        if !name.eq_ignore_ascii_case(b"SIP") || version != b"2.0" || !is_token(transport) {
            return None;
        }
        let sent_by = sent_by.trim_ascii_start();
        let end = memchr::memchr(b';', sent_by).unwrap_or(sent_by.len());
        let (host, port) = host_port(sent_by[..end].trim_ascii_end())?;
        let params = &sent_by[end..];
        Some(Self {
            transport,
            host,
            port,
            params: Params::parse(params)?,
            before: value[..value.len() - params.len()].trim_ascii_end(),
        })
    }

    pub fn branch(&self) -> Option<&'m [u8]> {
        self.params.value("branch")
    }

    /// The sender wants the answer back at the port it sent from (RFC 3581).
    pub fn wants_rport(&self) -> bool {
        self.params.get("rport").is_some()
    }

    /// Whether it names the address the packet came from.
    pub fn is_from(&self, source: IpAddr) -> bool {
        address(self.host).is_some_and(|host| host.to_canonical() == source.to_canonical())
    }

    /// Where the answer to a datagram goes: to the address it came from, always, and there to the
    /// port it came from if the sender asks so, else to that in the Via (RFC 3261 18.2.2, RFC 3581
    /// section 4). `maddr` is not followed: an answer goes nowhere but where the request came from.
    pub fn answer_to(&self, source: SocketAddr) -> SocketAddr {
        if self.wants_rport() {
            return source;
        }
        let default = match self.transport.eq_ignore_ascii_case(b"TLS") {
            true => DEFAULT_TLS_PORT,
            false => DEFAULT_PORT,
        };
        // Port 0 is nobody's.
        let port = self.port.filter(|&port| port != 0).unwrap_or(default);
        let mut to = source;
        to.set_port(port);
        to
    }

    /// Its `ttl`, `rport` or other number.
    pub fn number(&self, name: &str) -> Option<u32> {
        number::decimal(self.params.value(name)?)
    }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, bytes)?;
    Some((bytes[..place].trim_ascii(), &bytes[place + 1..]))
}
