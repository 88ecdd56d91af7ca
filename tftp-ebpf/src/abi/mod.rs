//! The layout of every map: what the daemon writes, what the kernel program writes, and who owns
//! what.
//!
//! All types are `repr(C)` with explicit padding, addresses and ports are byte arrays in network
//! order. IPv4 addresses stand as IPv4-mapped IPv6 ones (`::ffff:a.b.c.d`), so one key fits both.

pub mod registration;
#[cfg(test)]
mod tests;
pub mod trace;

use crate::name::{DEVICE_DIGITS, KEY_LEN, NameKey};
use crate::stage::Stage;
use crate::verdict::{Reason, Rung};
use crate::wire::tftp::DEFAULT_BLKSIZE;

/// Changes whenever the layout or the meaning of a map does: pinned maps of another version are
/// never adopted.
pub const ABI_VERSION: u32 = 5;

/// A slab: one element of a bank, and the unit the content space is cut into.
pub const SLAB_BYTES: usize = 32 * 1024;
/// The end of a slab repeats the beginning of the next, so that every block lies inside one slab.
pub const SLAB_OVERLAP: usize = 1536;
/// Bytes of the content space that a slab adds.
pub const SLAB_STRIDE: usize = SLAB_BYTES - SLAB_OVERLAP;
/// Slabs in a bank: one inner map, 4 MiB. The kernel side grows and shrinks by banks.
pub const BANK_SLABS: u32 = 128;
pub const BANK_BYTES: usize = BANK_SLABS as usize * SLAB_BYTES;
/// The largest block the kernel serves: what fits an MTU of 1500 over IPv4.
pub const MAX_BLOCK: u16 = 1468;

pub type Slab = [u8; SLAB_BYTES];

/// An address as four words in network order. Words, because the BPF back end moves bytes one by
/// one where it cannot see an alignment.
pub type Address = [u32; 4];

/// The IPv4-mapped form of an IPv4 address (RFC 4291 2.5.5.2).
#[inline(always)]
pub const fn mapped(v4: [u8; 4]) -> Address {
    [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes(v4)]
}

/// An IPv6 address.
#[inline(always)]
pub const fn address(bytes: &[u8; 16]) -> Address {
    let mut address = [0; 4];
    let mut at = 0;
    while at < 4 {
        address[at] = u32::from_ne_bytes([
            bytes[4 * at],
            bytes[4 * at + 1],
            bytes[4 * at + 2],
            bytes[4 * at + 3],
        ]);
        at += 1;
    }
    address
}

/// Link-local addresses mean something on one interface only (RFC 4007).
#[inline(always)]
pub const fn is_link_local(address: &Address) -> bool {
    u32::from_be(address[0]) >> 22 == 0xfe80 >> 6
}

/// `POLICY`: one entry, written by the daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Zero until the daemon has published everything: the program then passes every packet.
    pub enabled: u32,
    /// Where a transfer's port comes from: `tid_first` and the `tid_count - 1` above it.
    pub tid_first: u16,
    pub tid_count: u16,
    /// Key of the function that picks a transfer's port: unknown outside this host.
    pub tid_secret: [u64; 2],
    /// A duplicate ACK or repeated request is answered again after this long at the earliest.
    pub resend_after_ns: u64,
    /// A request repeated during a transfer that is under way begins a new one after this long.
    pub restart_after_ns: u64,
    /// First packets without an answer: nanoseconds a token takes to come back, and how many
    /// nanoseconds' worth may be used at once. Zero turns the budget off.
    pub first_interval_ns: u64,
    pub first_burst_ns: u64,
    /// The same for requests of names that do not exist, and for configurations of devices that
    /// nobody knows among them.
    pub miss_interval_ns: u64,
    pub miss_burst_ns: u64,
    pub unknown_interval_ns: u64,
    pub unknown_burst_ns: u64,
    /// How long a source that acknowledged a block counts as genuine.
    pub known_for_ns: u64,
    /// One bit for each port that phones register at, [`port_bit`]: a packet between ports whose bits
    /// are all zero has nothing to do with registrations. Zero if none are looked at.
    pub registration_ports: u64,
    /// The DS field of every answer: the code point in the upper six bits (RFC 2474).
    pub ds_field: u8,
    /// 1 once the directory lacks names that the daemon can serve: then every request for a name
    /// that is not in it is the daemon's, whoever asks, and no pattern stands in for it.
    pub is_partial: u8,
    pub padding: [u8; 6],
}

