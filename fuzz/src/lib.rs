//! What fuzzing asks of every parser of tftp-edge, and of its transfers, whatever the input.
//!
//! Each module has one target: a function that takes any bytes and panics if a property does not
//! hold. The same functions are run in two ways:
//!
//! - `cargo xtask fuzz` builds them for libFuzzer, which looks for inputs that reach new code;
//! - `tests/replay.rs`, an ordinary test, runs them over the corpus in the repository, over every
//!   input that once failed, and over mutations that are the same on every run.
//!
//! A property is more than "does not panic": what is written is read back as it was, an answer to
//! somebody who has proved nothing is bounded by what was asked, a fault has its place, a stream
//! reads the same wherever it is cut, and memory and work grow no faster than the input.

pub mod bat_import;
pub mod config_toml;
pub mod csv_import;
pub mod loads_file;
mod memory;
pub mod mutate;
mod registrar;
pub mod sccp_frame;
mod script;
pub mod sip_body;
pub mod sip_digest;
pub mod sip_message;
pub mod tftp_options;
pub mod tftp_packet;
pub mod tftp_session;
pub mod xdp_frame;

pub use memory::peak_bytes;

/// One function that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of its binary, its corpus and its test.
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// The longest input worth trying, in bytes.
    pub max_len: usize,
}

pub const TARGETS: [Target; 12] = [
    Target {
        name: "bat_import",
        run: bat_import::run,
        max_len: 16 << 10,
    },
    Target {
        name: "config_toml",
        run: config_toml::run,
        max_len: 8 << 10,
    },
    Target {
        name: "csv_import",
        run: csv_import::run,
        max_len: 16 << 10,
    },
    Target {
        name: "loads_file",
        run: loads_file::run,
        max_len: 66 << 10,
    },
    Target {
        name: "sccp_frame",
        run: sccp_frame::run,
        max_len: 16 << 10,
    },
    Target {
        name: "sip_body",
        run: sip_body::run,
        max_len: 64 << 10,
    },
    Target {
        name: "sip_digest",
        run: sip_digest::run,
        max_len: 16 << 10,
    },
    Target {
        name: "sip_message",
        run: sip_message::run,
        max_len: 64 << 10,
    },
    Target {
        name: "tftp_options",
        run: tftp_options::run,
        max_len: 512,
    },
    Target {
        name: "tftp_packet",
        run: tftp_packet::run,
        max_len: 512,
    },
    Target {
        name: "tftp_session",
        run: tftp_session::run,
        max_len: 1 << 10,
    },
    Target {
        name: "xdp_frame",
        run: xdp_frame::run,
        max_len: 1 << 10,
    },
];
