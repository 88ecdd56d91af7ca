//! The kernel side of traces: a ring for each, the addresses it wants, and the programs that fill
//! it.
//!
//! While no trace runs, the programs that are attached know nothing of traces, there is no ring,
//! and the programs that trace are not even loaded. The first trace has them loaded, which takes the
//! verifier a moment, and put in the place of the others; the last one has these put back.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{HashMap as BpfHashMap, MapData, PerCpuArray, RingBuf};
use parking_lot::{Condvar, Mutex};
use tftp_ebpf::abi::Address;
use tftp_ebpf::abi::trace::{LostRow, Mirrored, Slots, TRACE_ADDRESSES, TRACE_SLOTS};

use super::attach::Attachment;
use super::error::Error;
use super::host::map_address;
use super::object::{Traces, add_ring, load_traced};
use super::sys;

/// Longer than the verifier takes for four programs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// All traces of the daemon.
pub struct Mirrors {
    state: Mutex<State>,
    exchanged: Condvar,
}

struct State {
    traced: BpfHashMap<MapData, Address, Slots>,
    /// The outer map of the rings.
    rings: OwnedFd,
    lost: PerCpuArray<MapData, LostRow>,
    /// The addresses of the trace in each slot.
    slots: [Option<Vec<Address>>; TRACE_SLOTS],
    are_loaded: bool,
    attached: Attached,
}

/// Which programs are attached.
enum Attached {
    Plain,
    Traced,
    /// The plain ones, since the others could not be.
    Failed(String),
    /// None any more.
    Ended,
}

impl Mirrors {
    pub(super) fn new(maps: Traces) -> Self {
        Self {
            state: Mutex::new(State {
                traced: maps.traced,
                rings: maps.rings,
                lost: maps.lost,
                slots: [const { None }; TRACE_SLOTS],
                are_loaded: false,
                attached: Attached::Plain,
            }),
            exchanged: Condvar::new(),
        }
    }

    /// Begins a trace of no address yet; returns when the programs that trace are attached.
    pub fn begin(self: &Arc<Self>) -> Result<Mirror, Error> {
        let mut state = self.state.lock();
        let free = state.slots.iter().position(Option::is_none);
        let slot = free.ok_or(Error::TracesBusy(TRACE_SLOTS))?;
        let ring = add_ring(state.rings.as_fd(), slot)?;
        state.slots[slot] = Some(Vec::new());
        let lost_before = state.lost_in(slot);
        // From here on its drop gives the slot back.
        let mirror = Mirror {
            mirrors: Arc::clone(self),
            slot,
            ring,
            lost_before,
        };
        loop {
            match &state.attached {
                Attached::Traced => break,
                Attached::Failed(problem) => {
                    let problem = problem.clone();
                    drop(state);
                    return Err(Error::Exchange(problem));
                }
                Attached::Ended => {
                    drop(state);
                    return Err(Error::Stopped);
                }
                Attached::Plain => {}
            }
            if self.exchanged.wait_for(&mut state, PATIENCE).timed_out() {
                drop(state);
                return Err(Error::Exchange("it takes too long".to_owned()));
            }
        }
        drop(state);
        Ok(mirror)
    }

    /// Has the programs attached that the traces need, or that no trace needs. To be called by the
    /// thread that owns them.
    pub(super) fn serve(&self, ebpf: &mut Ebpf, attachments: &mut [Attachment]) {
        let mut state = self.state.lock();
        let is_wanted = state.slots.iter().any(Option::is_some);
        match (&state.attached, is_wanted) {
            (Attached::Plain, true) => {
                // Nobody may wait for the verifier but who wants to trace: a trace that gives up
                // meanwhile is found out by the next call.
                let are_loaded = state.are_loaded;
                drop(state);
                let loaded = match are_loaded {
                    true => Ok(()),
                    false => load_traced(ebpf),
                };
                let exchanged = loaded.and_then(|()| exchange(ebpf, attachments, true));
                state = self.state.lock();
                state.attached = match exchanged {
                    Ok(()) => {
                        state.are_loaded = true;
                        Attached::Traced
                    }
                    Err(error) => {
                        tracing::error!(%error, "no trace can be run");
                        Attached::Failed(error.to_string())
                    }
                };
            }
            (Attached::Traced, false) => {
                if let Err(error) = exchange(ebpf, attachments, false) {
                    tracing::error!(%error, "the programs were attached anew after a trace");
                }
                state.attached = Attached::Plain;
            }
            (Attached::Failed(_), false) => state.attached = Attached::Plain,
            _ => return,
        }
        self.exchanged.notify_all();
    }

    /// The programs are about to be taken off.
    pub(super) fn end(&self) {
        self.state.lock().attached = Attached::Ended;
        self.exchanged.notify_all();
    }
}

/// All or none: what an exchange fails for is put back.
fn exchange(ebpf: &mut Ebpf, attachments: &mut [Attachment], is_traced: bool) -> Result<(), Error> {
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
        self.mirrors.state.lock().set(self.slot, Some(addresses))
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
        let lost = self.mirrors.state.lock().lost_in(self.slot);
        lost.saturating_sub(self.lost_before)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let mut state = self.mirrors.state.lock();
        if let Err(error) = state.set(self.slot, None) {
            tracing::warn!(%error, "an address is mirrored to nobody");
        }
        let slot = self.slot as u32;
        if let Err(error) = sys::delete(state.rings.as_fd(), &slot) {
            tracing::warn!(%error, "the ring of a trace could not be given back");
        }
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
