//! The content over HTTP on port 6970, and over HTTPS on 6971.
//!
//! Newer phones ask here first. What they make of an answer decides what may be said:
//! - `200` and `206` are the file; `404` is final, the phone does not look for it over TFTP;
//! - `503`, a connection that is refused or that ends without an answer make it ask over TFTP,
//!   where the kernel answers. So whatever is too much for this part is sent there.
//!
//! Names, allow list, content and the budget for misses are those of TFTP: a name asked for here is
//! the same file, byte for byte. A name that must not be served looks like one that is absent.
//!
//! Nothing here can hold up TFTP: it runs on threads of its own, and its connections, their
//! buffers and their time are bounded. [`crate::places`] counts connections, `watched` ends those who
//! read too slowly, hyper's own timer those who send too slowly. The metrics server's listener
//! ([`crate::ops`]) keeps a connection over its bound waiting, and ends each after a lifetime; a
//! phone that waits would not turn to TFTP, and firmware over a slow line takes as long as it takes.
//!
//! On port 6971 a phone adds `.sgn` to each name, as it does where files are signed, and expects
//! the file without a signature: TLS vouches for it. TLS is rustls', 1.3, and 1.2 with ECDHE
//! and an AEAD: for 78xx and 88xx. The 7900 series speaks TLS 1.0 only and cannot be served over
//! HTTPS. A phone that cannot connect asks on 6970.
//!
//! Sources: RFC 9110 (semantics, conditions, ranges) and 9112 (HTTP/1.1); Cisco's CME SIP guide and
//! document 214535 for what phones do.

mod answer;
mod body;
mod conditional;
mod config_list;
mod connection;
mod counters;
mod link;
mod server;
mod settings;
mod told;
mod validators;
mod watched;

pub use counters::{Refusal, Scheme, Snapshot, Traffic};
pub use server::{Parts, Server, StartError};
pub use settings::{Settings, SettingsError, TlsSettings};