/// `LEASE`: one entry, renewed by the daemon every second once everything is published. A map of its
/// own, so that nothing else is written every second.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// From then on nobody has looked after what is here for too long: it may be outdated, and what
    /// stalls is not sent again. The programs pass what they would answer, and hold nobody back.
    pub until_ns: u64,
    /// For the daemon that comes next: when it was renewed, and how many lost events were told by
    /// then.
    pub renewed_ns: u64,
    pub events_lost: u64,
}

impl Lease {
    /// 1 until it is over, then 0. Times are far less than half of all numbers apart.
    #[inline(always)]
    pub const fn left(&self, now_ns: u64) -> u64 {
        now_ns.wrapping_sub(self.until_ns) >> 63
    }
}

/// The place of a port, in network order, in [`Policy::registration_ports`]: several ports may share
/// one, so a bit that is set means that it is worth a closer look.
#[inline(always)]
pub const fn port_bit(port: [u8; 2]) -> u64 {
    1 << (port[1] & 63)
}

/// `CLIENTS`: what stands under a network. The longest prefix of an address counts.
pub mod client {
    /// Nobody: the IPv4 addresses, where an IPv6 network is so large that it has their mapped forms
    /// in it. Who names an IPv6 network means IPv6.
    pub const SHUT_OUT: u32 = 0;
    pub const ANSWERED: u32 = 1;
}

/// `INTERFACES`: interface index → what must be known about it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Largest blksize over IPv4 and IPv6 that the daemon would grant here.
    pub max_blksize_v4: u16,
    pub max_blksize_v6: u16,
    /// 0 off, 1 on.
    pub enabled: u8,
    /// The [`Rung`] that classifies registrations here: where XDP and TC are both attached, a packet
    /// must not be counted and charged twice.
    pub classifies: u8,
    pub padding: [u8; 2],
}

/// `FILES` → what stands under a name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileEntry {
    /// First byte in the content space.
    pub position: u64,
    pub generation: u64,
    pub length: u32,
    /// Stays the same over all versions of a name.
    pub file_id: u32,
    pub kind: u8,
    pub stage: u8,
    pub padding: [u8; 2],
    /// [`FileEntry::seal`] of the other fields: the kernel reuses the memory of a replaced entry
    /// at once, so a reader must be able to see that it was torn.
    pub check: u32,
}

/// [`FileEntry::kind`].
pub mod kind {
    /// Content in the slabs.
    pub const CONTENT: u8 = 1;
    /// Known to be absent: ERROR 1.
    pub const ABSENT: u8 = 2;
    /// The daemon has it, the slabs do not.
    pub const ELSEWHERE: u8 = 3;
}

impl FileEntry {
    /// A sum over every field but `check`.
    #[inline(always)]
    pub const fn seal(&self) -> u32 {
        let words = [
            self.position,
            self.generation,
            (self.length as u64) << 32 | self.file_id as u64,
            (self.kind as u64) << 8 | self.stage as u64,
        ];
        let mut sum = 0x9e37_79b9_7f4a_7c15_u64;
        let mut at = 0;
        while at < words.len() {
            sum = (sum ^ words[at]).wrapping_mul(0xff51_afd7_ed55_8ccd);
            sum ^= sum >> 32;
            at += 1;
        }
        sum as u32
    }

    pub const fn sealed(mut self) -> Self {
        self.check = self.seal();
        self
    }

