//! Packets to port 69.

use super::write::{resize, write_data, write_headers};
use super::{announce, load_payload, set_key, written};
use crate::abi::{FileEntry, Interface, MAX_BLOCK, Policy, StageCounter, Transfer, kind};
use crate::checksum::Sum;
use crate::frame::{Bucket, Frame, Maps, Scratch};
use crate::name::{self, DEVICE_DIGITS};
use crate::packet::Packet;
use crate::plan;
use crate::stage::Stage;
use crate::verdict::Reason;
use crate::wire::ip;
use crate::wire::tftp::{
    self, FILE_NOT_FOUND, Granted, HEADER_LEN, Limits, Mode, Options, Request, RequestError, opcode,
};

#[inline(always)]
pub(super) fn handle<F: Frame, M: Maps>(
    frame: &mut F,
    maps: &M,
    policy: &Policy,
    scratch: &mut Scratch,
    now: u64,
) -> Result<Reason, Reason> {
    check_sender(maps, &scratch.packet)?;
    load_payload(frame, maps, &scratch.packet, &mut scratch.request)?;
    let len = scratch.packet.payload_len;
    let Scratch {
        parser,
        request,
        name,
        ..
    } = scratch;
    let request = match Request::parse_with(parser, request, len, name) {
        Ok(request) => request,
        Err(RequestError::Name(_)) => return Err(Reason::Name),
        Err(RequestError::Mode) => return Err(Reason::Mode),
        Err(RequestError::Unterminated) => return Err(Reason::Malformed),
    };
    if request.mode != Mode::Octet {
        return Err(Reason::Mode);
    }
    scratch.source = plan::source(&scratch.packet.source, scratch.packet.v6);
    if !find(maps, policy, scratch) {
        return Err(unknown_name(maps, policy, scratch, now));
    }
    if !scratch.entry.is_whole() {
        return Err(Reason::Torn);
    }
    match scratch.entry.kind {
        kind::CONTENT => begin(frame, maps, policy, scratch, &request.options, now),
        kind::ABSENT => absent(frame, maps, policy, scratch, now),
        _ => Err(Reason::NotCached),
    }
}

/// Whether this is a read request from somebody who may have an answer.
#[inline(always)]
fn check_sender<M: Maps>(maps: &M, packet: &Packet) -> Result<(), Reason> {
    if packet.ethernet().is_to_group() || ip::is_group(&packet.destination, packet.v6) {
        return Err(Reason::Broadcast);
    }
    if !maps.is_local(&packet.destination) {
        return Err(Reason::NotOurs);
    }
    let source_port = u16::from_be_bytes(packet.udp().source_port());
    if source_port == tftp::PORT || source_port == 0 {
        return Err(Reason::SourcePort);
    }
    if ip::is_impossible_source(&packet.source, packet.v6) || packet.source == packet.destination {
        return Err(Reason::SourceAddress);
    }
    if packet.payload_len < HEADER_LEN {
        return Err(Reason::Short);
    }
    match packet.opcode() {
        opcode::RRQ => {}
        opcode::WRQ => return Err(Reason::Write),
        opcode::DATA..=opcode::OACK => return Err(Reason::ReplyOpcode),
        _ => return Err(Reason::Opcode),
    }
    if maps.is_allowed(&packet.source) {
        Ok(())
    } else {
        Err(Reason::Denied)
    }
}

/// Looks for the entry of the name, or for the one that stands for all names of its kind.
#[inline(always)]
fn find<M: Maps>(maps: &M, policy: &Policy, scratch: &mut Scratch) -> bool {
    let Scratch {
        name, entry, event, ..
    } = scratch;
    event.device = [0; DEVICE_DIGITS];
    maps.file(name, entry)
        || policy.is_partial == 0
            && name::collapse(name, &mut event.device)
            && maps.file(name, entry)
}

/// A name that is not in the directory: the daemon's to answer and to charge, until the source has
/// asked for too many in vain.
#[inline(always)]
fn unknown_name<M: Maps>(maps: &M, policy: &Policy, scratch: &Scratch, now: u64) -> Reason {
    let source = &scratch.source;
    if policy.is_partial != 0 {
        return Reason::UnknownName;
    }
    if name::is_device_file(&scratch.name) && !maps.may_spend(Bucket::Unknown, source, policy, now)
    {
        maps.silenced(source);
        return Reason::UnknownBudget;
    }
    if !maps.may_spend(Bucket::Miss, source, policy, now) {
        return Reason::MissBudget;
    }
    Reason::UnknownName
}

