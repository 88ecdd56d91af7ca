//! Unregister: a phone leaves.

use super::field::u32_at;
use super::{Body, Dialect, Outgoing, Reply};

/// Why, as far as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnregisterReason {
    Unknown,
    PowerSave,
}

impl UnregisterReason {
    /// Older phones send no body.
    pub fn of_body(body: &[u8]) -> Self {
        match u32_at(body, 0) {
            Some(1) => Self::PowerSave,
            _ => Self::Unknown,
        }
    }
}

/// UnregisterAck 0x0118: it may.
#[derive(Clone, Copy, Debug)]
pub struct UnregisterAck;

impl Reply for UnregisterAck {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::UnregisterAck
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(0);
    }
}
