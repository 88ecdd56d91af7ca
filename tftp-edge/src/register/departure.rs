//! Why a phone is not registered any more.

use serde::{Deserialize, Serialize};

/// By the names and numbers of CISCO-CCM-MIB, `CcmDevUnregCauseCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Departure {
    /// 6: its connection was closed or lost.
    Connectivity,
    /// 8: it unregistered, to restart or to go elsewhere.
    DeviceReset,
    /// 9: it was reset from here.
    Reset,
    /// 10: it unregistered with nothing said.
    Unregistered,
    /// 12: it sent more than any phone does.
    Throttled,
    /// 13: no keepalive or refresh came in time.
    KeepaliveTimeout,
    /// 14: it is not in the inventory any more, or another kind of device.
    ConfigurationMismatch,
    /// 16: the device registered anew from elsewhere, or over another connection.
    Duplicate,
    /// 17: its configuration changed and it fetches the new one.
    ApplyConfig,
    /// 18: it did not answer what it was told.
    NoResponse,
    /// 21: it saves power.
    PowerSave,
    /// 22: it was restarted from here.
    Restart,
    /// 23: its address is another one.
    AddressChanged,
    /// 24: its port is another one.
    PortChanged,
    /// 25: it broke the order of a registration.
    SequenceError,
    /// 27: it never told its capabilities.
    CapabilitiesTimeout,
}

impl Departure {
    pub const ALL: [Self; 16] = [
        Self::Connectivity,
        Self::DeviceReset,
        Self::Reset,
        Self::Unregistered,
        Self::Throttled,
        Self::KeepaliveTimeout,
        Self::ConfigurationMismatch,
        Self::Duplicate,
        Self::ApplyConfig,
        Self::NoResponse,
        Self::PowerSave,
        Self::Restart,
        Self::AddressChanged,
        Self::PortChanged,
        Self::SequenceError,
        Self::CapabilitiesTimeout,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connectivity => "connectivity",
            Self::DeviceReset => "device_reset",
            Self::Reset => "reset",
            Self::Unregistered => "unregistered",
            Self::Throttled => "throttled",
            Self::KeepaliveTimeout => "keepalive_timeout",
            Self::ConfigurationMismatch => "configuration_mismatch",
            Self::Duplicate => "duplicate",
            Self::ApplyConfig => "apply_config",
            Self::NoResponse => "no_response",
            Self::PowerSave => "power_save",
            Self::Restart => "restart",
            Self::AddressChanged => "address_changed",
            Self::PortChanged => "port_changed",
            Self::SequenceError => "sequence_error",
            Self::CapabilitiesTimeout => "capabilities_timeout",
        }
    }

    /// `CcmDevUnregCauseCode`.
    pub const fn cause_code(self) -> u8 {
        match self {
            Self::Connectivity => 6,
            Self::DeviceReset => 8,
            Self::Reset => 9,
            Self::Unregistered => 10,
            Self::Throttled => 12,
            Self::KeepaliveTimeout => 13,
            Self::ConfigurationMismatch => 14,
            Self::Duplicate => 16,
            Self::ApplyConfig => 17,
            Self::NoResponse => 18,
            Self::PowerSave => 21,
            Self::Restart => 22,
            Self::AddressChanged => 23,
            Self::PortChanged => 24,
            Self::SequenceError => 25,
            Self::CapabilitiesTimeout => 27,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_departure_has_a_label_and_a_code_of_its_own() {
        let mut labels: Vec<_> = Departure::ALL.iter().map(|it| it.as_str()).collect();
        let mut codes: Vec<_> = Departure::ALL.iter().map(|it| it.cause_code()).collect();
        labels.sort_unstable();
        labels.dedup();
        codes.dedup();
        assert_eq!(labels.len(), Departure::ALL.len());
        assert_eq!(codes.len(), Departure::ALL.len());
        assert!(codes.is_sorted());
    }
}
