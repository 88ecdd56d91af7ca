//! Who gets a configuration: the time in which a device may fetch what holds its credentials, and
//! the devices that nobody knows and that ask all the same.
//!
//! TFTP and the phones' HTTP authenticate nobody: whoever can say a phone's MAC address can fetch
//! its SIP password. With `provisioning.window_minutes` set, a configuration is there only for so
//! long after the device was adopted, or its window was opened by command. A closed window looks
//! from outside as if the device did not exist. What a phone does that restarts meanwhile is up to
//! its firmware: it gets no configuration, and says so on its display or goes on with the old one.

mod adopt;
mod gate;
mod knocks;
mod pool;
mod told;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

pub use adopt::{AdoptError, Adoption, adopt};
pub use gate::Gate;
pub use knocks::{Knock, Knockers, Knocking, Knocks};
pub use pool::used_up;
pub use told::Told;

/// The `[provisioning]` table of the configuration file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// For how long after its adoption a device may fetch its configuration; 0 is for ever, and
    /// without adoption.
    pub window_minutes: u32,
}

impl Settings {
    /// Whether configurations are served within windows only.
    pub const fn has_windows(self) -> bool {
        self.window_minutes > 0
    }
}

/// A length of windows.
pub fn seconds(minutes: u32) -> u64 {
    u64::from(minutes) * 60
}

/// The time by the system's clock, as windows and knocks are kept in.
pub fn since_epoch() -> Duration {
    // A clock before 1970 is one that was never set.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
