//! The kernel side of traces: a ring for each, the addresses it wants, and the programs that fill
//! it.
//!
//! While no trace runs, the programs that are attached know nothing of traces, there is no ring,
//! and the programs that trace are not even loaded. The first trace loads them, which takes the
//! verifier a moment and holds up nobody else, and puts them in the place of the others; the last
//! one puts these back.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData, PerCpuArray, RingBuf};
use parking_lot::Mutex;
use tftp_ebpf::abi::Address;
use tftp_ebpf::abi::trace::{LostRow, Mirrored, Slots, TRACE_ADDRESSES, TRACE_SLOTS};

use super::attach::Attachment;
use super::error::Error;
use super::host::map_address;
use super::object::{Traces, add_ring};
use super::programs::load_traced;
use super::sys;

/// The programs, and where they are attached.
pub(super) struct Attached {
    pub(super) ebpf: Ebpf,
    pub(super) attachments: Vec<Attachment>,
}

/// All traces of the daemon.
pub struct Mirrors(Mutex<State>);

struct State {
    /// None any more once the daemon stops.
    attached: Option<Attached>,
    traced: BpfHashMap<MapData, Address, Slots>,
    /// The outer map of the rings.
    rings: OwnedFd,
    lost: PerCpuArray<MapData, LostRow>,
    /// The addresses of the trace in each slot.
    slots: [Option<Vec<Address>>; TRACE_SLOTS],
    are_loaded: bool,
}

impl Mirrors {
    pub(super) fn new(attached: Attached, maps: Traces) -> Self {
        Self(Mutex::new(State {
            attached: Some(attached),
            traced: maps.traced,
            rings: maps.rings,
            lost: maps.lost,
            slots: [const { None }; TRACE_SLOTS],
            are_loaded: false,
        }))
    }

    /// Begins a trace of no address yet; returns when the programs that trace are attached.
    pub fn begin(self: &Arc<Self>) -> Result<Mirror, Error> {
        let mut state = self.0.lock();
        let free = state.slots.iter().position(Option::is_none);
        let slot = free.ok_or(Error::TracesBusy(TRACE_SLOTS))?;
        state.attach()?;
        let ring = add_ring(state.rings.as_fd(), slot);
        let ring = ring.inspect_err(|_| state.detach_unless_traced())?;
        state.slots[slot] = Some(Vec::new());
        Ok(Mirror {
            mirrors: Arc::clone(self),
            slot,
            ring,
            lost_before: state.lost_in(slot),
        })
    }

    /// Changes where programs are attached; `change` is told whether those that trace are to be.
    /// None if somebody else is at them just now, or they are off for good.
    pub(super) fn try_change<T>(&self, change: impl FnOnce(&mut Attached, bool) -> T) -> Option<T> {
        let mut state = self.0.try_lock()?;
        let is_traced = state.slots.iter().any(Option::is_some);
        let attached = state.attached.as_mut()?;
        Some(change(attached, is_traced))
    }

    /// Takes all programs off, for good.
    pub(super) fn end(&self) {
        self.part(Attachment::detach);
    }

    /// Leaves the programs to the daemon that comes next.
    pub(super) fn release(&self) {
        self.part(Attachment::release);
    }

    fn part(&self, from: fn(&mut Attachment, &mut Ebpf)) {
        let attached = self.0.lock().attached.take();
        if let Some(mut attached) = attached {
            for attachment in &mut attached.attachments {
                from(attachment, &mut attached.ebpf);
            }
        }
    }
}

/// All or none: what an exchange fails for is put back.
fn exchange(attached: &mut Attached, is_traced: bool) -> Result<(), Error> {
    let Attached { ebpf, attachments } = attached;
    let exchanged = attachments
        .iter_mut()
        .try_for_each(|it| it.exchange(ebpf, is_traced));
    if exchanged.is_err() {
        for attachment in attachments {
            attachment.restore(ebpf);
        }
    }
    exchanged
}

impl State {
    /// Attaches the programs that trace, unless they are.
    fn attach(&mut self) -> Result<(), Error> {
        let attached = self.attached.as_mut().ok_or(Error::Stopped)?;
        if !self.are_loaded {
            load_traced(&mut attached.ebpf)?;
            self.are_loaded = true;
        }
        exchange(attached, true)
    }

    /// Attaches the others again if nobody traces any more.
    fn detach_unless_traced(&mut self) {
        if let Some(attached) = &mut self.attached
            && self.slots.iter().all(Option::is_none)
            && let Err(error) = exchange(attached, false)
        {
            tracing::error!(event = "trace.attached_anew", %error, "the programs were attached anew after a trace");
        }
    }

