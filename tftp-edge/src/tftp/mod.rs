//! TFTP over sockets: the rung of the ladder that answers everything.
//!
//! The protocol has no sockets and no clock: [`transfer`] is one client reading one file,
//! [`engine`] all clients of one thread. [`worker`] moves datagrams between the two and the
//! system, in batches; [`server`] starts one worker for each core.

pub mod engine;
pub mod mtu;
pub mod netascii;
pub mod outbox;
pub mod parking;
pub mod request;
pub mod resend;
pub mod server;
pub mod settings;
pub mod socket;
pub mod sources;
mod told;
pub mod transfer;
pub mod worker;

pub use server::{Gauges, Server, StartError, Workers};
pub use settings::{BudgetSettings, Settings};
