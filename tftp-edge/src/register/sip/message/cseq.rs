//! The place of a request in its call: `CSeq: 101 REGISTER`.

use super::number::decimal;
use super::text::{is_space, is_token};

/// Read and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'m> {
    /// Below 2³¹ (RFC 3261 8.1.1.5).
    pub number: u32,
    pub method: &'m [u8],
}

impl<'m> CSeq<'m> {
    pub fn parse(value: &'m [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let end = value.iter().position(|&byte| is_space(byte))?;
        let (number, method) = value.split_at(end);
        let number = decimal(number).filter(|&number| number < 1 << 31)?;
        let method = method.trim_ascii();
        is_token(method).then_some(Self { number, method })
    }
}
