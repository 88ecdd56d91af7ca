//! What a registered phone can be told to do.

use serde::{Deserialize, Serialize};

use super::{Departure, Registration};

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
