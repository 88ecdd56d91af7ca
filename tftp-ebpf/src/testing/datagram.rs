//! Frames with one UDP datagram, built from what a case says about them.
//!
//! The builder shares no code with the program under test: checksums are summed here in the
//! plainest way there is.

use std::net::IpAddr;

/// How the IP header differs from a plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    Plain,
    /// One word of IPv4 options: No Operation four times.
    Options,
    /// The word of IPv4 flags and fragment offset.
    Fragment(u16),
    /// An IPv6 extension header of this kind, eight bytes long.
    Extension(u8),
}

/// What stands in the UDP checksum field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    Valid,
    Zero,
    Wrong,
    /// The sum of the pseudo-header, as a sender leaves it to an offload.
    Pending,
}

/// One end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub mac: [u8; 6],
    pub address: IpAddr,
    pub port: u16,
}

/// A UDP datagram in its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// VLAN tags, outermost first: EtherType and control field.
    pub tags: Vec<(u16, u16)>,
    pub from: Endpoint,
    pub to: Endpoint,
    pub payload: Vec<u8>,
    pub ip: Ip,
    /// IPv4 protocol or IPv6 next header.
    pub protocol: u8,
    pub ds_field: u8,
    pub hop_limit: u8,
    pub identification: u16,
    pub checksum: Checksum,
    /// What the UDP header says of its length, if that is not true.
    pub udp_len: Option<u16>,
    /// The shortest the frame may be; zeros are added behind the datagram.
    pub padded_to: usize,
}

/// A phone and the server on an IPv4 network; a case says what is different.
impl Default for Datagram {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            from: Endpoint {
                mac: [0x00, 0x11, 0x22, 0x33, 0x44, 0x55],
                address: IpAddr::from([10, 20, 30, 40]),
                port: 49_152,
            },
            to: Endpoint {
                mac: [0x02, 0x00, 0x5e, 0x00, 0x00, 0x01],
                address: IpAddr::from([10, 20, 0, 1]),
                port: 69,
            },
            payload: Vec::new(),
            ip: Ip::Plain,
            protocol: 17,
            ds_field: 0x60,
            hop_limit: 63,
            identification: 0x4711,
            checksum: Checksum::Valid,
            udp_len: None,
            padded_to: 60,
        }
    }
}

impl Datagram {
    /// The same, with a read request as payload: name, mode, and options as `"name value …"`.
    pub fn read(self, name: &str, mode: &str, options: &str) -> Self {
        let mut payload = vec![0, 1];
        let words = [name, mode].into_iter().chain(options.split_whitespace());
        for word in words {
            payload.extend_from_slice(word.as_bytes());
            payload.push(0);
        }
        Self { payload, ..self }
    }

