//! What is kept about registrations: where phones register, how many newcomers may come in, and
//! what was seen.

use super::Address;
use crate::classify::{Class, Decision};
use crate::verdict::Rung;
use crate::wire::sccp::DEVICE_LEN;
use crate::wire::sip::HEAD_MAX;

/// `SERVICES`: a place where phones register, of this host or of a server behind it. Written by the
/// daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceKey {
    pub address: Address,
    /// In network order; zero with [`service::ANY`].
    pub port: [u8; 2],
    pub padding: [u8; 2],
}

/// The value of `SERVICES`.
pub mod service {
    pub const SCCP: u8 = 1;
    pub const SIP: u8 = 2;
    pub const SIP_TLS: u8 = 3;
    /// The address has any of the above: all that can be said of a packet without ports.
    pub const ANY: u8 = 4;
}

/// What the program that meets a packet tells the one that classifies it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encounter {
    /// One of [`service`].
    pub service: u8,
    /// 1 if it comes from the service, 0 if it goes there.
    pub is_answer: u8,
}

/// `REGISTRATION`: one entry, written by the daemon.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The storm budget of newcomers: nanoseconds a token takes to come back, and how many
    /// nanoseconds' worth may be used at once. A burst of zero lets everybody in.
    pub interval_ns: u64,
    pub burst_ns: u64,
    /// The part of the burst that is kept for sources that were seen booting; at least one token
    /// less than the burst, or nobody else would ever come in.
    pub reserve_ns: u64,
    /// Samples a CPU may write, by the same rule.
    pub sample_interval_ns: u64,
    pub sample_burst_ns: u64,
    /// 1 if what is over the budget is dropped, 0 if it is only counted.
    pub is_strict: u8,
    pub padding: [u8; 7],
}

/// `GATE`: one entry, written by the kernel program: when the bucket of newcomers will be full
/// again.
///
/// All CPUs share it, and read and write it without a lock. Two that do so at once may both let a
/// packet in for one token: no more than one a CPU, and only until the next of them reads again, so
/// what is let in beyond the budget stays below one token a CPU for each token given.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    pub full_at_ns: u64,
}

/// `SAMPLING`: what one CPU may still sample, and what it could not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling {
    pub full_at_ns: u64,
    /// Packets that would have been sampled, over the rate.
    pub skipped: u64,
    /// Samples that found the ring full.
    pub lost: u64,
}

/// `CLASSES` has one per CPU for XDP and one for TC.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassCounts {
    /// Packets by [`Class`] and [`Decision`].
    pub packets: [[u64; DECISION_SLOTS]; CLASS_SLOTS],
}

impl ClassCounts {
    pub const ZERO: Self = Self {
        packets: [[0; DECISION_SLOTS]; CLASS_SLOTS],
    };

    /// Adds what another CPU has counted.
    pub fn add(&mut self, other: &Self) {
        let counts = self.packets.as_flattened_mut().iter_mut();
        for (sum, count) in counts.zip(other.packets.as_flattened()) {
            *sum = sum.wrapping_add(*count);
        }
    }

    pub const fn of(&self, class: Class, decision: Decision) -> u64 {
        self.packets[class as usize][decision as usize]
    }
}

/// Powers of two, so that an index is bounded by a mask.
pub const CLASS_SLOTS: usize = 64;
pub const DECISION_SLOTS: usize = 4;

/// `SAMPLES`: one record of the ring buffer, cut behind the `head_len` bytes of its head.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// CLOCK_MONOTONIC.
    pub at_ns: u64,
    pub source: Address,
    pub destination: Address,
    pub source_port: [u8; 2],
    pub destination_port: [u8; 2],
    /// The outermost VLAN id, zero without.
    pub vlan: u16,
    pub head_len: u16,
    /// [`Class`], [`Decision`] and [`Rung`].
    pub class: u8,
    pub decision: u8,
    pub rung: u8,
    /// IPv4 protocol or IPv6 next header: TCP or UDP.
    pub protocol: u8,
    /// The name in an SCCP Register or RegisterTokenReq, padded with zeros; else zeros.
    pub device: [u8; DEVICE_LEN],
    /// Of a SIP response: where the value of its CSeq begins, zero if that was not looked for.
    pub cseq_at: u32,
    /// The beginning of a SIP message that the daemon wants to read: Contact, Call-ID, CSeq.
    pub head: [u8; HEAD_MAX],
}

impl Sample {
    /// Bytes before the head.
    pub const FIXED_LEN: usize = size_of::<Self>() - HEAD_MAX;

    pub const EMPTY: Self = Self {
        at_ns: 0,
        source: [0; 4],
        destination: [0; 4],
        source_port: [0; 2],
        destination_port: [0; 2],
        vlan: 0,
        head_len: 0,
        class: 0,
        decision: 0,
        rung: 0,
        protocol: 0,
        device: [0; DEVICE_LEN],
        cseq_at: 0,
        head: [0; HEAD_MAX],
    };
}

const _: () = {
    assert!(size_of::<ServiceKey>() == 20);
    assert!(size_of::<Registration>() == 48);
    assert!(Sample::FIXED_LEN == 72);
    assert!(core::mem::offset_of!(Sample, head) == Sample::FIXED_LEN);
    assert!(Class::COUNT <= CLASS_SLOTS);
    assert!(Decision::COUNT <= DECISION_SLOTS);
    assert!(Rung::COUNT < 256);
};

#[cfg(feature = "user")]
mod pod {
    use super::{ClassCounts, Gate, Registration, Sampling, ServiceKey};

    // SAFETY: all of these are `repr(C)`, made of integers and arrays of them, without padding the
    // compiler adds (see the size asserts), and valid for every bit pattern.
    unsafe impl aya::Pod for ServiceKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Registration {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Gate {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ClassCounts {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Sampling {}
}
