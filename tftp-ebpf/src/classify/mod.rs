//! Registration packets: what they are, whether they may come in, and who is told of them.
//!
//! Two programs share the work. The one that answers TFTP [`meet`]s every packet, and pays little for
//! it: a packet between ports where nobody registers costs two shifts, one to or from a place where
//! phones do register (`service`) is handed on by a tail call. The second program ends in
//! [`classify`]: it gives the packet one [`Class`] and one [`Decision`], counts the pair, and may
//! write a sample. It is a program of its own so that neither makes the other's verification longer.
//!
//! Packets are only read. What is let in, held back or not understood leaves here as it came.
//!
//! A class is what one packet shows by itself; there is no state for each connection. So a segment
//! of TCP counts by the message it *begins* with: what follows in the same segment (or in the
//! segments that the host joined before TC saw them) is not looked at, and a segment that begins in
//! mid-message is a continuation.

mod admission;
mod class;
mod kind;
#[cfg(test)]
mod tests;

use core::ptr::NonNull;

pub use admission::Standing;
pub use class::{Class, Decision};

use crate::abi::registration::{Encounter, Gate, Registration, Sample, Sampling};
use crate::abi::{Address, Interface, Policy, port_bit};
use crate::frame::{Frame, Maps, Scratch};
use crate::packet::{Packet, Sight};
use crate::plan::{self, has_token, take_token};
use crate::verdict::Reason;
use crate::wire::ip;
use crate::wire::sccp::{DEVICE_AT, DEVICE_LEN};

/// The maps of the program that classifies.
pub trait RegistrationMaps: Maps {
    fn registration(&self) -> Option<&Registration>;
    /// Whether a phone is registered from this address.
    fn is_registered(&self, source: &Address) -> bool;
    /// Shared with all other CPUs.
    fn gate(&self) -> Option<NonNull<Gate>>;
    /// This CPU's own.
    fn sampling(&self) -> Option<NonNull<Sampling>>;
    /// This CPU's own room for a sample.
    fn sample(&self) -> Option<NonNull<Sample>>;
    /// Writes the sample without what is behind its head. `false`: there is no room.
    fn write_sample(&self, sample: &Sample) -> bool;
}

/// Looks whether a packet that is none of TFTP's, for this `reason`, is from or to a place where
/// phones register. Returns the reason to go on with.
#[inline(always)]
pub fn meet<F: Frame, M: Maps>(
    frame: &F,
    maps: &M,
    policy: &Policy,
    scratch: &mut Scratch,
    reason: Reason,
) -> Reason {
    if policy.registration_ports == 0 {
        return reason;
    }
    let Scratch {
        packet,
        service,
        encounter,
        ..
    } = scratch;
    let sight = packet.sight(frame, reason);
    let (to, from) = match sight {
        Sight::Nothing => return reason,
        Sight::Ports => {
            let (to, from) = (packet.udp().destination_port(), packet.udp().source_port());
            if policy.registration_ports & (port_bit(to) | port_bit(from)) == 0 {
                return reason;
            }
            (to, from)
        }
        // What stands under no port is the address with all its services.
        Sight::Complex => ([0; 2], [0; 2]),
    };
    let mut place = |address: Address, port: [u8; 2]| {
        service.address = address;
        service.port = port;
        service.padding = [0; 2];
        maps.service(service)
    };
    *encounter = match place(packet.destination, to) {
        Some(service) => Encounter {
            service,
            is_answer: 0,
        },
        None => match place(packet.source, from) {
            Some(service) => Encounter {
                service,
                is_answer: 1,
            },
            None => return reason,
        },
    };
    // Where both XDP and TC look at a packet, one of them classifies it. What comes in on a member of a
    // bond in reserve is a copy that the bond drops: it must not be counted and charged.
    let is_ours =
        |interface: &Interface| interface.enabled != 0 && interface.classifies == F::RUNG as u8;
    if !maps.interface(frame.ifindex()).is_some_and(is_ours) {
        return reason;
    }
    if matches!(sight, Sight::Complex) {
        // It may be anything, a request of TFTP too: that is its reason, and this its class.
        maps.count_class(F::RUNG, Class::Complex, Decision::Pass);
        return reason;
    }
    Reason::Registration
}

/// Handles one frame that [`meet`] has found to be of a registration.
#[inline(always)]
pub fn classify<F: Frame, M: RegistrationMaps>(frame: &F, maps: &M) -> Decision {
    classify_as(frame, maps).1
}

