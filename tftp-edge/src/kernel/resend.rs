//! Sends a transfer's outstanding packet again, as the frame the kernel program would send.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use tftp_ebpf::abi::{Transfer, TransferKey};
use tftp_ebpf::checksum::Sum;
use tftp_ebpf::plan;
use tftp_ebpf::wire::Bytes as _;
use tftp_ebpf::wire::eth::{self, ethertype};
use tftp_ebpf::wire::ip;
use tftp_ebpf::wire::tftp::{HEADER_LEN, Oack, opcode};
use tftp_ebpf::wire::udp::Udp;

use super::slabs::{Banks, Slabs};

/// Builds the frame with the outstanding packet; `None` if its content is not in the slabs, which
/// would be a mistake of ours.
pub fn frame<B: Banks>(
    key: &TransferKey,
    transfer: &Transfer,
    slabs: &Slabs<B>,
    ds_field: u8,
) -> Option<Vec<u8>> {
    let payload = payload(transfer, slabs)?;
    let v6 = key.client[..3] != tftp_ebpf::abi::mapped([0; 4])[..3];
    let udp_len = u16::try_from(Udp::LEN + payload.len()).ok()?;
    let (us, client) = (&transfer.server, &key.client);
    let sum = payload.chunks(2).fold(Sum::new(), |sum, pair| {
        sum.pair(pair[0], pair.get(1).copied().unwrap_or(0))
    });
    let sum = sum.pseudo_header(us, client, udp_len);

    let mut frame =
        Vec::with_capacity(eth::HEADER_LEN + 8 + ip::V6::LEN + Udp::LEN + payload.len());
    frame.extend_from_slice(&eth::addresses(transfer.client_mac, transfer.server_mac));
    frame.extend_from_slice(&transfer.tags[..usize::from(transfer.tags_len)]);
    if v6 {
        frame.extend_from_slice(&ethertype::IPV6.to_be_bytes());
        frame.extend_from_slice(ip::V6::emit(us, client, ds_field, udp_len).as_bytes());
    } else {
        frame.extend_from_slice(&ethertype::IPV4.to_be_bytes());
        let id = plan::identification(key.our_port, transfer.block);
        frame.extend_from_slice(ip::V4::emit(us, client, ds_field, id, udp_len).as_bytes());
    }
    let udp = Udp::emit(key.our_port, key.client_port, udp_len, sum);
    frame.extend_from_slice(udp.as_bytes());
    frame.extend_from_slice(&payload);
    Some(frame)
}

fn payload<B: Banks>(transfer: &Transfer, slabs: &Slabs<B>) -> Option<Vec<u8>> {
    if transfer.block == 0 {
        let mut oack = Oack::EMPTY;
        transfer.granted().encode_oack(&mut oack);
        return Some(oack.as_bytes().to_vec());
    }
    let block = plan::block(transfer.length, transfer.block_len, transfer.block);
    let mut payload = Vec::with_capacity(HEADER_LEN + usize::from(block.len));
    payload.extend_from_slice(&opcode::DATA.to_be_bytes());
    payload.extend_from_slice(&(transfer.block as u16).to_be_bytes());
    if block.len > 0 {
        payload.extend_from_slice(slabs.block(transfer.position + block.start, block.len.into())?);
    }
    Some(payload)
}

/// A raw socket for whole frames, on any interface.
#[derive(Debug)]
pub struct Sender(OwnedFd);

impl Sender {
    /// Needs CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        // SAFETY: no addresses. Protocol zero: this socket is never to receive anything.
        let descriptor = unsafe {
            libc::socket(
                libc::AF_PACKET,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                0,
            )
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call returned a descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        // SAFETY: all-zero is a valid value of this plain structure.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = ifindex as i32;
        // SAFETY: the buffer and the address are good to read for their lengths.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                std::ptr::from_ref(&to).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use tftp_ebpf::testing::outcome::key_of;
    use tftp_ebpf::testing::{Datagram, Expected, MemoryMaps, Site, host, table};

    use super::super::slabs::testing::Memory;
    use super::*;

    #[test]
    fn a_packet_sent_again_is_the_one_the_kernel_program_sent() {
        let site = Site::new();
        let mut slabs = Slabs::new(Memory::default(), 1);
        let length = site.content.len() as u64;
        let extent = slabs.allocate(length).unwrap().unwrap();
        slabs.write(extent, &site.content);
        let mut maps = MemoryMaps::new(site.clone());
        let mut compared = 0;
        for case in table(&site) {
            let Expected::Answer {
                reply,
                outstanding: Some(_),
                ..
            } = &case.expected
            else {
                continue;
            };
            maps.set_up(&case, host::NOW_NS);
            let outcome = host::run_case::<0>(&maps, &case);
            let key = key_of(reply);
            let again = frame(&key, &outcome.transfers[&key], &slabs, site.policy.ds_field);
            // The driver pads what a socket sends.
            let sent = Datagram {
                padded_to: 0,
                ..(**reply).clone()
            };
            assert_eq!(again, Some(sent.frame()), "{}", case.name);
            compared += 1;
        }
        assert!(compared > 50, "{compared}");
    }
}
