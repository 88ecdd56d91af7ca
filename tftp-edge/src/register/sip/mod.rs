//! SIP: phones register at port 5060.

mod core;
mod server;
mod settings;

pub use core::{Core, Destination, Incoming, Outgoing};
pub use server::{Server, Snapshot, StartError};
pub use settings::Settings;
