//! Packets to the port of a transfer: ACK and ERROR.

use super::write::{resize, write_data};
use super::{announce, load_payload, set_key};
use crate::abi::{Event, Policy, StageCounter, Transfer, TransferKey};
use crate::checksum::Sum;
use crate::frame::{Frame, Maps, Scratch};
use crate::plan::{self, Ack};
use crate::stage::Stage;
use crate::verdict::{Reason, Rung};
use crate::wire::tftp::{HEADER_LEN, opcode};

#[inline(always)]
pub(super) fn handle<F: Frame, M: Maps>(
    frame: &mut F,
    maps: &M,
    policy: &Policy,
    scratch: &mut Scratch,
    now: u64,
) -> Result<Reason, Reason> {
    if scratch.packet.payload_len < HEADER_LEN {
        return Err(Reason::NotOurs);
    }
    let code = scratch.packet.opcode();
    let number = scratch.packet.block();
    let port = scratch.packet.udp().destination_port();
    set_key(&mut scratch.key, frame, &scratch.packet, port);
    let Some(slot) = maps.transfer(&scratch.key) else {
        // Late packets of a transfer that ended. Without a socket the host would answer them with
        // ICMP; anything that is not TFTP may be somebody else's.
        let is_late = code == opcode::ACK || code == opcode::ERROR;
        return Err(if is_late && maps.is_local(&scratch.packet.destination) {
            Reason::NoTransfer
        } else {
            Reason::NotOurs
        });
    };
    // SAFETY: an element of the map, valid until the program returns. The packets of one transfer
    // are one flow, which a host steers to one CPU; should two CPUs meet here all the same, a block
    // is sent twice at worst, and the ACKs of both come in one flow again.
    let transfer = unsafe { &mut *slot.as_ptr() };
    if transfer.server != scratch.packet.destination {
        return Err(Reason::NotOurs);
    }
    if scratch.packet.payload_len == HEADER_LEN {
        let header = scratch.packet.start.transport.tftp;
        scratch.packet.check_sum(Sum::new().words(&[header]))?;
    } else {
        load_payload(frame, maps, &scratch.packet, &mut scratch.request)?;
    }
    let step = match code {
        // A client that only wanted the size refuses the OACK (RFC 2347, option negotiation).
        opcode::ERROR if transfer.block == 0 => Err(Reason::Probe),
        opcode::ERROR => Err(Reason::ClientError),
        opcode::ACK => match transfer.on_ack(number, now, policy.resend_after_ns) {
            Ack::Next(block) => Ok(block),
            Ack::Repeat => Ok(transfer.block),
            Ack::Complete => Err(Reason::Complete),
            Ack::Duplicate => return Err(Reason::DuplicateAck),
            Ack::Stray => return Err(Reason::StrayAck),
        },
        _ => return Err(Reason::Junk),
    };
    match step {
        Ok(block) => send(frame, maps, policy, scratch, transfer, block, now),
        Err(over) => {
            if matches!(over, Reason::Complete) && transfer.is_fresh() {
                // Of one block without options: its first ACK is its last.
                scratch.source = plan::source(&scratch.packet.source, scratch.packet.v6);
                maps.acknowledged(&scratch.source, policy, now);
            }
            end(
                maps,
                &mut scratch.event,
                &scratch.key,
                transfer,
                (over, F::RUNG),
                now,
            );
            Err(over)
        }
    }
}

/// Answers with DATA `block`: the next one, or the outstanding one again.
#[inline(always)]
fn send<F: Frame, M: Maps>(
    frame: &mut F,
    maps: &M,
    policy: &Policy,
    scratch: &mut Scratch,
    transfer: &mut Transfer,
    block: u64,
    now: u64,
) -> Result<Reason, Reason> {
    let data = plan::block(transfer.length, transfer.block_len, block);
    let len = data.len as usize;
    resize(frame, &scratch.packet, HEADER_LEN + len)?;
    let stage = Stage::from_index(transfer.stage);
    let repeats = block == transfer.block;
    if repeats {
        transfer.resent = 1;
        transfer.resends += 1;
        maps.count_stage(F::RUNG, stage, StageCounter::Resent, 1);
    } else {
        if transfer.is_fresh() {
            scratch.source = plan::source(&scratch.packet.source, scratch.packet.v6);
            maps.acknowledged(&scratch.source, policy, now);
        }
        transfer.srtt_us = transfer.next_srtt_us(now);
        transfer.resent = 0;
        transfer.block = block;
    }
    transfer.last_send_ns = now;
    transfer.rung = F::RUNG as u8;
    let position = transfer.position + data.start;
    let port = scratch.key.our_port;
    write_data(frame, maps, policy, scratch, port, position, block, len)?;
    maps.count_data(F::RUNG, stage, len);
    Ok(if repeats {
        Reason::Repeat
    } else {
        Reason::Data
    })
}

/// The transfer is over, for this reason.
#[inline(always)]
fn end<M: Maps>(
    maps: &M,
    event: &mut Event,
    key: &TransferKey,
    transfer: &Transfer,
    outcome: (Reason, Rung),
    now: u64,
) {
    let (reason, rung) = outcome;
    let stage = Stage::from_index(transfer.stage);
    announce(maps, event, transfer, key, outcome, now);
    match reason {
        Reason::Complete => {
            let took_us = now.saturating_sub(transfer.started_ns) / 1000;
            maps.count_stage(rung, stage, StageCounter::Complete, 1);
            maps.count_completed(rung, stage, took_us);
        }
        Reason::ClientError => maps.count_stage(rung, stage, StageCounter::Aborted, 1),
        _ => {}
    }
    maps.remove_transfer(key);
}
