//! An edge in front of other servers: real sockets on the loopback, and servers that behave badly.

// In a test a panic is the report.
#![allow(clippy::unwrap_used)]

mod edge;
mod http;
mod live;
mod loops;
mod servers;
mod tftp;
mod time;
mod windows;
