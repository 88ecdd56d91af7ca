//! SCCP: phones register at port 2000.

mod server;
mod settings;

pub use server::{Server, Snapshot, StartError};
pub use settings::Settings;
