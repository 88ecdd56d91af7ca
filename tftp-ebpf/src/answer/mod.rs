//! From a frame to its verdict: parse, decide, grow, write, in that order.
//!
//! Nothing is written before the frame has its new size: a frame that cannot be grown goes on to
//! the next rung as it came. After that point it can only be answered or dropped.
//!
//! Every function here ends in a [`Reason`]; `Err` is the one that ends the work early, `Ok` the
//! one that ends it in an answer.

mod reply;
mod request;
#[cfg(test)]
mod tests;
mod write;

use crate::abi::{Event, Lease, Policy, Transfer, TransferKey, is_link_local};
use crate::classify;
use crate::frame::{Frame, Maps, REQUEST_MAX, Scratch};
use crate::packet::Packet;
use crate::verdict::{Reason, Rung};
use crate::wire::tftp;

/// Handles one frame. The reason tells what became of it.
#[inline(always)]
pub fn handle<F: Frame, M: Maps>(frame: &mut F, maps: &M) -> Reason {
    match route(frame, maps) {
        Ok(reason) | Err(reason) => reason,
    }
}

#[inline(always)]
fn route<F: Frame, M: Maps>(frame: &mut F, maps: &M) -> Result<Reason, Reason> {
    let mut scratch = maps.scratch().ok_or(Reason::NotReady)?;
    // SAFETY: the scratch memory is this CPU's own, and the program is not re-entered on it.
    let scratch = unsafe { scratch.as_mut() };
    let policy = maps.policy().ok_or(Reason::NotReady)?;
    // Looked up here, before the ways through the parser part: the verifier walks what is behind
    // them once for each.
    let lease = maps.lease().ok_or(Reason::NotReady)?;
    let reason = match scratch.packet.parse(frame) {
        Ok(()) => match transfer(frame, maps, policy, lease, scratch) {
            Err(Reason::NotOurs) => Reason::NotOurs,
            outcome => return outcome,
        },
        Err(reason) => reason,
    };
    Err(classify::meet(frame, maps, policy, scratch, reason))
}

/// Handles a UDP packet, if it is for the request port or the port of a transfer.
#[inline(always)]
fn transfer<F: Frame, M: Maps>(
    frame: &mut F,
    maps: &M,
    policy: &Policy,
    lease: &Lease,
    scratch: &mut Scratch,
) -> Result<Reason, Reason> {
    let port = u16::from_be_bytes(scratch.packet.udp().destination_port());
    let is_request = port == tftp::PORT;
    if !is_request && port.wrapping_sub(policy.tid_first) >= policy.tid_count {
        return Err(Reason::NotOurs);
    }
    let now = maps.now();
    // A member of a bond in reserve gets its share of what a switch floods. An answer sent from there
    // would teach the switch a wrong port, and the bond drops what is passed on.
    let interface = maps.interface(frame.ifindex());
    let is_in_use = interface.map_or(0, |it| u64::from(it.enabled));
    // One branch for all: the verifier walks what is behind each once more for every way here.
    if u64::from(policy.enabled) & is_in_use & lease.left(now) == 0 {
        return Err(if u64::from(policy.enabled) & is_in_use == 0 {
            Reason::NotReady
        } else {
            Reason::LeaseOver
        });
    }
    let outcome = if is_request {
        request::handle(frame, maps, policy, scratch, now)
    } else {
        reply::handle(frame, maps, policy, scratch, now)
    };
    maps.took(F::RUNG, now);
    outcome
}

/// Reads a payload into the scratch buffer, and checks the UDP checksum over it.
#[inline(always)]
fn load_payload<F: Frame, M: Maps>(
    frame: &F,
    maps: &M,
    packet: &Packet,
    buffer: &mut [u8; REQUEST_MAX],
) -> Result<(), Reason> {
    if packet.payload_len > REQUEST_MAX - 4 {
        return Err(Reason::LongRequest);
    }
    if !frame.load_request(packet.payload, packet.payload_len, buffer) {
        return Err(Reason::Length);
    }
    let sum = maps
        .sum_request(buffer, packet.payload_len)
        .ok_or(Reason::Length)?;
    packet.check_sum(sum)
}

/// The key of the transfer between the packet's sender and `our_port`.
#[inline(always)]
fn set_key<F: Frame>(key: &mut TransferKey, frame: &F, packet: &Packet, our_port: [u8; 2]) {
    key.client = packet.source;
    key.scope = if is_link_local(&packet.source) {
        frame.ifindex()
    } else {
        0
    };
    key.client_port = packet.udp().source_port();
    key.our_port = our_port;
}

/// Tells the daemon about a transfer.
#[inline(always)]
fn announce<M: Maps>(
    maps: &M,
    event: &mut Event,
    transfer: &Transfer,
    key: &TransferKey,
    outcome: (Reason, Rung),
    now: u64,
) {
    event.at_ns = now;
    event.took_ns = now.saturating_sub(transfer.started_ns);
    event.generation = transfer.generation;
    event.client = key.client;
    event.client_port = key.client_port;
    event.our_port = key.our_port;
    event.file_id = transfer.file_id;
    event.length = transfer.length;
    event.resends = transfer.resends;
    event.reason = outcome.0 as u8;
    event.rung = outcome.1 as u8;
    event.stage = transfer.stage;
    maps.event(event);
}

#[inline(always)]
fn written(done: bool) -> Result<(), Reason> {
    if done {
        Ok(())
    } else {
        Err(Reason::WriteFailed)
    }
}
