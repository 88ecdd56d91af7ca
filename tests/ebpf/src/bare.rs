//! The least a program can do that answers: it turns a UDP frame round and sends it back, as it is.
//! The benchmark holds the real programs against it.

use aya_ebpf::bindings::{TC_ACT_OK, xdp_action};
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};

use crate::programs::{ETH_LEN, ETH_P_IP, IPPROTO_UDP};

/// Ethernet, IPv4 without options, UDP.
const HEADERS: usize = ETH_LEN + 20 + 8;

#[xdp]
fn bare_xdp(ctx: XdpContext) -> u32 {
    match turn_round(ctx.data(), ctx.data_end()) {
        true => xdp_action::XDP_TX,
        false => xdp_action::XDP_PASS,
    }
}

#[classifier]
fn bare_tc(ctx: TcContext) -> i32 {
    match turn_round(ctx.data(), ctx.data_end()) {
        // SAFETY: the context is the one the kernel called us with; sends the frame out of the
        // interface it came in on.
        true => unsafe { bpf_redirect((*ctx.skb.skb).ifindex, 0) as i32 },
        false => TC_ACT_OK,
    }
}

/// Swaps hardware addresses, IPv4 addresses and ports. All checksums stay right.
#[inline(always)]
fn turn_round(start: usize, end: usize) -> bool {
    if start + HEADERS > end {
        return false;
    }
    let frame = start as *mut u8;
    // SAFETY: the headers lie in the frame, and every field is at an even offset of a frame that
    // begins at an even address.
    unsafe {
        if *frame.add(12).cast::<u16>() != ETH_P_IP.to_be() || *frame.add(23) != IPPROTO_UDP {
            return false;
        }
        for (one, other) in [(0, 6), (2, 8), (4, 10), (26, 30), (28, 32), (34, 36)] {
            core::ptr::swap(frame.add(one).cast::<u16>(), frame.add(other).cast::<u16>());
        }
    }
    true
}
