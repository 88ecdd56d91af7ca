//! The tftp-edge daemon, as a library so that the lab can drive its parts.
//!
//! Dependencies point one way: `edge → {tftp, http, register, kernel, ops} → content → provisioning →
//! {inventory, phonefile}`, and `edge → audit → {firmware, locale} → content`.

pub mod access;
pub mod alarms;
pub mod audit;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod content;
pub mod dhcp;
pub mod edge;
pub mod firmware;
pub mod http;
pub mod inventory;
pub mod journal;
pub mod kernel;
pub mod listen;
pub mod live;
pub mod locale;
pub mod misses;
mod nearest;
pub mod ops;
pub mod phonefile;
pub mod places;
pub mod port_owner;
pub mod port_range;
mod private_file;
pub mod provisioning;
pub mod recent;
pub mod register;
pub mod service;
pub mod stats;
pub mod tftp;
mod tls;
pub mod trace;
mod turns;
pub mod udp;
