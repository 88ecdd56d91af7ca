//! Turning a frame into its answer.

use super::written;
use crate::abi::Policy;
use crate::checksum::Sum;
use crate::frame::{Frame, Maps, Scratch};
use crate::packet::Packet;
use crate::plan;
use crate::verdict::Reason;
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
    let len = if len < eth::MIN_FRAME_LEN && frame.len() >= eth::MIN_FRAME_LEN {
        eth::MIN_FRAME_LEN
    } else {
        len
    };
    if frame.resize(len) {
        Ok(())
    } else {
        Err(Reason::CannotGrow)
    }
}

/// Turns the headers round. `block` is the number of DATA, zero for OACK and ERROR; `payload` the
/// sum of the payload, `payload_len` its bytes.
#[inline(always)]
pub(super) fn write_headers<F: Frame>(
    frame: &mut F,
    policy: &Policy,
    scratch: &Scratch,
    our_port: [u8; 2],
    block: u64,
    payload_len: usize,
    payload: Sum,
) -> Result<(), Reason> {
    let packet = &scratch.packet;
    let (us, client) = (&packet.destination, &packet.source);
    let client_port = packet.udp.source_port();
    let udp_len = (Udp::LEN + payload_len) as u16;
    let checksum = payload
        .pseudo_header(us, client, udp_len)
        .pair(our_port[0], our_port[1])
        .pair(client_port[0], client_port[1])
        .word(udp_len)
        .finish_udp();
    let udp = Udp::emit(our_port, client_port, udp_len, checksum);
    written(frame.store(0, &packet.ethernet.swapped()))?;
    if packet.v6 {
        let header = ip::V6::emit(us, client, policy.ds_field, udp_len);
        written(frame.store(packet.network, &header.0))?;
    } else {
        let id = plan::identification(our_port, block);
        let header = ip::V4::emit(us, client, policy.ds_field, id, udp_len);
        written(frame.store(packet.network, &header.0))?;
    }
    written(frame.store(packet.payload - Udp::LEN, &udp.0))
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
    let mut sum = Sum::new().bytes(&header);
    if len > 0 {
        let (slab, offset) = maps.content(position).ok_or(Reason::WriteFailed)?;
        sum = sum.add(
            maps.sum_content(slab, offset, len)
                .ok_or(Reason::WriteFailed)?,
        );
        written(frame.store_content(payload + HEADER_LEN, slab, offset, len))?;
    }
    let payload_len = HEADER_LEN + len;
    write_headers(frame, policy, scratch, our_port, block, payload_len, sum)?;
    written(frame.store(payload, &header))
}
