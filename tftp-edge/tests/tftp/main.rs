//! The TFTP server over real sockets on loopback.

mod clients;
mod network;
mod site;
mod wire;
