//! Why a phone does not get on, in one word.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::register::Refusal;

/// A closed list: a metric label, and a word that documentation and scripts can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Cause {
    /// Nothing was heard of it, while others of its site are here.
    NoDhcpOption,
    /// It asks again and again, and nothing comes back to what it is sent.
    NoReply,
    /// There is no configuration for it, or none that it may have.
    ConfigMissing,
    /// It is told to run firmware that is not here, or not all of it.
    LoadMissing,
    /// The phone says that it cannot run the firmware it fetched.
    LoadRejected,
    /// It cannot read a file it was given.
    InvalidXml,
    /// It trusts another server's files.
    TrustListMismatch,
    /// A transfer stops in the middle again and again.
    TransferStops,
    /// It has its files, and does not ask to be registered here.
    NoRegistration,
    WrongModel,
    WrongPassword,
    UnknownDevice,
    /// It was told to come again, and its time is over.
    StormWait,
    /// It was registered, and was lost.
    KeepaliveLost,
    /// It left by itself or was restarted, and did not come back.
    NotBack,
    BadConfiguration,
    Capacity,
    LineMismatch,
    Malformed,
    ProtocolMismatch,
    Duplicate,
    OldVersion,
    Sequence,
    CapabilitiesTimeout,
    AutoRegistration,
    Denied,
    Banned,
    Stale,
    /// It stopped, and nothing that is known here says why.
    Unexplained,
}

impl Cause {
    pub const COUNT: usize = 29;
    pub const ALL: [Self; Self::COUNT] = [
        Self::NoDhcpOption,
        Self::NoReply,
        Self::ConfigMissing,
        Self::LoadMissing,
        Self::LoadRejected,
        Self::InvalidXml,
        Self::TrustListMismatch,
        Self::TransferStops,
        Self::NoRegistration,
        Self::WrongModel,
        Self::WrongPassword,
        Self::UnknownDevice,
        Self::StormWait,
        Self::KeepaliveLost,
        Self::NotBack,
        Self::BadConfiguration,
        Self::Capacity,
        Self::LineMismatch,
        Self::Malformed,
        Self::ProtocolMismatch,
        Self::Duplicate,
        Self::OldVersion,
        Self::Sequence,
        Self::CapabilitiesTimeout,
        Self::AutoRegistration,
        Self::Denied,
        Self::Banned,
        Self::Stale,
        Self::Unexplained,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoDhcpOption => "no_dhcp_option",
            Self::NoReply => "no_reply",
            Self::ConfigMissing => "config_missing",
            Self::LoadMissing => "load_missing",
            Self::LoadRejected => "load_rejected",
            Self::InvalidXml => "invalid_xml",
            Self::TrustListMismatch => "trust_list_mismatch",
            Self::TransferStops => "transfer_stops",
            Self::NoRegistration => "no_registration",
            Self::WrongModel => "wrong_model",
            Self::WrongPassword => "wrong_password",
            Self::UnknownDevice => "unknown_device",
            Self::StormWait => "storm_wait",
            Self::KeepaliveLost => "keepalive_lost",
            Self::NotBack => "not_back",
            Self::BadConfiguration => "bad_configuration",
            Self::Capacity => "capacity",
            Self::LineMismatch => "line_mismatch",
            Self::Malformed => "malformed",
            Self::ProtocolMismatch => "protocol_mismatch",
            Self::Duplicate => "duplicate",
            Self::OldVersion => "old_version",
            Self::Sequence => "sequence",
            Self::CapabilitiesTimeout => "capabilities_timeout",
            Self::AutoRegistration => "auto_registration",
            Self::Denied => "denied",
            Self::Banned => "banned",
            Self::Stale => "stale",
            Self::Unexplained => "unexplained",
        }
    }

    /// What a refusal is the cause of.
    pub const fn of_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownDevice => Self::UnknownDevice,
            Refusal::BadConfiguration => Self::BadConfiguration,
            Refusal::Capacity => Self::Capacity,
            Refusal::Authentication => Self::WrongPassword,
            Refusal::LineMismatch => Self::LineMismatch,
            Refusal::Malformed => Self::Malformed,
            Refusal::ProtocolMismatch => Self::ProtocolMismatch,
            Refusal::Duplicate => Self::Duplicate,
            Refusal::OldVersion => Self::OldVersion,
            Refusal::Sequence => Self::Sequence,
            Refusal::CapabilitiesTimeout => Self::CapabilitiesTimeout,
            Refusal::AutoRegistration => Self::AutoRegistration,
            Refusal::WrongModel => Self::WrongModel,
            Refusal::Denied => Self::Denied,
            Refusal::Banned => Self::Banned,
            Refusal::Storm => Self::StormWait,
            Refusal::Stale => Self::Stale,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Cause {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cause = Self::ALL.into_iter().find(|it| it.as_str() == text);
        cause.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("no cause; expected one of {all}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_at_its_place_and_written_in_one_way() {
        for (place, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, place);
            assert_eq!(cause.as_str().parse(), Ok(cause));
            let json = serde_json::to_string(&cause).unwrap();
            assert_eq!(json, format!("\"{cause}\""));
        }
    }

    #[test]
    fn every_refusal_is_the_cause_of_something_of_its_own() {
        let causes: std::collections::BTreeSet<_> =
            Refusal::ALL.into_iter().map(Cause::of_refusal).collect();
        assert_eq!(causes.len(), Refusal::ALL.len());
    }
}
