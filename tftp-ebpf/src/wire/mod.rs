//! Views over packet bytes: one protocol a file, no allocation, no panic on any input.
//!
//! Headers have fixed sizes here (no IPv4 options, no IPv6 extension headers), so a view is an
//! array taken out of the frame in one piece, with getters, and `emit` builds the same array for
//! the answer. The arrays are of words, in memory order: the BPF back end moves bytes one by one
//! where the type does not promise an alignment.

pub mod eth;
pub mod ip;
pub mod sccp;
pub mod sip;
pub mod tcp;
pub mod tftp;
pub mod udp;

/// A piece of a packet: nothing but its bytes.
///
/// # Safety
/// The type has no padding, and every bit pattern is a value of it.
pub unsafe trait Bytes: Sized {
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: all bytes of the value are initialised: it has no padding.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and whatever is written is a value.
        unsafe { core::slice::from_raw_parts_mut((&raw mut *self).cast(), size_of::<Self>()) }
    }
}

// SAFETY: bytes.
unsafe impl<const N: usize> Bytes for [u8; N] {}

/// A number below a power of two, in a form whose bound the verifier follows: the mask is applied
/// to 64 bits, and the compiler may not look through it.
#[inline(always)]
pub fn below<const POWER: usize>(value: usize) -> usize {
    const { assert!(POWER.is_power_of_two()) };
    let masked = value & (POWER - 1);
    // SAFETY: a reference to a local is valid to read.
    unsafe { core::ptr::read_volatile(&masked) }
}
