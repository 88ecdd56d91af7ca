//! TFTP: RFC 1350 packets, the option extension of RFC 2347 and the options of RFC 2348, 2349 and
//! 7440.
//!
//! [`Request::parse`] is run by the kernel program too, so it works on a fixed buffer, in bounded
//! loops, without slices of unknown length. [`Granted`] is the one place that decides what a server
//! answers to the options it was asked for.

mod oack;
mod request;

pub use oack::{Granted, Limits, OACK_MAX, Oack};
pub use request::{Parser, Request, RequestError};

/// The port a request is sent to.
pub const PORT: u16 = 69;

/// Opcode and block number: what stands before the payload of DATA, and all of an ACK.
pub const HEADER_LEN: usize = 4;

/// Block size without the option, RFC 1350.
pub const DEFAULT_BLKSIZE: u16 = 512;
/// Smallest and largest block size, RFC 2348.
pub const MIN_BLKSIZE: u16 = 8;
pub const MAX_BLKSIZE: u16 = 65464;

pub mod opcode {
    pub const RRQ: u16 = 1;
    pub const WRQ: u16 = 2;
    pub const DATA: u16 = 3;
    pub const ACK: u16 = 4;
    pub const ERROR: u16 = 5;
    /// RFC 2347.
    pub const OACK: u16 = 6;
}

/// Error codes of RFC 1350 and, for the last, RFC 2347, with the one text we send for each: short,
/// constant, and never a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    NotDefined = 0,
    FileNotFound = 1,
    AccessViolation = 2,
    DiskFull = 3,
    IllegalOperation = 4,
    UnknownTid = 5,
    FileExists = 6,
    NoSuchUser = 7,
    OptionRefused = 8,
}

impl ErrorCode {
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotDefined => "Error",
            Self::FileNotFound => "File not found",
            Self::AccessViolation => "Access violation",
            Self::DiskFull => "Disk full",
            Self::IllegalOperation => "Illegal operation",
            Self::UnknownTid => "Unknown transfer ID",
            Self::FileExists => "File exists",
            Self::NoSuchUser => "No such user",
            Self::OptionRefused => "Option refused",
        }
    }

    pub const fn from_u16(code: u16) -> Option<Self> {
        Some(match code {
            0 => Self::NotDefined,
            1 => Self::FileNotFound,
            2 => Self::AccessViolation,
            3 => Self::DiskFull,
            4 => Self::IllegalOperation,
            5 => Self::UnknownTid,
            6 => Self::FileExists,
            7 => Self::NoSuchUser,
            8 => Self::OptionRefused,
            _ => return None,
        })
    }
}

/// ERROR 1 as both rungs send it, complete.
pub const FILE_NOT_FOUND: [u8; 19] = *b"\x00\x05\x00\x01File not found\x00";

/// Transfer mode, RFC 1350 section 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Octet,
    Netascii,
    Mail,
}

/// The options of a request that we know and that have a value we may answer. Zero is "not asked
/// for": a bad value is treated as if the option were not there (RFC 2347: never an ERROR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// RFC 2348, clamped to 65464; 8 and up.
    pub blksize: u16,
    /// RFC 7440; 1 and up.
    pub windowsize: u16,
    /// RFC 2349, seconds; 1 to 255.
    pub timeout: u8,
    /// RFC 2349, whatever value the client sent.
    pub tsize: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_error_is_the_encoded_one() {
        let text = ErrorCode::FileNotFound.text();
        assert_eq!(&FILE_NOT_FOUND[4..18], text.as_bytes());
    }
}