    #[inline(always)]
    pub const fn is_whole(&self) -> bool {
        self.check == self.seal()
    }
}

/// `TRANSFERS`: whose transfer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransferKey {
    pub client: Address,
    /// The interface for link-local clients, else zero.
    pub scope: u32,
    /// The client's TID, and ours; network order.
    pub client_port: [u8; 2],
    pub our_port: [u8; 2],
}

/// `TRANSFERS` → one transfer. Written by the kernel program alone; the daemon reads it to resend
/// what stalled, and removes what ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The version it began with: first byte, generation and length.
    pub position: u64,
    pub generation: u64,
    /// `bpf_ktime_get_ns`, as are all times: CLOCK_MONOTONIC.
    pub started_ns: u64,
    pub last_send_ns: u64,
    /// Number of the packet that is outstanding, not wrapped; zero is the OACK.
    pub block: u64,
    pub length: u32,
    pub file_id: u32,
    pub ifindex: u32,
    /// Smoothed round-trip time in microseconds; zero before the first sample.
    pub srtt_us: u32,
    pub resends: u32,
    /// The address the client asked.
    pub server: Address,
    pub client_mac: [u8; 6],
    pub server_mac: [u8; 6],
    /// VLAN tags as they stood in the request, outermost first.
    pub tags: [u8; 8],
    /// Bytes of `tags` in use: 0, 4 or 8.
    pub tags_len: u8,
    pub stage: u8,
    /// [`Rung`] that answered last.
    pub rung: u8,
    /// 1 if the outstanding packet was sent more than once.
    pub resent: u8,
    pub block_len: u16,
    /// What was granted, to repeat the OACK; zero where it was not.
    pub granted_blksize: u16,
    pub granted_timeout: u8,
    pub granted_tsize: u8,
    pub granted_windowsize: u8,
    /// 1 if the transfer began with an OACK.
    pub oack: u8,
}

impl Transfer {
    pub const EMPTY: Self = Self {
        position: 0,
        generation: 0,
        started_ns: 0,
        last_send_ns: 0,
        block: 0,
        length: 0,
        file_id: 0,
        ifindex: 0,
        srtt_us: 0,
        resends: 0,
        server: [0; 4],
        client_mac: [0; 6],
        server_mac: [0; 6],
        tags: [0; 8],
        tags_len: 0,
        stage: 0,
        rung: 0,
        resent: 0,
        block_len: DEFAULT_BLKSIZE,
        granted_blksize: 0,
        granted_timeout: 0,
        granted_tsize: 0,
        granted_windowsize: 0,
        oack: 0,
    };
}

/// `BUDGETS`: the sender, IPv6 ones by their /64.
pub type Source = Address;

/// `BUDGETS` → when each bucket will be full again (virtual scheduling, as in GCRA).
///
/// What a source has asked for in vain is one account, kept here by both sides. The kernel program
/// charges the misses it answers; of a name it does not know it cannot tell whether there is
/// nothing behind it, so it only looks whether the source has a token left, and the daemon charges
/// what turns out to be a miss, whichever protocol it came by. Two that write at once may lose a
/// token or two.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    pub first_ns: u64,
    pub miss_ns: u64,
    /// Charged by the daemon alone.
    pub unknown_ns: u64,
    /// Requests that were dropped because of `unknown_ns`.
    pub silenced: u64,
}

/// What is counted for one rung; `COUNTERS` has one per CPU for XDP and one for TC.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CounterBlock {
    pub reasons: [u64; REASON_SLOTS],
    pub stages: [[u64; STAGE_SLOTS]; STAGES],
    pub transfer_us: [[u64; LOG2_BUCKETS]; STAGES],
    pub transfer_us_sum: [u64; STAGES],
}

/// Powers of two, so that an index is bounded by a mask.
pub const REASON_SLOTS: usize = 64;
pub const STAGES: usize = 16;
pub const STAGE_SLOTS: usize = 8;
pub const LOG2_BUCKETS: usize = 32;

