//! Why a phone is not registered.

use serde::{Deserialize, Serialize};

/// One closed list for both protocols; the numbers are those of CISCO-CCM-MIB,
/// `CcmDevRegFailCauseCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// 2: nobody knows the device, or the line.
    UnknownDevice,
    /// 3: the device is in the inventory, and its settings cannot be used.
    BadConfiguration,
    /// 5: the table is full.
    Capacity,
    /// 10: the password is wrong, or there is none to check it by.
    Authentication,
    /// 13: the line is not one of the device.
    LineMismatch,
    /// 14: the message cannot be understood.
    Malformed,
    /// 15: the inventory says that the device speaks the other protocol.
    ProtocolMismatch,
    /// 17: the device is registered from another address and still alive there.
    Duplicate,
    /// 18: a version of the protocol that is too old.
    OldVersion,
    /// 25: a message that has no place where it came.
    Sequence,
    /// 27: the phone never told its capabilities.
    CapabilitiesTimeout,
    /// 29: it cannot be taken into the inventory by itself: no numbers left, or no known model.
    AutoRegistration,
    /// 32: the inventory has another model under this name.
    WrongModel,
    /// 1: its address may not register here.
    Denied,
    /// 1: its address is shut out for a while for what it tried before.
    Banned,
    /// 1: it is to come again later, and was told when.
    Storm,
    /// 1: it waited so long for its turn that it does not wait for the answer any more.
    Stale,
}

impl Refusal {
    pub const ALL: [Self; 17] = [
        Self::UnknownDevice,
        Self::BadConfiguration,
        Self::Capacity,
        Self::Authentication,
        Self::LineMismatch,
        Self::Malformed,
        Self::ProtocolMismatch,
        Self::Duplicate,
        Self::OldVersion,
        Self::Sequence,
        Self::CapabilitiesTimeout,
        Self::AutoRegistration,
        Self::WrongModel,
        Self::Denied,
        Self::Banned,
        Self::Storm,
        Self::Stale,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownDevice => "unknown_device",
            Self::BadConfiguration => "bad_configuration",
            Self::Capacity => "capacity",
            Self::Authentication => "authentication",
            Self::LineMismatch => "line_mismatch",
            Self::Malformed => "malformed",
            Self::ProtocolMismatch => "protocol_mismatch",
            Self::Duplicate => "duplicate",
            Self::OldVersion => "old_version",
            Self::Sequence => "sequence",
            Self::CapabilitiesTimeout => "capabilities_timeout",
            Self::AutoRegistration => "auto_registration",
            Self::WrongModel => "wrong_model",
            Self::Denied => "denied",
            Self::Banned => "banned",
            Self::Storm => "storm",
            Self::Stale => "stale",
        }
    }

    /// `CcmDevRegFailCauseCode`; 1, unknown, where it has nothing nearer.
    pub const fn cause_code(self) -> u8 {
        match self {
            Self::UnknownDevice => 2,
            Self::BadConfiguration => 3,
            Self::Capacity => 5,
            Self::Authentication => 10,
            Self::LineMismatch => 13,
            Self::Malformed => 14,
            Self::ProtocolMismatch => 15,
            Self::Duplicate => 17,
            Self::OldVersion => 18,
            Self::Sequence => 25,
            Self::CapabilitiesTimeout => 27,
            Self::AutoRegistration => 29,
            Self::WrongModel => 32,
            Self::Denied | Self::Banned | Self::Storm | Self::Stale => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_label_of_its_own_at_its_place() {
        let mut labels: Vec<_> = Refusal::ALL.iter().map(|it| it.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Refusal::ALL.len());
        for (place, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(*refusal as usize, place);
        }
    }
}
