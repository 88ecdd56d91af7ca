//! The TFTP server over real sockets on loopback.

// In a test a panic is the report.
#![allow(clippy::unwrap_used)]

mod clients;
mod network;
mod site;
mod wire;