/// `LATENCY`: nanoseconds spent on packets that are ours, sampled, from when that is known.
pub type LatencyHistogram = [u64; LOG2_BUCKETS];

/// The bucket of a log2 histogram: bucket `n` counts values below `2^n`, the last one all others.
#[inline(always)]
pub const fn log2_bucket(value: u64) -> usize {
    let mut rest = value;
    let mut bucket = 0;
    // A ladder instead of `leading_zeros`, which BPF has no instruction for.
    let mut step = 32;
    while step > 0 {
        if rest >> step != 0 {
            rest >>= step;
            bucket += step;
        }
        step /= 2;
    }
    if value != 0 {
        bucket += 1;
    }
    if bucket < LOG2_BUCKETS {
        bucket
    } else {
        LOG2_BUCKETS - 1
    }
}

/// What is counted for each stage; the columns of [`CounterBlock::stages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum StageCounter {
    /// Read requests, repeats not counted.
    Requests = 0,
    /// Transfers whose last block was acknowledged.
    Complete = 1,
    /// Requests answered with ERROR 1.
    NotFound = 2,
    /// DATA packets sent, resends included.
    Blocks = 3,
    /// Payload bytes sent, resends included.
    Bytes = 4,
    /// DATA or OACK packets sent again.
    Resent = 5,
    /// Transfers that the other side ended: ICMP, or an ERROR from the client in mid-transfer.
    Aborted = 6,
}

impl StageCounter {
    pub const COUNT: usize = 7;
}

/// `EVENTS`: one record of the ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    pub at_ns: u64,
    /// From request to this event.
    pub took_ns: u64,
    /// Of the version that the transfer serves; zero for a name that is absent.
    pub generation: u64,
    pub client: Address,
    pub client_port: [u8; 2],
    pub our_port: [u8; 2],
    pub file_id: u32,
    /// Bytes of the file; zero for a name that is absent.
    pub length: u32,
    pub resends: u32,
    /// [`Reason`]: FirstData, Oack or Absent for a request, else how a transfer ended.
    pub reason: u8,
    pub rung: u8,
    pub stage: u8,
    /// The MAC in the name, as twelve hexadecimal digits, if the name was a device's and stands in
    /// the directory by its pattern; else zeros.
    pub device: [u8; DEVICE_DIGITS],
    pub padding: [u8; 1],
}

const _: () = {
    assert!(size_of::<Policy>() == 112);
    assert!(size_of::<Lease>() == 24);
    assert!(size_of::<Interface>() == 8);
    assert!(size_of::<FileEntry>() == 32);
    assert!(size_of::<TransferKey>() == 24);
    assert!(size_of::<Transfer>() == 112);
    assert!(size_of::<Budget>() == 32);
    assert!(size_of::<Event>() == 72);
    assert!(size_of::<NameKey>() == KEY_LEN);
    assert!(Reason::COUNT <= REASON_SLOTS);
    assert!(Stage::COUNT <= STAGES);
    assert!(StageCounter::COUNT <= STAGE_SLOTS);
    assert!(Rung::Xdp as usize == 0 && Rung::Tc as usize == 1);
    // A block and the up to three bytes its checksum is padded with stay inside the slab.
    assert!(MAX_BLOCK as usize + 3 < SLAB_OVERLAP);
};

#[cfg(feature = "user")]
mod pod {
    use super::{
        Budget, CounterBlock, Event, FileEntry, Interface, Lease, Policy, Transfer, TransferKey,
    };

    // SAFETY: all of these are `repr(C)`, made of integers and arrays of them, without padding the
    // compiler adds (see the size asserts), and valid for every bit pattern.
    unsafe impl aya::Pod for Policy {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Lease {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Interface {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FileEntry {}
    // SAFETY: as above.
    unsafe impl aya::Pod for TransferKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Transfer {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Budget {}
    // SAFETY: as above.
    unsafe impl aya::Pod for CounterBlock {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Event {}
}
