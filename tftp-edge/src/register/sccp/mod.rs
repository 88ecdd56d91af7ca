//! SCCP: phones register at port 2000 over TCP, and keep the connection.
//!
//! `wire` reads and writes messages, `session` is one phone's side of the protocol without any
//! socket, `server` brings bytes to the sessions. What a phone is told, its lines, buttons, soft
//! keys, servers and time, comes from the inventory.

mod connections;
mod counters;
mod registrar;
mod server;
pub mod session;
mod settings;
#[cfg(test)]
mod testing;
pub mod wire;

pub use counters::{BadFrame, Ending, Rejection, Snapshot};
pub use registrar::{Moment, Registrar};
pub use server::{Server, StartError};
pub use settings::Settings;
