//! TFTP over sockets: the rung of the ladder that answers everything.

pub mod netascii;
pub mod resend;
pub mod settings;
pub mod sources;
pub mod transfer;