/// ERROR 1 for a name that is known to be absent.
#[inline(always)]
fn absent<F: Frame, M: Maps>(
    frame: &mut F,
    maps: &M,
    policy: &Policy,
    scratch: &mut Scratch,
    now: u64,
) -> Result<Reason, Reason> {
    // An ERROR is no longer than its request, but its addressee may never have asked. Who is known
    // to be there gets it all the same: one scanner behind NAT must not hold up a site's boots.
    if !maps.may_spend(Bucket::Miss, &scratch.source, policy, now)
        && !maps.is_known(&scratch.source, policy, now)
    {
        return Err(Reason::MissBudget);
    }
    let port = tid(policy, &scratch.packet, &scratch.entry, &Granted::default());
    resize(frame, &scratch.packet, FILE_NOT_FOUND.len())?;
    let sum = Sum::new().bytes(&FILE_NOT_FOUND_EVEN);
    let len = FILE_NOT_FOUND.len();
    write_headers(
        frame,
        policy,
        scratch,
        port,
        0,
        first(&FILE_NOT_FOUND),
        len,
        sum,
    )?;
    written(frame.store(scratch.packet.payload, &FILE_NOT_FOUND))?;
    maps.spend(Bucket::Miss, &scratch.source, policy, now);

    let stage = Stage::from_index(scratch.entry.stage);
    maps.count_stage(F::RUNG, stage, StageCounter::Requests, 1);
    maps.count_stage(F::RUNG, stage, StageCounter::NotFound, 1);
    set_key(&mut scratch.key, frame, &scratch.packet, port);
    new_transfer(
        &mut scratch.transfer,
        frame,
        &scratch.packet,
        &scratch.entry,
        now,
    );
    let outcome = (Reason::Absent, F::RUNG);
    announce(
        maps,
        &mut scratch.event,
        &scratch.transfer,
        &scratch.key,
        outcome,
        now,
    );
    Ok(Reason::Absent)
}

#[inline(always)]
const fn first<const N: usize>(payload: &[u8; N]) -> [u8; HEADER_LEN] {
    [payload[0], payload[1], payload[2], payload[3]]
}

/// [`FILE_NOT_FOUND`] as the checksum sees it: padded to an even length.
const FILE_NOT_FOUND_EVEN: [u8; 20] = {
    let mut even = [0; 20];
    let mut at = 0;
    while at < FILE_NOT_FOUND.len() {
        even[at] = FILE_NOT_FOUND[at];
        at += 1;
    }
    even
};

/// What the transfer under this key means for a request.
enum Running {
    /// There is none, one that was given up, or one of something else: a new one begins.
    No,
    /// Nothing of it was acknowledged yet: its first packet goes out again.
    Fresh,
}

/// A request for content: joins its transfer, or begins one.
#[inline(always)]
fn begin<F: Frame, M: Maps>(
    frame: &mut F,
    maps: &M,
    policy: &Policy,
    scratch: &mut Scratch,
    options: &Options,
    now: u64,
) -> Result<Reason, Reason> {
    let interface = maps.interface(frame.ifindex()).ok_or(Reason::NotReady)?;
    let granted = grant(interface, &scratch.packet, &scratch.entry, options)?;
    let port = tid(policy, &scratch.packet, &scratch.entry, &granted);
    set_key(&mut scratch.key, frame, &scratch.packet, port);
    let running = find_running(maps, policy, scratch, &granted, now)?;
    if !maps.may_spend(Bucket::First, &scratch.source, policy, now)
        && !maps.is_known(&scratch.source, policy, now)
    {
        return Err(Reason::FirstBudget);
    }

    let transfer = &mut scratch.transfer;
    let joins = matches!(running, Running::Fresh);
    if joins {
        // The version it began with stays, whatever was published since.
        transfer.last_send_ns = now;
        transfer.rung = F::RUNG as u8;
        transfer.resent = 1;
        transfer.resends += 1;
    } else {
        new_transfer(transfer, frame, &scratch.packet, &scratch.entry, now);
        transfer.block_len = granted.block_len();
        transfer.granted_blksize = granted.blksize;
        transfer.granted_timeout = granted.timeout;
        transfer.granted_tsize = granted.tsize.is_some() as u8;
        transfer.granted_windowsize = granted.windowsize as u8;
        transfer.oack = !granted.is_empty() as u8;
        transfer.block = transfer.first();
    }

    let stage = Stage::from_index(transfer.stage);
    let reason = if transfer.oack != 0 {
        send_oack(frame, policy, scratch, port)?;
        Reason::Oack
    } else {
        let len = plan::block(transfer.length, transfer.block_len, 1).len as usize;
        resize(frame, &scratch.packet, HEADER_LEN + len)?;
        let (position, block) = (transfer.position, 1);
        write_data(frame, maps, policy, scratch, port, position, block, len)?;
        maps.count_data(F::RUNG, stage, len);
        Reason::FirstData
    };
    maps.spend(Bucket::First, &scratch.source, policy, now);
    written(maps.insert_transfer(&scratch.key, &scratch.transfer))?;
    if joins {
        maps.count_stage(F::RUNG, stage, StageCounter::Resent, 1);
        return Ok(Reason::Repeat);
    }
    maps.count_stage(F::RUNG, stage, StageCounter::Requests, 1);
    let outcome = (reason, F::RUNG);
    announce(
        maps,
        &mut scratch.event,
        &scratch.transfer,
        &scratch.key,
        outcome,
        now,
    );
    Ok(reason)
}

