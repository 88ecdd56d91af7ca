//! SIP: phones register at port 5060.
//!
//! [`Core`] is the registrar without sockets: [`message`] reads and writes, [`digest`] says who may,
//! `registrar` does what RFC 3261 section 10 says, and `cisco` knows what the phones add to it.

mod cisco;
mod core;
mod counts;
mod digest;
mod glance;
pub mod message;
mod orders;
mod registrar;
mod requests;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use core::{Core, Destination, Incoming, Outgoing, Received};
pub use counts::{Counts, Event};
pub use digest::Algorithm;
pub use glance::Glance;
pub use server::{Server, Snapshot, StartError};
pub use settings::{DigestSettings, ExpiresSettings, RequireDigest, Settings};
