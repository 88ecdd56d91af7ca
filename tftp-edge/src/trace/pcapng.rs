//! A capture file in pcapng (draft-ietf-opsawg-pcapng), as far as traces need it: a section, its
//! interfaces, and packets with direction and comment.
//!
//! Written here, since the one crate that writes comments on packets has its last stable release
//! three years behind it and only candidates since; the three kinds of blocks are a page.

use std::io::{self, Write};

use super::packet::Direction;

/// The kinds of blocks, and of their options.
mod block {
    pub const SECTION: u32 = 0x0a0d_0d0a;
    pub const INTERFACE: u32 = 1;
    pub const PACKET: u32 = 6;
}
mod option {
    pub const END: u16 = 0;
    pub const COMMENT: u16 = 1;
    /// Of a section: who wrote it.
    pub const APPLICATION: u16 = 4;
    /// Of an interface: its name, and the unit of its times.
    pub const NAME: u16 = 2;
    pub const RESOLUTION: u16 = 9;
    /// Of a packet: its direction in the lowest two bits.
    pub const FLAGS: u16 = 2;
}

/// Times are in 10 to the power of minus this, in seconds.
const NANOSECONDS: u8 = 9;
/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// A packet to be written.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'packet> {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    pub interface: &'packet str,
    pub direction: Direction,
    pub frame: &'packet [u8],
    /// Bytes of the whole frame.
    pub len: u32,
    pub comment: &'packet str,
}

/// Writes packets as they come; after each the file is whole.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    interfaces: Vec<String>,
}

impl<W: Write> Writer<W> {
    /// Begins the file.
    pub fn new(mut to: W) -> io::Result<Self> {
        let mut body = Vec::new();
        body.extend(BYTE_ORDER.to_le_bytes());
        // Version 1.0, of a length that is not known.
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        let application = concat!("tftp-edge ", env!("CARGO_PKG_VERSION"));
        push_option(&mut body, option::APPLICATION, application.as_bytes());
        push_option(&mut body, option::END, &[]);
        to.write_all(&framed(block::SECTION, &body))?;
        to.flush()?;
        Ok(Self {
            to,
            interfaces: Vec::new(),
        })
    }

    pub fn write(&mut self, packet: &Captured<'_>) -> io::Result<()> {
        let interface = self.interface(packet.interface)?;
        let mut body = Vec::with_capacity(packet.frame.len() + packet.comment.len() + 64);
        body.extend(interface.to_le_bytes());
        body.extend(((packet.time_ns >> 32) as u32).to_le_bytes());
        body.extend((packet.time_ns as u32).to_le_bytes());
        body.extend((packet.frame.len() as u32).to_le_bytes());
        body.extend(packet.len.to_le_bytes());
        body.extend(packet.frame);
        pad(&mut body);
        if !packet.comment.is_empty() {
            push_option(&mut body, option::COMMENT, packet.comment.as_bytes());
        }
        let flags: u32 = match packet.direction {
            Direction::In => 1,
            Direction::Out => 2,
        };
        push_option(&mut body, option::FLAGS, &flags.to_le_bytes());
        push_option(&mut body, option::END, &[]);
        self.to.write_all(&framed(block::PACKET, &body))?;
        self.to.flush()
    }

    /// The number of an interface, which is described when it is first named.
    fn interface(&mut self, name: &str) -> io::Result<u32> {
        if let Some(at) = self.interfaces.iter().position(|it| it == name) {
            return Ok(at as u32);
        }
        let mut body = Vec::new();
        body.extend(ETHERNET.to_le_bytes());
        // Reserved, and no bound on the length of frames.
        body.extend([0; 2]);
        body.extend([0; 4]);
        push_option(&mut body, option::NAME, name.as_bytes());
        push_option(&mut body, option::RESOLUTION, &[NANOSECONDS]);
        push_option(&mut body, option::END, &[]);
        self.to.write_all(&framed(block::INTERFACE, &body))?;
        self.interfaces.push(name.to_owned());
        Ok(self.interfaces.len() as u32 - 1)
    }
}

/// Type and length before, and the length once more behind.
fn framed(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &len].concat()
}

/// A value that is too long for an option is cut.
fn push_option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(u16::MAX.into())];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

/// Everything begins at whole words.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(packets: &[Captured<'_>]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file).unwrap();
        for packet in packets {
            writer.write(packet).unwrap();
        }
        file
    }

    /// The kinds and bodies of the blocks of a file.
    fn blocks(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
        let mut blocks = Vec::new();
        while !file.is_empty() {
            let len = word(&file[4..8]) as usize;
            assert_eq!(len % 4, 0);
            assert_eq!(word(&file[len - 4..len]) as usize, len);
            blocks.push((word(&file[..4]), file[8..len - 4].to_vec()));
            file = &file[len..];
        }
        blocks
    }

    const PACKET: Captured<'static> = Captured {
        time_ns: 0x0102_0304_0506_0708,
        interface: "eth0",
        direction: Direction::Out,
        frame: &[1, 2, 3, 4, 5],
        len: 60,
        comment: "xdp",
    };

    #[test]
    fn a_packet_is_written_byte_by_byte() {
        let blocks = blocks(&written(&[PACKET]));
        let [(section, _), (interface, described), (packet, body)] = &blocks[..] else {
            panic!("{blocks:?}");
        };
        assert_eq!([*section, *interface, *packet], [0x0a0d_0d0a, 1, 6]);
        assert_eq!(
            described[..],
            [
                &[1, 0, 0, 0, 0, 0, 0, 0][..],
                &[2, 0, 4, 0],
                b"eth0",
                &[9, 0, 1, 0, 9, 0, 0, 0],
                &[0, 0, 0, 0]
            ]
            .concat()
        );
        assert_eq!(
            body[..],
            [
                &[0, 0, 0, 0, 4, 3, 2, 1, 8, 7, 6, 5][..],
                &[5, 0, 0, 0, 60, 0, 0, 0],
                &[1, 2, 3, 4, 5, 0, 0, 0],
                &[1, 0, 3, 0],
                b"xdp\0",
                &[2, 0, 4, 0, 2, 0, 0, 0],
                &[0, 0, 0, 0]
            ]
            .concat()
        );
    }

    #[test]
    fn an_interface_is_described_once_before_its_first_packet() {
        let other = Captured {
            interface: "eth1",
            ..PACKET
        };
        let kinds: Vec<_> = blocks(&written(&[PACKET, PACKET, other, PACKET]))
            .into_iter()
            .map(|(kind, body)| (kind, body[0]))
            .collect();
        let described: Vec<_> = kinds[1..].iter().map(|(kind, _)| *kind).collect();
        assert_eq!(described, [1, 6, 6, 1, 6, 6]);
        let numbers: Vec<_> = kinds.iter().filter(|(kind, _)| *kind == 6).collect();
        assert_eq!(numbers, [&(6, 0), &(6, 0), &(6, 1), &(6, 0)]);
    }

    #[test]
    fn a_file_of_no_packet_is_whole() {
        assert_eq!(blocks(&written(&[])).len(), 1);
    }
}
