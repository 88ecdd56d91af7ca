//! What an operator sees of the daemon: log, metrics, health, the control socket, exit codes.

pub mod bans;
mod bounded;
mod colour;
pub mod control;
pub mod exit;
pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod orders;
pub mod phones;
pub mod registrations;
pub mod reload;
pub mod serve;
pub mod sources;
pub mod status;
mod streamed;
pub mod top;
pub mod trace;
pub mod web;
