//! SIP: phones register at port 5060.
//!
//! [`Core`] is the registrar without sockets: [`message`] reads and writes, `digest` says who may,
//! `registrar` does what RFC 3261 section 10 says, and `cisco` knows what the phones add to it.
//! [`Server`] has the sockets: [`stream`] cuts what comes over connections into messages, and
//! [`transaction`] repeats what we ask until it is answered.

pub mod cisco;
mod core;
mod counts;
pub mod digest;
mod glance;
pub mod message;
mod orders;
mod registrar;
mod requests;
mod server;
mod settings;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod transaction;

pub(super) use cisco::Alarm as XmlAlarm;
pub use core::{Core, Destination, Incoming, Outgoing, Received};
pub use counts::{Counts, Event};
pub use digest::Algorithm;
pub use glance::Glance;
pub use server::{
    Bad, CLASSES, End, Server, Snapshot, StartError, TcpSettings, TlsSettings, Traffic, UdpSettings,
};
pub use settings::{DigestSettings, ExpiresSettings, RequireDigest, Settings};
