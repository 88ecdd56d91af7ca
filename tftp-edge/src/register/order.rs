//! What a registered phone can be told to do.

use serde::{Deserialize, Serialize};

use super::{Departure, Registration};
use crate::inventory::Protocol;

/// An order to one phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Hard: it boots anew, DHCP and firmware included. SCCP Reset 1, SIP `action=reset`.
    Reset,
    /// Soft: it reads its configuration and registers again. SCCP Reset 2, SIP `action=restart`.
    Restart,
    /// It reads its configuration and restarts only if it has to. SCCP Reset 3, SIP
    /// `action=apply-config`; phones that know neither are restarted.
    ApplyConfig,
}

impl Order {
    pub const ALL: [Self; 3] = [Self::Reset, Self::Restart, Self::ApplyConfig];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Restart => "restart",
            Self::ApplyConfig => "apply-config",
        }
    }

    /// What a phone is told when its configuration has changed. SCCP knows apply-config since the
    /// phones that came with protocol version 17; which was the first is in no public source, and a
    /// restart does the same at the cost of a restart. 7940 and 7960 with SIP firmware know
    /// `check-sync` alone, which restarts them.
    pub fn for_change(phone: &Registration) -> Self {
        const APPLY_CONFIG_FROM: u8 = 17;
        const TYPES_7940_7960: [u32; 2] = [8, 7];
        let knows_it = match phone.protocol {
            Protocol::Sccp => phone.version >= APPLY_CONFIG_FROM,
            Protocol::Sip => !phone
                .type_id
                .is_some_and(|it| TYPES_7940_7960.contains(&it)),
        };
        match knows_it {
            true => Self::ApplyConfig,
            false => Self::Restart,
        }
    }

    /// The one that does more.
    pub const fn stronger(self, other: Self) -> Self {
        match (self, other) {
            (Self::Reset, _) | (_, Self::Reset) => Self::Reset,
            (Self::Restart, _) | (_, Self::Restart) => Self::Restart,
            (Self::ApplyConfig, Self::ApplyConfig) => Self::ApplyConfig,
        }
    }

    /// Why a phone that follows it leaves.
    pub const fn departure(self) -> Departure {
        match self {
            Self::Reset => Departure::Reset,
            Self::Restart => Departure::Restart,
            Self::ApplyConfig => Departure::ApplyConfig,
        }
    }
}

/// Why an order did not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    #[error("its connection is gone")]
    NotConnected,
    #[error("too much is waiting to be sent to it")]
    Busy,
    #[error("no server for its protocol runs")]
    NoServer,
}

/// Brings orders to phones: the server of a protocol. Never waits.
pub trait Dispatch: Send + Sync {
    fn order(&self, to: &Registration, order: Order) -> Result<(), NotSent>;
}
