//! Turning a frame into its answer.

use super::written;
use crate::abi::Policy;
use crate::checksum::Sum;
use crate::frame::{Frame, Maps, Scratch};
use crate::packet::{Packet, Start, Transport};
use crate::plan;
use crate::verdict::Reason;
use crate::wire::Bytes;
use crate::wire::eth;
use crate::wire::ip;
use crate::wire::tftp::{HEADER_LEN, opcode};
use crate::wire::udp::Udp;

/// Gives the frame the size of the answer: the last step that may fail and still pass it on.
#[inline(always)]
pub(super) fn resize<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    payload_len: usize,
) -> Result<(), Reason> {
    let len = packet.payload + payload_len;
    // A frame that came padded stays padded: not every driver pads what leaves under XDP.
    let len = if len < eth::MIN_FRAME_LEN && packet.frame_len >= eth::MIN_FRAME_LEN {
        eth::MIN_FRAME_LEN
    } else {
        len
    };
    if frame.resize(packet.frame_len, len) {
        Ok(())
    } else {
        Err(Reason::CannotGrow)
    }
}

/// What an answer begins with behind Ethernet and its tags: written in one piece, since each call
/// costs more than the bytes.
#[repr(C)]
struct Headers<Ip> {
    ip: Ip,
    transport: Transport,
}

// SAFETY: words without padding.
unsafe impl Bytes for Headers<ip::V4> {}
// SAFETY: words without padding.
unsafe impl Bytes for Headers<ip::V6> {}

/// Turns the headers round, and writes the first four bytes of the payload. `block` is the number of
/// DATA, zero for OACK and ERROR; `payload` the sum of the whole payload, `payload_len` its bytes.
#[expect(
    clippy::too_many_arguments,
    reason = "a struct of them would be built on a BPF stack"
)]
#[inline(always)]
pub(super) fn write_headers<F: Frame>(
    frame: &mut F,
    policy: &Policy,
    scratch: &Scratch,
    our_port: [u8; 2],
    block: u64,
    first: [u8; 4],
    payload_len: usize,
    payload: Sum,
) -> Result<(), Reason> {
    let packet = &scratch.packet;
    let (us, client) = (&packet.destination, &packet.source);
    let client_port = packet.udp().source_port();
    let udp_len = (Udp::LEN + payload_len) as u16;
    let rest = payload.pseudo_header(us, client, udp_len);
    let transport = Transport {
        udp: Udp::emit(our_port, client_port, udp_len, rest),
        tftp: u32::from_ne_bytes(first),
    };
    let ethernet = packet.ethernet().swapped();
    if packet.v6 {
        let ip = ip::V6::emit(us, client, policy.ds_field, udp_len);
        written(frame.store(0, &ethernet))?;
        return written(frame.store(packet.network, &Headers { ip, transport }));
    }
    let id = plan::identification(our_port, block);
    let ip = ip::V4::emit(us, client, policy.ds_field, id, udp_len);
    if packet.network == eth::HEADER_LEN {
        let start = Start::new(ethernet, ip, transport);
        return written(frame.store(0, start.in_frame()));
    }
    written(frame.store(0, &ethernet))?;
    written(frame.store(packet.network, &Headers { ip, transport }))
}

/// Writes a DATA packet into a frame that has its size: `len` bytes from `position` of the content
/// space.
#[expect(
    clippy::too_many_arguments,
    reason = "a struct of them would be built on a BPF stack"
)]
#[inline(always)]
pub(super) fn write_data<F: Frame, M: Maps>(
    frame: &mut F,
    maps: &M,
    policy: &Policy,
    scratch: &Scratch,
    our_port: [u8; 2],
    position: u64,
    block: u64,
    len: usize,
) -> Result<(), Reason> {
    // The number wraps past 65535.
    let number = (block as u16).to_be_bytes();
    let header = [0, opcode::DATA as u8, number[0], number[1]];
    let payload = scratch.packet.payload;
    let mut sum = Sum::new().words(&[u32::from_ne_bytes(header)]);
    if len > 0 {
        let (slab, offset) = maps.content(position).ok_or(Reason::WriteFailed)?;
        sum = sum.add(
            maps.sum_content(slab, offset, len)
                .ok_or(Reason::WriteFailed)?,
        );
        written(frame.store_content(payload + HEADER_LEN, slab, offset, len))?;
    }
    let payload_len = HEADER_LEN + len;
    write_headers(
        frame,
        policy,
        scratch,
        our_port,
        block,
        header,
        payload_len,
        sum,
    )
}
