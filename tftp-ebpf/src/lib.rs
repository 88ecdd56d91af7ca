//! What both sides of tftp-edge must agree on, and everything the kernel side decides.
//!
//! The crate is `no_std` for the BPF target and compiles, lints and tests on the host too: the
//! packet views in [`wire`], the rules in [`plan`] and the map layout in [`abi`] are the same code
//! in the kernel program, in the daemon and in the tests. Only `main.rs` and its modules, which
//! name BPF helpers and maps, exist for the BPF target alone.

#![cfg_attr(target_arch = "bpf", no_std)]

pub mod abi;
pub mod answer;
pub mod checksum;
pub mod classify;
pub mod frame;
pub mod name;
pub mod packet;
pub mod plan;
pub mod stage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trace;
pub mod verdict;
pub mod wire;
