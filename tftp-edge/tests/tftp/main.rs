//! The TFTP server over real sockets on loopback.

// In a test a panic is the report.
#![allow(clippy::unwrap_used)]

mod clients;
mod limits;
mod network;
mod requests;
mod site;
mod sockets;
mod start;
mod transfers;
mod wire;
