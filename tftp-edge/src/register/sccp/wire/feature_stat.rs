//! FeatureStat: a button that is neither line nor speed dial, and its lamp.

use super::field::u32_at;
use super::{Body, Button, Dialect, Outgoing, Reply};

/// FeatureStatReq 0x0034.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureStatReq {
    /// Counted from 1.
    pub index: u32,
    /// Old firmware leaves it out.
    pub capabilities: u32,
}

impl FeatureStatReq {
    pub fn new(body: &[u8]) -> Option<Self> {
        Some(Self {
            index: u32_at(body, 0)?,
            capabilities: u32_at(body, 4).unwrap_or_default(),
        })
    }
}

/// FeatureStat 0x011F, and 0x0146 with texts of any length.
#[derive(Clone, Copy, Debug)]
pub struct FeatureStat<'p> {
    /// Counted from 1.
    pub index: u32,
    pub button: Button,
    pub label: &'p str,
    /// 0: its lamp is off.
    pub state: u32,
}

impl Reply for FeatureStat<'_> {
    fn message(&self, dialect: Dialect) -> Outgoing {
        match dialect.has_dynamic_features() {
            true => Outgoing::FeatureStatDynamic,
            false => Outgoing::FeatureStat,
        }
    }

    fn emit(&self, body: &mut Body<'_>) {
        body.u32(self.index);
        body.u32(self.button.definition().into());
        if body.dialect().has_dynamic_features() {
            body.u32(self.state);
            body.string(self.label, 121);
        } else {
            body.text(self.label, 40);
            body.u32(self.state);
        }
    }
}
