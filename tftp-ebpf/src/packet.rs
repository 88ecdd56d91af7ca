//! The headers of a packet, read once: all of them for UDP, and as far as its ports for TCP.

use crate::abi::Address;
use crate::checksum::Sum;
use crate::frame::Frame;
use crate::verdict::Reason;
use crate::wire::Bytes;
use crate::wire::eth::{self, Ethernet, ethertype};
use crate::wire::ip;
use crate::wire::udp::Udp;

/// The headers, laid out as in an untagged IPv4 frame: most frames are, and each load of a piece
/// costs more than the bytes in it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// So that the IP header stands at whole words.
    padding: [u8; 2],
    pub ethernet: Ethernet,
    v4: ip::V4,
    pub transport: Transport,
}

// SAFETY: words without padding: see the assertion.
unsafe impl Bytes for Start {}
const _: () = assert!(size_of::<Start>() == 2 + Start::LEN);

impl Start {
    const LEN: usize = eth::HEADER_LEN + ip::V4::LEN + size_of::<Transport>();
    const EMPTY: Self = Self::new(
        Ethernet::EMPTY,
        ip::V4::EMPTY,
        Transport {
            udp: Udp::EMPTY,
            tftp: 0,
        },
    );

    #[inline(always)]
    pub const fn new(ethernet: Ethernet, v4: ip::V4, transport: Transport) -> Self {
        Self {
            padding: [0; 2],
            ethernet,
            v4,
            transport,
        }
    }

    /// As it stands in the frame.
    #[inline(always)]
    pub const fn in_frame(&self) -> &[u8; Self::LEN] {
        // SAFETY: all that is behind the padding.
        unsafe { &*(&raw const *self).cast::<u8>().add(2).cast() }
    }

    #[inline(always)]
    const fn in_frame_mut(&mut self) -> &mut [u8; Self::LEN] {
        // SAFETY: as above.
        unsafe { &mut *(&raw mut *self).cast::<u8>().add(2).cast() }
    }
}

/// UDP header and the first four bytes of its payload, as they stand in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Transport {
    pub udp: Udp,
    /// Meaningless if the payload is shorter.
    pub tftp: u32,
}

// SAFETY: words without padding.
unsafe impl Bytes for Transport {}

/// Everything known about a UDP packet after its headers were read. Lives in the scratch memory:
/// it would fill a good part of a BPF stack.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub source: Address,
    pub destination: Address,
    /// Offset of the IP header.
    pub network: usize,
    /// Offset of the UDP payload, and its length.
    pub payload: usize,
    pub payload_len: usize,
    /// Bytes of the frame as it came in.
    pub frame_len: usize,
    /// VLAN tags as they stand in the frame, outermost first, with the one the driver took out.
    pub tags: [u8; 8],
    pub start: Start,
    /// Only read, and only over IPv6.
    v6_header: ip::V6,
    /// Bytes that the IP header leaves for what is behind it.
    pub room: usize,
    /// Bytes of `tags` in use: 0, 4 or 8.
    pub tags_len: u8,
    pub v6: bool,
    /// IPv4 protocol or IPv6 next header; zero if the frame has no IP header that could be read.
    pub protocol: u8,
    /// The frame is an untagged one over IPv4: the first load has its transport header.
    is_loaded: bool,
}

/// What can be said of a packet that is none of TFTP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing: not IP, or neither UDP nor TCP.
    Nothing,
    /// Where it is from and to, with ports.
    Ports,
    /// Where it is from and to, without ports: they stand behind options or extension headers, or
    /// in another fragment.
    Complex,
}

impl Packet {
    pub const EMPTY: Self = Self {
        source: [0; 4],
        destination: [0; 4],
        network: 0,
        payload: 0,
        payload_len: 0,
        frame_len: 0,
        tags: [0; 8],
        start: Start::EMPTY,
        v6_header: ip::V6::EMPTY,
        room: 0,
        tags_len: 0,
        v6: false,
        protocol: 0,
        is_loaded: false,
    };

