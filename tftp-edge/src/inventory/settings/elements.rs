//! The elements of a phone's configuration that a setting can name: `xml.NAME` for those of the
//! whole file, `vendor.NAME` for those of `vendorConfig`.
//!
//! The tables say where an element stands, in which order, and what is written when nothing is set.
//! The writers of phone files go through them, so that what the help shows is what is written.
//!
//! Sources: the page on `SEPMAC.cnf.xml` at usecallmanager.nz, the annotated samples of chan-sccp,
//! and for [`Section::LegacySip`] the files that Cisco's call manager express prints.

mod vendor;

pub use vendor::{VENDOR_ELEMENTS, VendorElement};

use crate::inventory::nearest;

/// The part of the file that an element stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Beneath `device`, before the device pool.
    Head,
    DevicePool,
    CallFeatures,
    SipStack,
    /// Beneath `sipProfile` before the lines.
    SipProfile,
    /// Of every line.
    Line,
    /// Of every line: what a forwarded call shows.
    ForwardCallInfo,
    /// Of every button that shows whether another is busy.
    BusyLamp,
    CommonProfile,
    /// Beneath `device`, after the services.
    Tail,
    /// What SCCP phones alone read.
    Mobility,
    SccpDscp,
    /// `SIPDefault.cnf` and `SIP<MAC>.cnf`: a line of text, no element.
    LegacySip,
}

impl Section {
    pub const ALL: [Self; 13] = [
        Self::Head,
        Self::DevicePool,
        Self::CallFeatures,
        Self::SipStack,
        Self::SipProfile,
        Self::Line,
        Self::ForwardCallInfo,
        Self::BusyLamp,
        Self::CommonProfile,
        Self::Tail,
        Self::Mobility,
        Self::SccpDscp,
        Self::LegacySip,
    ];

    /// What it is called in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head | Self::Tail | Self::SccpDscp => "device",
            Self::DevicePool => "devicePool",
            Self::CallFeatures => "sipCallFeatures",
            Self::SipStack => "sipStack",
            Self::SipProfile => "sipProfile",
            Self::Line | Self::BusyLamp => "line",
            Self::ForwardCallInfo => "forwardCallInfoDisplay",
            Self::CommonProfile => "commonProfile",
            Self::Mobility => "mobility",
            Self::LegacySip => "SIP<MAC>.cnf",
        }
    }

    /// In the order they are written.
    pub const fn elements(self) -> &'static [Element] {
        match self {
            Self::Head => HEAD,
            Self::DevicePool => DEVICE_POOL,
            Self::CallFeatures => CALL_FEATURES,
            Self::SipStack => SIP_STACK,
            Self::SipProfile => SIP_PROFILE,
            Self::Line => LINE,
            Self::ForwardCallInfo => FORWARD_CALL_INFO,
            Self::BusyLamp => BUSY_LAMP,
            Self::CommonProfile => COMMON_PROFILE,
            Self::Tail => TAIL,
            Self::Mobility => MOBILITY,
            Self::SccpDscp => SCCP_DSCP,
            Self::LegacySip => LEGACY_SIP,
        }
    }
}

/// An element with text and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    pub name: &'static str,
    pub value: Value,
}

/// What is written when `xml.NAME` is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Text(&'static str),
    /// The element itself is left out.
    LeftOut,
    /// What follows from the device or from other settings.
    Derived,
    /// The value of another key, and of no other.
    Key(&'static str),
}

const fn text(name: &'static str, text: &'static str) -> Element {
    let value = Value::Text(text);
    Element { name, value }
}

const fn left_out(name: &'static str) -> Element {
    let value = Value::LeftOut;
    Element { name, value }
}

const fn derived(name: &'static str) -> Element {
    let value = Value::Derived;
    Element { name, value }
}

const fn of_key(name: &'static str, key: &'static str) -> Element {
    let value = Value::Key(key);
    Element { name, value }
}

const HEAD: &[Element] = &[
    of_key("sshUserId", "ssh_user"),
    of_key("sshPassword", "ssh_password"),
    text("ipAddressMode", "2"),
    text("allowAutoConfig", "true"),
    text("dadEnable", "true"),
    text("redirectEnable", "false"),
    text("echoMultiEnable", "false"),
    text("ipPreferenceModeControl", "0"),
    text("ipMediaAddressFamilyPreference", "0"),
];

const DEVICE_POOL: &[Element] = &[
    text("mlppDomainId", "-1"),
    text("mlppIndicationStatus", "Default"),
    text("preemption", "Default"),
    text("connectionMonitorDuration", "120"),
];

