//! RegisterTokenReq: a phone on its second server asks the first whether it may come back. Only
//! after the Ack does it leave the other server, so a Reject costs it nothing.
//!
//! Phones of the SPA series ask in messages of their own, and before every Register.

use super::field::{text_at, u32_at};
use super::register::NAME_LEN;
use super::{Body, Dialect, Outgoing, Reply};

/// The device type, in both forms.
const DEVICE_TYPE: usize = 28;
const SHORTEST: usize = 32;

/// RegisterTokenReq 0x0029, SPCP's TokenReq 0x8000.
#[derive(Clone, Copy, Debug)]
pub struct TokenReq<'b> {
    body: &'b [u8],
}

impl<'b> TokenReq<'b> {
    pub fn new(body: &'b [u8]) -> Option<Self> {
        (body.len() >= SHORTEST).then_some(Self { body })
    }

    pub fn name(&self) -> &'b [u8] {
        text_at(self.body, 0, NAME_LEN).unwrap_or_default()
    }

    pub fn device_type(&self) -> u32 {
        u32_at(self.body, DEVICE_TYPE).unwrap_or_default()
    }
}

/// RegisterTokenReject 0x011B.
#[derive(Clone, Copy, Debug)]
pub struct RegisterTokenReject {
    /// Seconds until it may ask again.
    pub wait_s: u32,
}

impl Reply for RegisterTokenReject {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::RegisterTokenReject
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(self.wait_s);
    }
}

/// SPCP's TokenAck 0x8100.
#[derive(Clone, Copy, Debug)]
pub struct SpcpTokenAck;

/// Which features are offered: all, as chan-sccp does.
const SPCP_FEATURES: u32 = 65_535;

impl Reply for SpcpTokenAck {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::SpcpTokenAck
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(SPCP_FEATURES);
    }
}

/// SPCP's TokenReject 0x8101.
#[derive(Clone, Copy, Debug)]
pub struct SpcpTokenReject {
    pub wait_s: u32,
}

impl Reply for SpcpTokenReject {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::SpcpTokenReject
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(self.wait_s);
    }
}