#[inline(always)]
fn grant(
    interface: &Interface,
    packet: &Packet,
    entry: &FileEntry,
    options: &Options,
) -> Result<Granted, Reason> {
    if options.windowsize > 1 {
        return Err(Reason::Option);
    }
    let blksize = if packet.v6 {
        interface.max_blksize_v6
    } else {
        interface.max_blksize_v4
    };
    let limits = Limits {
        blksize,
        windowsize: 1,
    };
    let granted = Granted::new(options, &limits, Some(entry.length as u64));
    if granted.block_len() > MAX_BLOCK {
        Err(Reason::Option)
    } else {
        Ok(granted)
    }
}

/// Looks for the transfer that a repeated request belongs to, and copies it if it is to go on.
#[inline(always)]
fn find_running<M: Maps>(
    maps: &M,
    policy: &Policy,
    scratch: &mut Scratch,
    granted: &Granted,
    now: u64,
) -> Result<Running, Reason> {
    let Some(running) = maps.transfer(&scratch.key) else {
        return Ok(Running::No);
    };
    // SAFETY: an element of the map, valid until the program returns.
    let running = unsafe { running.as_ref() };
    // A port is a hash over a few thousand: another file, or the same with other options, may have
    // come to the same one.
    if !running.is_of(scratch.entry.file_id, granted) {
        return Ok(Running::No);
    }
    if running.is_fresh() {
        scratch.transfer = *running;
        return Ok(Running::Fresh);
    }
    if now.saturating_sub(running.last_send_ns) < policy.restart_after_ns {
        return Err(Reason::LateRequest);
    }
    Ok(Running::No)
}

/// A transfer of the version in `entry`, without options.
#[inline(always)]
fn new_transfer<F: Frame>(
    transfer: &mut Transfer,
    frame: &F,
    packet: &Packet,
    entry: &FileEntry,
    now: u64,
) {
    *transfer = Transfer::EMPTY;
    transfer.position = entry.position;
    transfer.generation = entry.generation;
    transfer.started_ns = now;
    transfer.last_send_ns = now;
    transfer.length = entry.length;
    transfer.file_id = entry.file_id;
    transfer.ifindex = frame.ifindex();
    transfer.server = packet.destination;
    transfer.client_mac = packet.ethernet().source();
    transfer.server_mac = packet.ethernet().destination();
    transfer.tags = packet.tags;
    transfer.tags_len = packet.tags_len;
    transfer.stage = entry.stage;
    transfer.rung = F::RUNG as u8;
}

#[inline(always)]
fn send_oack<F: Frame>(
    frame: &mut F,
    policy: &Policy,
    scratch: &mut Scratch,
    port: [u8; 2],
) -> Result<(), Reason> {
    scratch.transfer.granted().encode_oack(&mut scratch.oack);
    let sum = Sum::new().bytes(scratch.oack.buffer());
    resize(frame, &scratch.packet, scratch.oack.len())?;
    let (first, len) = (first(scratch.oack.buffer()), scratch.oack.len());
    write_headers(frame, policy, scratch, port, 0, first, len, sum)?;
    written(frame.store_oack(scratch.packet.payload, &scratch.oack))
}

#[inline(always)]
fn tid(policy: &Policy, packet: &Packet, entry: &FileEntry, granted: &Granted) -> [u8; 2] {
    let client_port = packet.udp().source_port();
    plan::tid(
        policy,
        &packet.source,
        client_port,
        &packet.destination,
        entry.file_id,
        granted,
    )
    .to_be_bytes()
}