const CALL_FEATURES: &[Element] = &[
    text("cnfJoinEnabled", "true"),
    text("callForwardURI", "x-cisco-serviceuri-cfwdall"),
    text("callPickupURI", "x-cisco-serviceuri-pickup"),
    text("callPickupListURI", "x-cisco-serviceuri-opickup"),
    text("callPickupGroupURI", "x-cisco-serviceuri-gpickup"),
    text("meetMeServiceURI", "x-cisco-serviceuri-meetme"),
    text("abbreviatedDialURI", "x-cisco-serviceuri-abbrdial"),
    text("rfc2543Hold", "false"),
    text("callHoldRingback", "2"),
    text("localCfwdEnable", "true"),
    text("semiAttendedTransfer", "true"),
    // The 7900 series reads 2 as off for good, all others as on; 0 is off for all of them.
    text("anonymousCallBlock", "0"),
    text("callerIdBlocking", "0"),
    text("dndControl", "0"),
    text("remoteCcEnable", "true"),
    text("retainForwardInformation", "false"),
    text("uriDialingDisplayPreference", "1"),
];

const SIP_STACK: &[Element] = &[
    text("sipInviteRetx", "6"),
    text("sipRetx", "10"),
    text("timerInviteExpires", "180"),
    of_key("timerRegisterExpires", "register_expires_s"),
    text("timerRegisterDelta", "5"),
    text("timerKeepAliveExpires", "120"),
    text("timerSubscribeExpires", "120"),
    text("timerSubscribeDelta", "5"),
    text("timerT1", "500"),
    text("timerT2", "4000"),
    text("maxRedirects", "70"),
    text("remotePartyID", "true"),
    text("userInfo", "Phone"),
];

const SIP_PROFILE: &[Element] = &[
    text("autoAnswerTimer", "1"),
    text("autoAnswerAltBehavior", "false"),
    text("autoAnswerOverride", "true"),
    text("transferOnhookEnabled", "false"),
    text("enableVad", "false"),
    text("preferredCodec", "none"),
    text("dtmfAvtPayload", "101"),
    text("dtmfDbLevel", "3"),
    text("dtmfOutofBand", "avt"),
    text("alwaysUsePrimeLine", "false"),
    text("alwaysUsePrimeLineVoiceMail", "false"),
    text("kpml", "0"),
    derived("phoneLabel"),
    text("stutterMsgWaiting", "0"),
    text("callStats", "false"),
    text("offhookToFirstDigitTimer", "15000"),
    text("silentPeriodBetweenCallWaitingBursts", "10"),
    text("startMediaPort", "16384"),
    text("stopMediaPort", "32766"),
    text("natEnabled", "false"),
    text("natReceivedProcessing", "false"),
    text("natAddress", ""),
    text("externalNumberMask", ""),
    text("voipControlPort", "5060"),
    text("dscpForAudio", "184"),
    text("dscpVideo", "136"),
    text("ringSettingBusyStationPolicy", "0"),
    of_key("dialTemplate", "dial_template"),
    of_key("softKeyFile", "soft_keys"),
];

const LINE: &[Element] = &[
    text("callWaiting", "3"),
    derived("authName"),
    derived("authPassword"),
    derived("contact"),
    text("sharedLine", "false"),
    derived("messageWaitingLampPolicy"),
    text("messageWaitingAMWI", "1"),
    of_key("messagesNumber", "voicemail"),
    derived("ringSettingIdle"),
    derived("ringSettingActive"),
];

const FORWARD_CALL_INFO: &[Element] = &[
    text("callerName", "true"),
    text("callerNumber", "true"),
    text("redirectedNumber", "false"),
    text("dialedNumber", "true"),
];

const BUSY_LAMP: &[Element] = &[left_out("featureOptionMask")];

const COMMON_PROFILE: &[Element] = &[
    of_key("phonePassword", "phone_password"),
    text("backgroundImageAccess", "true"),
    text("callLogBlfEnabled", "2"),
];

const TAIL: &[Element] = &[
    text("TLSResumptionTimer", "3600"),
    text("phonePersonalization", "1"),
    text("autoCallPickupEnable", "false"),
    text("blfAudibleAlertSettingOfIdleStation", "0"),
    text("blfAudibleAlertSettingOfBusyStation", "0"),
    text("dndCallAlert", "1"),
    text("dndReminderTimer", "5"),
    text("advertiseG722Codec", "1"),
    text("rollover", "0"),
    text("joinAcrossLines", "0"),
    text("singleButtonBarge", "0"),
    of_key("capfAuthMode", "capf_auth"),
];

