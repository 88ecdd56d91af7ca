//! BPF programs of the tests' lab. None of this ships.
//!
//! - `pad` and `pass` give a veth pair what physical drivers have: page-sized receive buffers,
//!   and a peer that takes frames sent by XDP_TX.
//! - `impair` loses and repeats datagrams.
//! - `push_tags` and `pop_tags` put ordinary clients behind VLAN tags.
//! - `bare_xdp` and `bare_tc` send frames back, and do nothing else.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod bare;
#[cfg(target_arch = "bpf")]
mod programs;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The helpers `clone_redirect` and `change_tail` are open to GPL-compatible programs alone.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
