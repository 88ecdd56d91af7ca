//! IPv4 packets as no well-behaved stack sends them.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use etherparse::{IpHeaders, Ipv4Header, Ipv4Options, PacketBuilder, ip_number};
use socket2::{Domain, Protocol, Socket, Type};
use tftp_edge_tests::lab::{CLIENT_IF, SERVER_V4};

/// Where the UDP header has its length and its checksum.
const UDP_LEN_AT: usize = 4;
const UDP_SUM_AT: usize = 6;

const IPPROTO_RAW: i32 = 255;

/// One datagram, before it is spoilt.
#[derive(Clone, Debug)]
pub struct Raw {
    pub from: (Ipv4Addr, u16),
    pub to: (Ipv4Addr, u16),
    pub payload: Vec<u8>,
    /// IPv4 options; a multiple of four bytes.
    pub options: Vec<u8>,
    pub spoil: Spoil,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    Nothing,
    /// The UDP checksum is wrong.
    Checksum,
    /// There is none, which IPv4 allows.
    NoChecksum,
    /// UDP claims to be longer than the packet.
    Length,
}

impl Raw {
    /// A sound datagram to the request port.
    pub fn to_server(from: (Ipv4Addr, u16), payload: &[u8]) -> Self {
        Self {
            from,
            to: (SERVER_V4, 69),
            payload: payload.to_vec(),
            options: Vec::new(),
            spoil: Spoil::Nothing,
        }
    }

    /// Header and datagram; the kernel fills in length and checksum of the header.
    fn packet(&self) -> Result<(Ipv4Header, Vec<u8>)> {
        let mut header = Ipv4Header::new(
            0,
            64,
            ip_number::UDP,
            self.from.0.octets(),
            self.to.0.octets(),
        )?;
        header.options = Ipv4Options::try_from(self.options.as_slice())?;
        let ip = IpHeaders::Ipv4(header.clone(), Default::default());
        let mut packet = Vec::new();
        PacketBuilder::ip(ip)
            .udp(self.from.1, self.to.1)
            .write(&mut packet, &self.payload)?;
        let mut udp = packet.split_off(header.header_len());
        match self.spoil {
            Spoil::Nothing => {}
            Spoil::Checksum => udp[UDP_SUM_AT] ^= 0x55,
            Spoil::NoChecksum => udp[UDP_SUM_AT..UDP_SUM_AT + 2].fill(0),
            Spoil::Length => udp[UDP_LEN_AT] = 0x10,
        }
        Ok((header, udp))
    }

    /// Sends it as one packet. The calling thread must be in the client's namespace.
    pub fn send(&self) -> Result<()> {
        let (header, udp) = self.packet()?;
        send(&header, &udp)
    }

    /// Sends it in two fragments, cut behind the first 16 bytes.
    pub fn send_in_fragments(&self) -> Result<()> {
        let (mut header, udp) = self.packet()?;
        let (first, second) = udp.split_at(16);
        header.identification = 0x7a7a;
        header.more_fragments = true;
        send(&header, first)?;
        header.more_fragments = false;
        header.fragment_offset = 2_u16.try_into()?;
        send(&header, second)
    }
}

fn send(header: &Ipv4Header, udp: &[u8]) -> Result<()> {
    let mut packet = Vec::new();
    header.write_raw(&mut packet)?;
    packet.extend_from_slice(udp);
    // IPPROTO_RAW: whoever sends brings the IP header along.
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))
        .context("opening a raw socket")?;
    socket.set_broadcast(true)?;
    // A packet to 255.255.255.255 has no route of its own.
    socket.bind_device(Some(CLIENT_IF.as_bytes()))?;
    let to = SocketAddr::from((header.destination, 0));
    socket
        .send_to(&packet, &to.into())
        .context("sending a raw packet")?;
    Ok(())
}