const MOBILITY: &[Element] = &[
    text("handoffdn", ""),
    text("dtmfdn", ""),
    text("ivrdn", ""),
    text("dtmfHoldCode", "*81"),
    text("dtmfExclusiveHoldCode", "*82"),
    text("dtmfResumeCode", "*83"),
    text("dtmfTxfCode", "*84"),
    text("dtmfCnfCode", "*85"),
];

const SCCP_DSCP: &[Element] = &[
    text("dscpForSCCPPhoneConfig", "104"),
    text("dscpForSCCPPhoneServices", "0"),
    text("dscpForCm2Dvce", "184"),
];

const LEGACY_SIP: &[Element] = &[
    text("proxy_register", "1"),
    of_key("timer_register_expires", "register_expires_s"),
    text("timer_register_delta", "5"),
    text("timer_invite_expires", "180"),
    text("timer_t1", "500"),
    text("timer_t2", "4000"),
    text("sip_invite_retx", "6"),
    text("sip_retx", "10"),
    text("preferred_codec", "g711ulaw"),
    text("tos_media", "5"),
    text("enable_vad", "0"),
    text("dtmf_inband", "1"),
    text("dtmf_outofband", "avt"),
    text("dtmf_db_level", "3"),
    text("dtmf_avt_payload", "101"),
    text("voip_control_port", "5060"),
    text("start_media_port", "16384"),
    text("end_media_port", "32766"),
    text("nat_enable", "0"),
    text("nat_address", ""),
    text("nat_received_processing", "0"),
    text("outbound_proxy", ""),
    text("outbound_proxy_port", "5060"),
    derived("sntp_mode"),
    derived("sntp_server"),
    derived("time_zone"),
    derived("dst_auto_adjust"),
    left_out("dst_offset"),
    derived("dst_start_month"),
    left_out("dst_start_day"),
    derived("dst_start_day_of_week"),
    derived("dst_start_week_of_month"),
    derived("dst_start_time"),
    derived("dst_stop_month"),
    left_out("dst_stop_day"),
    derived("dst_stop_day_of_week"),
    derived("dst_stop_week_of_month"),
    derived("dst_stop_time"),
    derived("date_format"),
    derived("time_format_24hr"),
    text("local_cfwd_enable", "1"),
    text("call_waiting", "1"),
    text("call_hold_ringback", "0"),
    text("callerid_blocking", "0"),
    text("anonymous_call_block", "0"),
    text("dnd_control", "0"),
    text("cnf_join_enable", "1"),
    text("semi_attended_transfer", "1"),
    text("stutter_msg_waiting", "0"),
    text("remote_party_id", "1"),
    text("call_stats", "0"),
    text("autocomplete", "1"),
    text("telnet_level", "0"),
    left_out("auto_answer"),
    left_out("user_info"),
    left_out("cfwd_url"),
    of_key("messages_uri", "voicemail"),
    of_key("services_url", "services_url"),
    of_key("directory_url", "directory_url"),
    left_out("logo_url"),
    left_out("http_proxy_addr"),
    left_out("http_proxy_port"),
    left_out("dyn_dns_addr_1"),
    left_out("dyn_dns_addr_2"),
    left_out("dyn_tftp_addr"),
    left_out("tftp_cfg_dir"),
    left_out("network_media_type"),
    left_out("network_port2_type"),
    left_out("phone_prompt"),
];

/// Elements with a place of their own in the code that writes them, and a key that sets them.
const SET_BY_KEYS: &[(&str, &str)] = &[
    ("timeZone", "time_zone"),
    ("dateTemplate", "date_template"),
    ("userLocale", "user_locale"),
    ("langCode", "user_locale_code"),
    ("networkLocale", "network_locale"),
    ("featurePolicyFile", "feature_policy"),
    ("transportLayerProtocol", "sip_transport"),
    ("proxy", "sip_proxy"),
    ("processNodeName", "servers"),
    ("loadServer", "load_server"),
    ("authenticationURL", "authentication_url"),
    ("servicesURL", "services_url"),
    ("directoryURL", "directory_url"),
    ("informationURL", "information_url"),
    ("messagesURL", "messages_url"),
    ("idleURL", "idle_url"),
    ("idleTimeout", "idle_timeout_s"),
];

/// Other elements that can be set: the code that writes them decides the value if they are not.
const OTHERS: &[&str] = &[
    "userModifiable",
    "isSecure",
    "deviceSecurityMode",
    "MissedCallLoggingOption",
    "inactiveLoadInformation",
    "proxyServerURL",
    "ntpMode",
    "recordingOption",
    "winCharSet",
    "encrConfig",
];

