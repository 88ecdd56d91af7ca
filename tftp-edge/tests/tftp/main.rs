//! The TFTP server over real sockets on loopback.

mod clients;
mod site;
mod wire;
