//! What the end-to-end tests and the demonstration of tftp-edge are made of.
//!
//! - [`lab`]: two network namespaces on a veth pair, processes in them, captures, lab BPF programs.
//! - [`client`]: a TFTP client that checks every byte, without sockets inside, and the real ones.
//! - [`phones`]: phones that boot, thousands of them in one process.
//! - [`manager`]: what a service manager does for the daemon.
//! - [`programs`]: the kernel program with maps a test fills, run on single frames.
//! - [`site`]: a site with its phones, its files, and what each phone must be given.
//! - [`demo`]: all of it together.
//! - [`storm`]: all phones at once against a registrar that can take only so many a second.
//! - [`flood`]: garbage on every port.
//! - [`soak`]: an hour's load in a short time, and what is held meanwhile.
//! - [`dhcp`]: DHCP servers and clients people use, run as they are.
//! - [`rig`]: the daemon under test, on one rung.
//! - [`browser`]: Chromium, told what to do.
//! - [`mod@bench`]: how long it takes, beside what it is to be held against.

pub mod bench;
pub mod browser;
pub mod client;
pub mod demo;
pub mod dhcp;
pub mod flood;
pub mod lab;
pub mod manager;
pub mod phones;
pub mod programs;
pub mod rig;
pub mod server;
pub mod site;
pub mod soak;
pub mod storm;