/// Everything `xml.NAME` can set: the name, the part of the file, and what is written otherwise.
pub fn xml_elements() -> impl Iterator<Item = (&'static str, &'static str, Option<&'static str>)> {
    let of_sections = Section::ALL.into_iter().flat_map(|section| {
        let settable = section.elements().iter();
        settable.filter_map(move |element| match element.value {
            Value::Text(text) => Some((element.name, section.as_str(), Some(text))),
            Value::LeftOut | Value::Derived => Some((element.name, section.as_str(), None)),
            Value::Key(_) => None,
        })
    });
    of_sections.chain(OTHERS.iter().map(|name| (*name, "device", None)))
}

/// The key that sets an element which `xml.NAME` cannot.
fn key_of(name: &str) -> Option<&'static str> {
    let elements = Section::ALL.into_iter().flat_map(Section::elements);
    let of_section = elements
        .filter(|element| element.name == name)
        .find_map(|element| match element.value {
            Value::Key(key) => Some(key),
            _ => None,
        });
    let others = SET_BY_KEYS.iter().find(|(known, _)| *known == name);
    of_section.or(others.map(|(_, key)| *key))
}

/// Takes the name of an element that `xml.NAME` can set.
pub(super) fn check_xml(name: &str) -> Result<(), String> {
    if xml_elements().any(|(known, _, _)| known == name) {
        return Ok(());
    }
    if let Some(key) = key_of(name) {
        return Err(format!("{name} is set by the key {key}"));
    }
    if VENDOR_ELEMENTS.iter().any(|known| known.name == name) {
        return Err(format!(
            "{name} is an element of vendorConfig: vendor.{name}"
        ));
    }
    match nearest(name, xml_elements().map(|(known, _, _)| known)) {
        Some(near) => Err(format!("there is no element {name:?}; is {near:?} meant?")),
        None => Err(format!(
            "there is no element {name:?} that can be set; a template can write any"
        )),
    }
}

/// Takes the name of an element of `vendorConfig`. New firmware knows names that no table has, so
/// only what is close to a known one is refused.
pub(super) fn check_vendor(name: &str) -> Result<(), String> {
    /// In a short name one letter makes another word.
    const MISTYPED_LEN: usize = 8;

    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !begins || name.len() > 64 || !name.chars().all(known) {
        return Err(format!("{name:?} is no name of an element"));
    }
    let names = || VENDOR_ELEMENTS.iter().map(|known| known.name);
    if names().any(|known| known == name) {
        return Ok(());
    }
    let mistyped = |known: &&str| {
        let slipped = strsim::osa_distance(known, name) == 1 && name.len() >= MISTYPED_LEN;
        let numbered = name.ends_with(|c: char| c.is_ascii_digit());
        known.eq_ignore_ascii_case(name) || (slipped && !numbered)
    };
    match names().find(mistyped) {
        Some(near) => Err(format!("there is no element {name:?}; is {near:?} meant?")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_stands_for_one_element() {
        let names: Vec<_> = xml_elements().map(|(name, _, _)| name).collect();
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        for (name, key) in SET_BY_KEYS {
            assert!(!names.contains(name), "{name}");
            let known = crate::inventory::KEYS.iter().any(|(known, _)| known == key);
            assert!(known, "{key}");
        }
        for section in Section::ALL {
            for element in section.elements() {
                if let Value::Key(key) = element.value {
                    let known = crate::inventory::KEYS
                        .iter()
                        .any(|(known, _)| *known == key);
                    assert!(known, "{key}");
                }
            }
        }
    }

    #[test]
    fn a_name_that_cannot_be_set_is_told_with_what_can() {
        assert_eq!(check_xml("timerT1"), Ok(()));
        assert_eq!(check_xml("deviceSecurityMode"), Ok(()));
        for (name, part) in [
            ("timert1", "is \"timerT1\" meant?"),
            ("timerRegisterExpires", "the key register_expires_s"),
            ("timeZone", "the key time_zone"),
            ("webAccess", "vendor.webAccess"),
            ("processNodeName", "the key servers"),
            ("flux", "a template can write any"),
        ] {
            let problem = check_xml(name).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_vendor_name_of_newer_firmware_is_taken_and_a_mistyped_one_is_not() {
        for name in ["webAccess", "brandNewFeature", "usb3", "dfBit"] {
            assert_eq!(check_vendor(name), Ok(()), "{name}");
        }
        for (name, part) in [
            ("webaccess", "is \"webAccess\" meant?"),
            ("setingsAccess", "is \"settingsAccess\" meant?"),
            ("a/b", "no name"),
            ("", "no name"),
        ] {
            let problem = check_vendor(name).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