    fn lost_in(&self, slot: usize) -> u64 {
        let rows = self.lost.get(&0, 0);
        rows.map_or(0, |rows| rows.iter().map(|row| row[slot]).sum())
    }

    /// Writes who wants the packets of an address.
    fn write(&mut self, address: &Address) -> Result<(), Error> {
        let wants = |slot: &Option<Vec<Address>>| {
            let addresses = slot.as_ref();
            addresses.is_some_and(|addresses| addresses.contains(address))
        };
        let bits = self
            .slots
            .iter()
            .enumerate()
            .map(|(slot, it)| (wants(it) as Slots) << slot);
        match bits.sum() {
            0 => {
                // Gone already is as good.
                let _ = self.traced.remove(address);
                Ok(())
            }
            slots => self
                .traced
                .insert(address, slots, 0)
                .map_err(|error| Error::map("TRACED", "written", error)),
        }
    }

    fn set(&mut self, slot: usize, addresses: Option<Vec<Address>>) -> Result<(), Error> {
        let fresh = addresses.clone().unwrap_or_default();
        let before = std::mem::replace(&mut self.slots[slot], addresses).unwrap_or_default();
        let mut written = Ok(());
        for address in before.iter().chain(&fresh) {
            written = written.and(self.write(address));
        }
        written
    }
}

/// What the kernel program tells one trace.
pub struct Mirror {
    mirrors: Arc<Mirrors>,
    slot: usize,
    ring: RingBuf<MapData>,
    lost_before: u64,
}

impl Mirror {
    /// From now on the packets of these addresses are told, and of no other; at most
    /// [`TRACE_ADDRESSES`] of them.
    pub fn watch(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        let addresses = addresses.iter().take(TRACE_ADDRESSES);
        let addresses = addresses.map(|&address| map_address(address)).collect();
        self.mirrors.0.lock().set(self.slot, Some(addresses))
    }

    /// Reads what there is: each record's head, and its frame.
    pub fn read(&mut self, mut each: impl FnMut(&Mirrored, &[u8])) {
        while let Some(record) = self.ring.next() {
            if let Some((head, frame)) = parse(&record) {
                each(&head, frame);
            }
        }
    }

    /// Packets that found the ring full, since this trace began.
    pub fn lost(&self) -> u64 {
        let lost = self.mirrors.0.lock().lost_in(self.slot);
        lost.saturating_sub(self.lost_before)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let mut state = self.mirrors.0.lock();
        if let Err(error) = state.set(self.slot, None) {
            tracing::warn!(event = "trace.address_left", %error, "an address is mirrored to nobody");
        }
        let slot = self.slot as u32;
        if let Err(error) = sys::delete(state.rings.as_fd(), &slot) {
            tracing::warn!(event = "trace.ring_left", %error, "the ring of a trace could not be given back");
        }
        state.detach_unless_traced();
    }
}

/// A record ends with its frame. The head is without it.
pub fn parse(record: &[u8]) -> Option<(Mirrored, &[u8])> {
    let (fixed, frame) = record.split_at_checked(Mirrored::FIXED_LEN)?;
    let mut head = Mirrored::EMPTY;
    // SAFETY: the fixed part is the beginning of a record, which is valid for every bit pattern.
    unsafe {
        let place = (&raw mut head).cast::<u8>();
        place.copy_from_nonoverlapping(fixed.as_ptr(), fixed.len());
    }
    let captured = usize::try_from(head.captured_len).ok()?;
    // The ring rounds its records up to eight bytes.
    frame.get(..captured).map(|frame| (head, frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(frame: &[u8], captured_len: u32) -> Vec<u8> {
        let head = Mirrored {
            at_ns: 7,
            ifindex: 3,
            captured_len,
            is_answer: 1,
            ..Mirrored::EMPTY
        };
        // SAFETY: the fixed part of a record, which has no padding.
        let fixed = unsafe {
            std::slice::from_raw_parts((&raw const head).cast::<u8>(), Mirrored::FIXED_LEN)
        };
        [fixed, frame].concat()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = record(b"a frame", 7);
        let (head, frame) = parse(&record).unwrap();
        assert_eq!((head.at_ns, head.ifindex, head.is_answer), (7, 3, 1));
        assert_eq!(frame, b"a frame");
    }

    #[test]
    fn what_is_no_record_is_left_out() {
        assert!(parse(&record(b"a frame", 8)).is_none());
        assert!(parse(&record(b"", 0)[1..]).is_none());
    }
}