    /// Reads a frame as far as its UDP header, and the opcode behind it.
    #[inline(always)]
    pub fn parse<F: Frame>(&mut self, frame: &F) -> Result<(), Reason> {
        self.protocol = 0;
        let in_one = frame.load(0, self.start.in_frame_mut());
        if !in_one && !frame.load(0, &mut self.start.ethernet) {
            return Err(Reason::NotIp);
        }
        let ethertype = self.parse_tags(frame)?;
        let is_loaded = in_one && ethertype == ethertype::IPV4 && self.network == eth::HEADER_LEN;
        self.is_loaded = is_loaded;
        self.room = match ethertype {
            ethertype::IPV4 => {
                if !is_loaded && !frame.load(self.network, &mut self.start.v4) {
                    return Err(Reason::NotIp);
                }
                self.parse_v4()?
            }
            ethertype::IPV6 => self.parse_v6(frame)?,
            _ => return Err(Reason::NotIp),
        };
        let transport = self.payload - Udp::LEN;
        // A payload of less than four bytes may end with the frame.
        if !is_loaded
            && !frame.load(transport, &mut self.start.transport)
            && !frame.load(transport, &mut self.start.transport.udp)
        {
            return Err(Reason::NotIp);
        }
        let len = self.udp().len();
        let room = self.room;
        self.frame_len = frame.len();
        // What is longer than its frame was cut short on the way, even if UDP is all there.
        if len < Udp::LEN || len > room || transport + room > self.frame_len {
            return Err(Reason::Length);
        }
        self.payload_len = len - Udp::LEN;
        Ok(())
    }

    #[inline(always)]
    pub const fn udp(&self) -> &Udp {
        &self.start.transport.udp
    }

    #[inline(always)]
    pub const fn ethernet(&self) -> &Ethernet {
        &self.start.ethernet
    }

    /// The number that every TFTP packet begins with. The payload has at least two bytes.
    #[inline(always)]
    pub const fn opcode(&self) -> u16 {
        (u32::from_be(self.start.transport.tftp) >> 16) as u16
    }

    /// The block number of an ACK. The payload has at least four bytes.
    #[inline(always)]
    pub const fn block(&self) -> u16 {
        u32::from_be(self.start.transport.tftp) as u16
    }

    /// Returns the EtherType behind the tags.
    #[inline(always)]
    fn parse_tags<F: Frame>(&mut self, frame: &F) -> Result<u16, Reason> {
        self.tags = [0; 8];
        self.tags_len = 0;
        self.network = eth::HEADER_LEN;
        if let Some(tag) = frame.outer_tag() {
            self.push_tag(tag);
        }
        let mut ethertype = self.start.ethernet.ethertype();
        for _ in 0..2 {
            if !eth::is_tag(ethertype) || self.tags_len >= 8 {
                break;
            }
            // The control field, then the next EtherType.
            let mut tag = [0; eth::TAG_LEN];
            if !frame.load(self.network, &mut tag) {
                return Err(Reason::NotIp);
            }
            let kind = ethertype.to_be_bytes();
            self.push_tag([kind[0], kind[1], tag[0], tag[1]]);
            ethertype = u16::from_be_bytes([tag[2], tag[3]]);
            self.network += eth::TAG_LEN;
        }
        Ok(ethertype)
    }

    #[inline(always)]
    fn push_tag(&mut self, tag: [u8; eth::TAG_LEN]) {
        // Two places at fixed offsets: the verifier need not follow an index.
        let [a, b, c, d] = tag;
        if self.tags_len == 0 {
            (self.tags[0], self.tags[1], self.tags[2], self.tags[3]) = (a, b, c, d);
        } else {
            (self.tags[4], self.tags[5], self.tags[6], self.tags[7]) = (a, b, c, d);
        }
        self.tags_len += eth::TAG_LEN as u8;
    }

    /// Returns how many bytes the IP header leaves for UDP.
    #[inline(always)]
    fn parse_v4(&mut self) -> Result<usize, Reason> {
        let header = &self.start.v4;
        self.v6 = false;
        self.protocol = header.protocol();
        if self.protocol != ip::UDP {
            return Err(Reason::NotOurs);
        }
        if !header.is_plain() || header.is_fragment() {
            return Err(Reason::IpComplex);
        }
        // We come before the host, which would have to look (RFC 1122 3.2.1.2).
        if !header.is_sum_valid() {
            return Err(Reason::Checksum);
        }
        self.source = header.source();
        self.destination = header.destination();
        self.payload = self.network + ip::V4::LEN + Udp::LEN;
        Ok(header.total_len().saturating_sub(ip::V4::LEN))
    }

