//! Reading a file from a TFTP server: [`download`] is the protocol, [`fetch`] its socket.

mod download;
mod fetch;

pub(super) use fetch::fetch;
