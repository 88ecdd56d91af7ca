//! A message from a phone, read.

use super::capabilities::BadCapabilities;
use super::field::u32_at;
use super::{Alarm, Capabilities, FeatureStatReq, Incoming, Register, TokenReq, UnregisterReason};

/// What a phone says or asks.
#[derive(Clone, Copy, Debug)]
pub enum Request<'b> {
    KeepAlive,
    Register(Register<'b>),
    Token(TokenReq<'b>),
    SpcpToken(TokenReq<'b>),
    Alarm(Alarm<'b>),
    /// An alarm in the XML that SIP phones send, with NULs behind it.
    XmlAlarm(&'b [u8]),
    Capabilities(Capabilities<'b>),
    /// Codecs in one of the later forms.
    UpdateCapabilities,
    ButtonTemplate,
    SoftKeyTemplate,
    SoftKeySet,
    ConfigStat,
    /// Counted from 1, as all numbers here.
    LineStat(u32),
    ForwardStat(u32),
    SpeedDialStat(u32),
    FeatureStat(FeatureStatReq),
    ServiceUrlStat(u32),
    TimeDate,
    Version,
    Server,
    /// How many lines it has room for: where a registration ends for phones of the SPA series.
    AvailableLines(u32),
    Unregister(UnregisterReason),
    /// It says something that nothing follows from here: ports of media, headset, place.
    Report,
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("the body ends before its last field")]
    Short,
    #[error("a count is more than its message has room for")]
    Count,
}

impl<'b> Request<'b> {
    pub fn parse(message: Incoming, body: &'b [u8]) -> Result<Self, BadBody> {
        let number = || u32_at(body, 0).ok_or(BadBody::Short);
        let at_least = |len: usize| match body.len() >= len {
            true => Ok(Self::Report),
            false => Err(BadBody::Short),
        };
        Ok(match message {
            Incoming::KeepAlive => Self::KeepAlive,
            Incoming::Register => Self::Register(Register::new(body).ok_or(BadBody::Short)?),
            Incoming::RegisterTokenReq => Self::Token(TokenReq::new(body).ok_or(BadBody::Short)?),
            Incoming::SpcpTokenReq => Self::SpcpToken(TokenReq::new(body).ok_or(BadBody::Short)?),
            Incoming::Alarm => Self::Alarm(Alarm::new(body).ok_or(BadBody::Short)?),
            Incoming::CapabilitiesRes => {
                let capabilities = Capabilities::new(body).map_err(|bad| match bad {
                    BadCapabilities::Short => BadBody::Short,
                    BadCapabilities::TooMany => BadBody::Count,
                })?;
                Self::Capabilities(capabilities)
            }
            Incoming::UpdateCapabilities
            | Incoming::UpdateCapabilitiesV2
            | Incoming::UpdateCapabilitiesV3 => {
                // Counts of audio, video and data formats come first in all three.
                at_least(12)?;
                Self::UpdateCapabilities
            }
            // Some phones say how many they have; the inventory decides.
            Incoming::ButtonTemplateReq => Self::ButtonTemplate,
            Incoming::SoftKeyTemplateReq => Self::SoftKeyTemplate,
            Incoming::SoftKeySetReq => Self::SoftKeySet,
            Incoming::ConfigStatReq => Self::ConfigStat,
            Incoming::LineStatReq => Self::LineStat(number()?),
            Incoming::ForwardStatReq => Self::ForwardStat(number()?),
            Incoming::SpeedDialStatReq => Self::SpeedDialStat(number()?),
            Incoming::FeatureStatReq => {
                Self::FeatureStat(FeatureStatReq::new(body).ok_or(BadBody::Short)?)
            }
            Incoming::ServiceUrlStatReq => Self::ServiceUrlStat(number()?),
            Incoming::TimeDateReq => Self::TimeDate,
            Incoming::VersionReq => Self::Version,
            Incoming::ServerReq => Self::Server,
            Incoming::RegisterAvailableLines => Self::AvailableLines(number()?),
            Incoming::Unregister => Self::Unregister(UnregisterReason::of_body(body)),
            Incoming::IpPort | Incoming::HeadsetStatus => at_least(4)?,
            Incoming::MediaPathCapability | Incoming::AccessoryStatus => at_least(8)?,
            Incoming::MediaPortList | Incoming::LocationInfo | Incoming::ExtensionDeviceCaps => {
                Self::Report
            }
            Incoming::XmlAlarm => Self::XmlAlarm(body),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_cut_is_bad_or_has_fields_that_may_be_missing() {
        let whole = [1; 200];
        // The shortest body of each message.
        let shortest = |message| match message {
            Incoming::Register => 44,
            Incoming::RegisterTokenReq | Incoming::SpcpTokenReq => 32,
            Incoming::Alarm => 5,
            Incoming::UpdateCapabilities
            | Incoming::UpdateCapabilitiesV2
            | Incoming::UpdateCapabilitiesV3 => 12,
            Incoming::AccessoryStatus | Incoming::MediaPathCapability => 8,
            Incoming::IpPort
            | Incoming::ForwardStatReq
            | Incoming::SpeedDialStatReq
            | Incoming::LineStatReq
            | Incoming::HeadsetStatus
            | Incoming::RegisterAvailableLines
            | Incoming::ServiceUrlStatReq
            | Incoming::FeatureStatReq => 4,
            _ => 0,
        };
        for message in Incoming::ALL {
            if message == Incoming::CapabilitiesRes {
                continue;
            }
            for len in 0..whole.len() {
                let read = Request::parse(message, &whole[..len]).is_ok();
                assert_eq!(
                    read,
                    len >= shortest(message),
                    "{message:?} with {len} bytes"
                );
            }
        }
    }
}
