//! One transfer on a blocking socket, with hooks for faults, and raw exchanges.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv4RecvErr;

use crate::lab::receive_within;

use super::{Collect, Fetch, Outcome, Reaction, Request, Retry, Tally};

/// What [`get`] brought.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub outcome: Outcome,
    /// The payload, as far as it came.
    pub bytes: Vec<u8>,
    pub tally: Tally,
    /// Granted block size, bytes.
    pub blksize: usize,
    pub tsize: Option<u64>,
    /// The server's TID.
    pub tid: Option<u16>,
    pub took: Duration,
}

/// What befalls a datagram in [`get_with`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It arrives.
    None,
    Lose,
    /// It arrives twice.
    Duplicate,
}

/// Fetches a file from `from`, any port, and returns when the transfer is over. The calling thread
/// must be in the client's namespace.
pub fn get(from: IpAddr, server: SocketAddr, request: Request, retry: Retry) -> Result<Fetched> {
    get_with(from, server, request, retry, |_, _| Fault::None)
}

/// As [`get`]; `fault` is asked about every datagram: whether it is one that we send, and its
/// bytes.
pub fn get_with(
    from: IpAddr,
    server: SocketAddr,
    request: Request,
    retry: Retry,
    mut fault: impl FnMut(bool, &[u8]) -> Fault,
) -> Result<Fetched> {
    let socket = bind(from)?;
    let started = Instant::now();
    let mut fetch = Fetch::new(server, request, retry, Collect::default(), started);
    let mut out = Vec::new();
    let mut incoming = vec![0; 65_536];
    let mut reaction = Reaction::Send;
    loop {
        if matches!(reaction, Reaction::Send | Reaction::SendAndEnd) {
            let to = fetch.transmit(&mut out);
            let times = match fault(true, &out) {
                Fault::None => 1,
                Fault::Lose => 0,
                Fault::Duplicate => 2,
            };
            for _ in 0..times {
                socket
                    .send_to(&out, to)
                    .with_context(|| format!("sending to {to}"))?;
            }
        }
        if matches!(reaction, Reaction::End | Reaction::SendAndEnd) {
            break;
        }
        let wait = fetch.deadline().saturating_duration_since(Instant::now());
        let came = receive_within(wait, |left| {
            socket.set_read_timeout(Some(left))?;
            socket.recv_from(&mut incoming)
        });
        reaction = match came.context("receiving")? {
            Some((len, peer)) => {
                let packet = &incoming[..len];
                let now = Instant::now();
                match fault(false, packet) {
                    Fault::Lose => Reaction::Wait,
                    Fault::None => fetch.on_datagram(now, peer, packet),
                    Fault::Duplicate => {
                        let first = fetch.on_datagram(now, peer, packet);
                        if first == Reaction::Send {
                            let to = fetch.transmit(&mut out);
                            socket.send_to(&out, to)?;
                        }
                        match first {
                            Reaction::End | Reaction::SendAndEnd => first,
                            _ => fetch.on_datagram(now, peer, packet),
                        }
                    }
                }
            }
            None => fetch.on_deadline(Instant::now()),
        };
    }
    Ok(Fetched {
        outcome: fetch
            .outcome()
            .cloned()
            .context("a transfer ended without an outcome")?,
        tally: fetch.tally(),
        blksize: fetch.blksize(),
        tsize: fetch.tsize(),
        tid: fetch.tid(),
        took: started.elapsed(),
        bytes: fetch.into_sink().0,
    })
}

fn bind(from: IpAddr) -> Result<UdpSocket> {
    UdpSocket::bind((from, 0)).with_context(|| format!("binding a client's socket to {from}"))
}

/// Datagrams by hand, for hostile input: nothing is checked, nothing is answered by itself.
#[derive(Debug)]
pub struct Exchange {
    socket: UdpSocket,
}

impl Exchange {
    /// A socket on `from` with any port, or with `port` if it is not zero.
    pub fn new(from: IpAddr, port: u16) -> Result<Self> {
        let socket = UdpSocket::bind((from, port))
            .with_context(|| format!("binding a client's socket to {from} port {port}"))?;
        Ok(Self { socket })
    }

    pub fn local_port(&self) -> Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// From now on a receive fails when the host that was sent to says that nobody listens there
    /// (`IP_RECVERR` of ip(7)). Over IPv4.
    pub fn hear_refusals(&self) -> Result<()> {
        setsockopt(&self.socket, Ipv4RecvErr, &true).context("asking for refusals")
    }

    pub fn send(&self, to: SocketAddr, packet: &[u8]) -> Result<()> {
        self.socket
            .send_to(packet, to)
            .with_context(|| format!("sending to {to}"))?;
        Ok(())
    }

    /// The next datagram, or `None` if none comes `within` that time.
    pub fn receive(&self, within: Duration) -> Result<Option<(SocketAddr, Vec<u8>)>> {
        let mut incoming = vec![0; 65_536];
        let came = receive_within(within, |left| {
            self.socket.set_read_timeout(Some(left))?;
            self.socket.recv_from(&mut incoming)
        });
        let Some((len, peer)) = came.context("receiving")? else {
            return Ok(None);
        };
        incoming.truncate(len);
        Ok(Some((peer, incoming)))
    }
}
