//! The headers of a UDP packet, read once.

use crate::abi::Address;
use crate::checksum::Sum;
use crate::frame::Frame;
use crate::verdict::Reason;
use crate::wire::eth::{self, Ethernet, ethertype};
use crate::wire::ip;
use crate::wire::udp::Udp;

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
    /// VLAN tags as they stand in the frame, outermost first, with the one the driver took out.
    pub tags: [u8; 8],
    pub udp: Udp,
    pub ethernet: Ethernet,
    /// Bytes of `tags` in use: 0, 4 or 8.
    pub tags_len: u8,
    pub v6: bool,
}

impl Packet {
    pub const EMPTY: Self = Self {
        source: [0; 4],
        destination: [0; 4],
        network: 0,
        payload: 0,
        payload_len: 0,
        tags: [0; 8],
        udp: Udp([0; Udp::LEN]),
        ethernet: Ethernet([0; eth::HEADER_LEN]),
        tags_len: 0,
        v6: false,
    };

    /// Reads a frame as far as its UDP header.
    #[inline(always)]
    pub fn parse<F: Frame>(&mut self, frame: &F) -> Result<(), Reason> {
        if !frame.load(0, &mut self.ethernet.0) {
            return Err(Reason::NotIp);
        }
        let ethertype = self.parse_tags(frame)?;
        let room = match ethertype {
            ethertype::IPV4 => self.parse_v4(frame)?,
            ethertype::IPV6 => self.parse_v6(frame)?,
            _ => return Err(Reason::NotIp),
        };
        if !frame.load(self.payload - Udp::LEN, &mut self.udp.0) {
            return Err(Reason::NotIp);
        }
        let len = self.udp.len();
        // What is longer than its frame was cut short on the way, even if UDP is all there.
        let end = self.payload - Udp::LEN + room;
        if len < Udp::LEN || len > room || end > frame.len() {
            return Err(Reason::Length);
        }
        self.payload_len = len - Udp::LEN;
        Ok(())
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
        let mut ethertype = self.ethernet.ethertype();
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
    fn parse_v4<F: Frame>(&mut self, frame: &F) -> Result<usize, Reason> {
        let mut header = ip::V4([0; ip::V4::LEN]);
        if !frame.load(self.network, &mut header.0) {
            return Err(Reason::NotIp);
        }
        if header.protocol() != ip::UDP {
            return Err(Reason::NotOurs);
        }
        if !header.is_plain() || header.is_fragment() {
            return Err(Reason::IpComplex);
        }
        // We come before the host, which would have to look (RFC 1122 3.2.1.2).
        if !Sum::new().bytes(&header.0).is_valid() {
            return Err(Reason::Checksum);
        }
        self.v6 = false;
        self.source = header.source();
        self.destination = header.destination();
        self.payload = self.network + ip::V4::LEN + Udp::LEN;
        Ok(header.total_len().saturating_sub(ip::V4::LEN))
    }

    #[inline(always)]
    fn parse_v6<F: Frame>(&mut self, frame: &F) -> Result<usize, Reason> {
        let mut header = ip::V6([0; ip::V6::LEN]);
        if !frame.load(self.network, &mut header.0) {
            return Err(Reason::NotIp);
        }
        if !header.is_plain() {
            return Err(Reason::NotIp);
        }
        match header.next_header() {
            ip::UDP => {}
            // Hop-by-hop, routing, fragment and destination options may hide UDP.
            0 | 43 | 44 | 60 => return Err(Reason::IpComplex),
            _ => return Err(Reason::NotOurs),
        }
        self.v6 = true;
        self.source = header.source();
        self.destination = header.destination();
        self.payload = self.network + ip::V6::LEN + Udp::LEN;
        Ok(header.payload_len())
    }

    /// Checks the UDP checksum against the sum of the payload.
    #[inline(always)]
    pub fn check_sum(&self, payload: Sum) -> Result<(), Reason> {
        let field = self.udp.checksum();
        if field == 0 {
            // No checksum: allowed over IPv4 only (RFC 768, RFC 8200 8.1).
            return if self.v6 {
                Err(Reason::Checksum)
            } else {
                Ok(())
            };
        }
        let len = self.udp.len() as u16;
        let pseudo = Sum::new().pseudo_header(&self.source, &self.destination, len);
        // A sender on this very host may have left the checksum to an offload that never ran.
        if payload.add(pseudo).bytes(&self.udp.0).is_valid() || pseudo.is_pending(field) {
            Ok(())
        } else {
            Err(Reason::Checksum)
        }
    }
}
