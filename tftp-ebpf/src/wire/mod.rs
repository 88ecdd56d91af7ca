//! Views over packet bytes: one protocol a file, no allocation, no panic on any input.
//!
//! Headers have fixed sizes here (no IPv4 options, no IPv6 extension headers), so a view is an
//! array taken out of the frame in one piece, with getters, and `emit` builds the same array for
//! the answer.

pub mod eth;
pub mod ip;
pub mod tftp;
pub mod udp;