    #[inline(always)]
    fn parse_v6<F: Frame>(&mut self, frame: &F) -> Result<usize, Reason> {
        if !frame.load(self.network, &mut self.v6_header) {
            return Err(Reason::NotIp);
        }
        let header = &self.v6_header;
        if !header.is_plain() {
            return Err(Reason::NotIp);
        }
        self.v6 = true;
        self.protocol = header.next_header();
        if self.protocol != ip::UDP {
            return Err(if ip::is_extension(self.protocol) {
                Reason::IpComplex
            } else {
                Reason::NotOurs
            });
        }
        self.source = header.source();
        self.destination = header.destination();
        self.payload = self.network + ip::V6::LEN + Udp::LEN;
        Ok(header.payload_len())
    }

    /// Reads what [`Packet::parse`] has refused, for the `reason` it gave, as far as its addresses and
    /// ports.
    #[inline(always)]
    pub fn sight<F: Frame>(&mut self, frame: &F, reason: Reason) -> Sight {
        let is_udp = self.protocol == ip::UDP;
        match reason {
            // It came as far as its ports.
            Reason::NotOurs | Reason::Length if is_udp => return Sight::Ports,
            Reason::NotOurs if self.protocol == ip::TCP => {}
            Reason::IpComplex => return self.sight_complex(),
            _ => return Sight::Nothing,
        }
        let transport = if self.v6 {
            self.room = self.v6_header.payload_len();
            self.source = self.v6_header.source();
            self.destination = self.v6_header.destination();
            self.network + ip::V6::LEN
        } else {
            let header = &self.start.v4;
            if !header.is_plain() || header.is_fragment() {
                return self.sight_complex();
            }
            self.room = header.total_len().saturating_sub(ip::V4::LEN);
            self.source = header.source();
            self.destination = header.destination();
            self.network + ip::V4::LEN
        };
        // TCP's ports stand where UDP has its own.
        if !self.is_loaded && !frame.load(transport, &mut self.start.transport.udp) {
            return Sight::Nothing;
        }
        self.payload = transport + Udp::LEN;
        self.frame_len = frame.len();
        Sight::Ports
    }

    #[inline(always)]
    fn sight_complex(&mut self) -> Sight {
        if self.v6 {
            self.source = self.v6_header.source();
            self.destination = self.v6_header.destination();
        } else {
            self.source = self.start.v4.source();
            self.destination = self.start.v4.destination();
        }
        Sight::Complex
    }

    /// Whether the sum of the IPv4 header is right; IPv6 has none.
    #[inline(always)]
    pub const fn is_sum_valid(&self) -> bool {
        self.v6 || self.start.v4.is_sum_valid()
    }

    /// Offset of the UDP or TCP header.
    #[inline(always)]
    pub const fn transport(&self) -> usize {
        self.payload - Udp::LEN
    }

    /// The outermost VLAN id; zero without tags.
    #[inline(always)]
    pub const fn vlan(&self) -> u16 {
        if self.tags_len == 0 {
            return 0;
        }
        u16::from_be_bytes([self.tags[2], self.tags[3]]) & 0x0fff
    }

    /// Checks the UDP checksum against the sum of the payload.
    #[inline(always)]
    pub fn check_sum(&self, payload: Sum) -> Result<(), Reason> {
        let field = self.udp().checksum();
        if field == 0 {
            // No checksum: allowed over IPv4 only (RFC 768, RFC 8200 8.1).
            return if self.v6 {
                Err(Reason::Checksum)
            } else {
                Ok(())
            };
        }
        let len = self.udp().len() as u16;
        let pseudo = Sum::new().pseudo_header(&self.source, &self.destination, len);
        // A sender on this very host may have left the checksum to an offload that never ran.
        if payload.add(pseudo).add(self.udp().sum()).is_valid() || pseudo.is_pending(field) {
            Ok(())
        } else {
            Err(Reason::Checksum)
        }
    }
}
