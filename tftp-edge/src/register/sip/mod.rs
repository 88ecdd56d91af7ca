//! SIP: phones register at port 5060.

mod core;
mod server;
mod settings;
pub mod stream;
pub mod transaction;

pub use core::{Core, Destination, Incoming, Outgoing};
pub use server::{
    Bad, CLASSES, End, Server, Snapshot, StartError, TcpSettings, TlsSettings, Traffic, UdpSettings,
};
pub use settings::Settings;
