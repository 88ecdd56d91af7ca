//! Transfers in lockstep: as many packets under way as there are lanes, always.
//!
//! A repeated ACK is a duplicate, which the kernel program does not answer, so a frame cannot simply
//! be sent again and again. Each lane is a real transfer that asks for one block after the other.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tftp_ebpf::wire::tftp::opcode;

use crate::client::Request;
use crate::lab::uninterrupted;
use crate::server::Place;

/// Longer than any answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// What stands on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// Answers an ACK with the next DATA.
    Server,
    /// Sends the ACK back.
    Echo,
}

struct Lane {
    socket: UdpSocket,
    /// The block to be acknowledged next.
    block: u16,
}

/// The lanes. Dropping it gives up the transfers: each is sent an ERROR.
pub struct Load {
    lanes: Vec<Lane>,
    peer: Peer,
    incoming: Vec<u8>,
}

impl Load {
    /// Begins `lanes` transfers of the same file.
    pub fn transfers(
        place: Place<'_>,
        from: IpAddr,
        server: SocketAddr,
        request: &Request,
        lanes: usize,
    ) -> Result<Self> {
        let mut packet = Vec::new();
        request.encode(&mut packet);
        let mut incoming = vec![0; 2048];
        let lanes = (0..lanes)
            .map(|_| {
                let socket = place.enter(|| bind(from))?;
                socket.send_to(&packet, server)?;
                let (len, tid) = uninterrupted(|| socket.recv_from(&mut incoming))
                    .with_context(|| format!("no answer to a request of {}", request.name))?;
                socket.connect(tid)?;
                let block = match parse(&incoming[..len]) {
                    Some((opcode::OACK, _)) => 0,
                    Some((opcode::DATA, 1)) => 1,
                    _ => bail!("{} is not served", request.name),
                };
                Ok(Lane { socket, block })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            lanes,
            peer: Peer::Server,
            incoming,
        })
    }

    /// Lanes to someone who sends every frame back.
    pub fn echoes(place: Place<'_>, from: IpAddr, to: SocketAddr, lanes: usize) -> Result<Self> {
        let lanes = (0..lanes)
            .map(|_| {
                let socket = place.enter(|| bind(from))?;
                socket.connect(to)?;
                Ok(Lane { socket, block: 0 })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            lanes,
            peer: Peer::Echo,
            incoming: vec![0; 2048],
        })
    }

    /// Sends `each` ACKs on every lane, each when the answer to the one before has come.
    pub fn run(&mut self, each: u16) -> Result<()> {
        for lane in &self.lanes {
            lane.acknowledge()?;
        }
        for turn in 1..=each {
            for lane in &mut self.lanes {
                lane.receive(self.peer, &mut self.incoming)?;
                if turn < each {
                    lane.acknowledge()?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if self.peer == Peer::Server {
            for lane in &self.lanes {
                // Whoever does not get it gives up by itself.
                let _ = lane.socket.send(b"\0\x05\0\0measured\0");
            }
        }
    }
}

impl Lane {
    fn acknowledge(&self) -> Result<()> {
        let [high, low] = self.block.to_be_bytes();
        self.socket
            .send(&[0, opcode::ACK as u8, high, low])
            .context("sending an ACK")?;
        Ok(())
    }

    /// Takes the answer to the ACK that was sent last.
    fn receive(&mut self, peer: Peer, incoming: &mut [u8]) -> Result<()> {
        let expected = match peer {
            Peer::Server => (opcode::DATA, self.block.wrapping_add(1)),
            Peer::Echo => (opcode::ACK, self.block),
        };
        loop {
            let len = uninterrupted(|| self.socket.recv(incoming))
                .with_context(|| format!("no answer to the ACK of block {}", self.block))?;
            let got = parse(&incoming[..len]).context("an answer that is no TFTP")?;
            // What was resent because we were slow is no answer.
            if peer == Peer::Server && got == (opcode::DATA, self.block) {
                continue;
            }
            ensure!(
                got == expected,
                "expected opcode and block {expected:?}, got {got:?}"
            );
            self.block = self.block.wrapping_add(1);
            return Ok(());
        }
    }
}

fn parse(packet: &[u8]) -> Option<(u16, u16)> {
    let &[a, b, c, d, ..] = packet else {
        return None;
    };
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn bind(from: IpAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((from, 0)).with_context(|| format!("binding to {from}"))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}