/// The same, and says as what; `None` if it could not be looked at.
#[inline(always)]
pub fn classify_as<F: Frame, M: RegistrationMaps>(
    frame: &F,
    maps: &M,
) -> (Option<Class>, Decision) {
    let (Some(mut scratch), Some(mut sample), Some(registration)) =
        (maps.scratch(), maps.sample(), maps.registration())
    else {
        return (None, Decision::Pass);
    };
    // SAFETY: the scratch memory and the sample are this CPU's own, and the program is not re-entered
    // on it.
    let (scratch, sample) = unsafe { (scratch.as_mut(), sample.as_mut()) };
    (sample.head_len, sample.cseq_at) = (0, 0);
    let (class, body) = kind::of(frame, &scratch.packet, scratch.encounter, sample);
    let now = maps.now();
    let is_newcomer = scratch.encounter.is_answer == 0
        && class.draws(scratch.packet.protocol == ip::UDP)
        && registration.burst_ns != 0
        // Who comes in when is the daemon's to say, while there is one.
        && maps.lease().is_some_and(|lease| lease.left(now) != 0);
    let decision = if is_newcomer {
        admit(maps, registration, &scratch.packet, now)
    } else {
        Decision::Pass
    };
    maps.count_class(F::RUNG, class, decision);
    if class.is_told() || decision != Decision::Pass {
        sample.class = class as u8;
        sample.decision = decision as u8;
        tell(
            frame,
            maps,
            registration,
            &scratch.packet,
            sample,
            body,
            now,
        );
    }
    (Some(class), decision)
}

/// Whether a newcomer may come in. Charges it if so.
#[inline(always)]
fn admit<M: RegistrationMaps>(
    maps: &M,
    registration: &Registration,
    packet: &Packet,
    now: u64,
) -> Decision {
    let Some(gate) = maps.gate() else {
        return Decision::Pass;
    };
    let gate = gate.as_ptr();
    // SAFETY: an element of the map, one aligned word; what races cost is told at `Gate`.
    let full_at = unsafe { (&raw const (*gate).full_at_ns).read_volatile() };
    let standing = if maps.is_registered(&packet.source) {
        Standing::Registered
    } else {
        let source = plan::source(&packet.source, packet.v6);
        let is_known = maps
            .policy()
            .is_some_and(|policy| maps.is_known(&source, policy, now));
        if is_known {
            Standing::Known
        } else {
            Standing::Unknown
        }
    };
    if !registration.admits(standing, full_at, now) {
        return if registration.is_strict != 0 {
            Decision::Drop
        } else {
            Decision::WouldDrop
        };
    }
    let full_at = take_token(
        full_at,
        now,
        registration.interval_ns,
        registration.burst_ns,
    );
    // SAFETY: as above.
    unsafe { (&raw mut (*gate).full_at_ns).write_volatile(full_at) };
    Decision::Pass
}

/// Where the payload of a packet begins, and how long it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Body {
    at: usize,
    len: usize,
}

/// Tells the daemon of a packet, if this CPU has not told of too many.
#[inline(always)]
fn tell<F: Frame, M: RegistrationMaps>(
    frame: &F,
    maps: &M,
    registration: &Registration,
    packet: &Packet,
    sample: &mut Sample,
    body: Body,
    now: u64,
) {
    let Some(mut sampling) = maps.sampling() else {
        return;
    };
    // SAFETY: this CPU's own, and the program is not re-entered on it.
    let sampling = unsafe { sampling.as_mut() };
    let (interval, burst) = (
        registration.sample_interval_ns,
        registration.sample_burst_ns,
    );
    if !has_token(sampling.full_at_ns, now, interval, burst) {
        sampling.skipped += 1;
        return;
    }
    sampling.full_at_ns = take_token(sampling.full_at_ns, now, interval, burst);
    sample.at_ns = now;
    sample.source = packet.source;
    sample.destination = packet.destination;
    sample.source_port = packet.udp().source_port();
    sample.destination_port = packet.udp().destination_port();
    sample.vlan = packet.vlan();
    sample.rung = F::RUNG as u8;
    sample.protocol = packet.protocol;
    let class = sample.class;
    let is_named = class == Class::SccpRegister as u8 || class == Class::SccpToken as u8;
    let has_name = is_named && body.len >= DEVICE_AT + DEVICE_LEN;
    if !has_name || !frame.load(body.at + DEVICE_AT, &mut sample.device) {
        sample.device = [0; DEVICE_LEN];
    }
    if sample.head_len == 0 && Class::has_head(class) {
        kind::load_head(frame, body, sample);
    }
    if !maps.write_sample(sample) {
        sampling.lost += 1;
    }
}