    /// The answer a server gives from `port`: fresh headers, the same tags, and padded if this one
    /// was.
    pub fn reply(&self, port: u16, ds_field: u8, payload: Vec<u8>) -> Self {
        let padded_to = if self.frame().len() >= 60 { 60 } else { 0 };
        let block = match payload[..] {
            [0, 3, high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 0,
        };
        Self {
            tags: self.tags.clone(),
            from: Endpoint { port, ..self.to },
            to: self.from,
            payload,
            // May be fragmented, so its number tells it from the others in flight.
            identification: port.wrapping_add(block),
            ds_field,
            hop_limit: 64,
            padded_to,
            ..Self::default()
        }
    }

    pub fn frame(&self) -> Vec<u8> {
        self.frame_of(&self.udp())
    }

    /// The frame with `transport` behind the IP header.
    pub(super) fn frame_of(&self, transport: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend_from_slice(&self.to.mac);
        frame.extend_from_slice(&self.from.mac);
        for (ethertype, control) in &self.tags {
            frame.extend_from_slice(&ethertype.to_be_bytes());
            frame.extend_from_slice(&control.to_be_bytes());
        }
        match (self.from.address, self.to.address) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                frame.extend_from_slice(&[0x08, 0x00]);
                frame.extend_from_slice(&self.v4(from.octets(), to.octets(), transport.len()));
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend_from_slice(&[0x86, 0xdd]);
                frame.extend_from_slice(&self.v6(from.octets(), to.octets(), transport.len()));
            }
            _ => panic!("a datagram has two addresses of one family"),
        }
        frame.extend_from_slice(transport);
        frame.resize(frame.len().max(self.padded_to), 0);
        frame
    }

    /// Bytes of [`Datagram::frame`] without the padding.
    pub fn unpadded_len(&self) -> usize {
        Self {
            padded_to: 0,
            ..self.clone()
        }
        .frame()
        .len()
    }

    fn v4(&self, from: [u8; 4], to: [u8; 4], room: usize) -> Vec<u8> {
        let options: &[u8] = match self.ip {
            Ip::Options => &[1; 4],
            _ => &[],
        };
        let fragment = match self.ip {
            Ip::Fragment(word) => word,
            _ => 0,
        };
        let words = 5 + options.len() / 4;
        let mut header = vec![0x40 | words as u8, self.ds_field];
        header.extend_from_slice(&((words * 4 + room) as u16).to_be_bytes());
        header.extend_from_slice(&self.identification.to_be_bytes());
        header.extend_from_slice(&fragment.to_be_bytes());
        header.extend_from_slice(&[self.hop_limit, self.protocol, 0, 0]);
        header.extend_from_slice(&from);
        header.extend_from_slice(&to);
        header.extend_from_slice(options);
        let sum = (!sum(&header)).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
        header
    }

    fn v6(&self, from: [u8; 16], to: [u8; 16], room: usize) -> Vec<u8> {
        let extension: Vec<u8> = match self.ip {
            // Eight bytes: what follows, a length of zero further ones, and padding (PadN).
            Ip::Extension(_) => vec![self.protocol, 0, 1, 4, 0, 0, 0, 0],
            _ => Vec::new(),
        };
        let next = match self.ip {
            Ip::Extension(kind) => kind,
            _ => self.protocol,
        };
        let mut header = vec![0x60 | self.ds_field >> 4, self.ds_field << 4, 0, 0];
        header.extend_from_slice(&((extension.len() + room) as u16).to_be_bytes());
        header.extend_from_slice(&[next, self.hop_limit]);
        header.extend_from_slice(&from);
        header.extend_from_slice(&to);
        header.extend_from_slice(&extension);
        header
    }

    fn udp(&self) -> Vec<u8> {
        let true_len = 8 + self.payload.len() as u16;
        let len = self.udp_len.unwrap_or(true_len);
        let mut udp = Vec::new();
        udp.extend_from_slice(&self.from.port.to_be_bytes());
        udp.extend_from_slice(&self.to.port.to_be_bytes());
        udp.extend_from_slice(&len.to_be_bytes());
        udp.extend_from_slice(&[0, 0]);
        udp.extend_from_slice(&self.payload);
        let pseudo = self.pseudo_header(len);
        let whole = !sum(&[&pseudo[..], &udp].concat());
        let valid = if whole == 0 { 0xffff } else { whole };
        let field = match self.checksum {
            Checksum::Valid => valid,
            Checksum::Zero => 0,
            Checksum::Wrong => valid ^ 0x0100,
            Checksum::Pending => sum(&pseudo),
        };
        udp[6..8].copy_from_slice(&field.to_be_bytes());
        udp
    }

    pub(super) fn pseudo_header(&self, len: u16) -> Vec<u8> {
        let mut pseudo = Vec::new();
        for address in [self.from.address, self.to.address] {
            match address {
                IpAddr::V4(v4) => pseudo.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => pseudo.extend_from_slice(&v6.octets()),
            }
        }
        pseudo.extend_from_slice(&len.to_be_bytes());
        pseudo.extend_from_slice(&[0, self.protocol]);
        pseudo
    }
}

/// RFC 1071 section 4.1, not complemented.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
