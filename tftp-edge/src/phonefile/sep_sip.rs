//! `SEP<MAC>.cnf.xml` of a SIP phone.

use super::xml::Xml;
use super::{Phone, common};
use crate::inventory::{Line, PhoneSettings, Transport};

/// Calls a line takes at once where the model has room for them.
const CALLS_A_LINE: u32 = 4;

pub(super) fn write(xml: &mut Xml<'_>, phone: Phone<'_>) {
    xml.nest("device", |xml| {
        common::head(xml, phone);
        common::device_pool(xml, phone);
        sip_profile(xml, phone);
        xml.texts(&[("featurePolicyFile", ""), ("MissedCallLoggingOption", "1")]);
        common::common_profile(xml, phone.settings);
        common::load(xml, phone);
        common::vendor_config(xml, phone.settings);
        xml.stamp("versionStamp");
        common::locales(xml, phone.settings);
        common::security_mode(xml, phone);
        common::urls(xml, phone.settings);
        common::phone_services(xml);
        xml.text(
            "transportLayerProtocol",
            match phone.settings.sip_transport {
                Transport::Tcp => "1",
                Transport::Udp => "2",
                Transport::Tls => "3",
            },
        );
        common::tail(xml, phone.device, phone.settings);
    });
}

fn sip_profile(xml: &mut Xml<'_>, phone: Phone<'_>) {
    let settings = phone.settings;
    xml.nest("sipProfile", |xml| {
        xml.nest("sipProxies", |xml| xml.flag("registerWithProxy", true));
        call_features(xml);
        stack(xml, settings);
        xml.texts(&[
            ("autoAnswerTimer", "1"),
            ("autoAnswerAltBehavior", "false"),
            ("autoAnswerOverride", "true"),
            ("transferOnhookEnabled", "false"),
            ("enableVad", "false"),
            ("preferredCodec", "none"),
            ("dtmfAvtPayload", "101"),
            ("dtmfDbLevel", "3"),
            ("dtmfOutofBand", "avt"),
            ("alwaysUsePrimeLine", "false"),
            ("alwaysUsePrimeLineVoiceMail", "false"),
            ("kpml", "0"),
        ]);
        xml.text("phoneLabel", &phone.device.description);
        xml.texts(&[
            ("stutterMsgWaiting", "0"),
            ("callStats", "false"),
            ("offhookToFirstDigitTimer", "15000"),
            ("silentPeriodBetweenCallWaitingBursts", "10"),
            ("startMediaPort", "16384"),
            ("stopMediaPort", "32766"),
            ("natEnabled", "false"),
            ("natReceivedProcessing", "false"),
            ("natAddress", ""),
            ("externalNumberMask", ""),
            ("voipControlPort", "5060"),
            ("dscpForAudio", "184"),
            ("dscpVideo", "136"),
            ("ringSettingBusyStationPolicy", "0"),
        ]);
        xml.text("dialTemplate", &settings.dial_template);
        xml.text("softKeyFile", &settings.soft_keys);
        xml.nest("sipLines", |xml| {
            let calls = calls_a_line(phone);
            for (index, line) in phone.device.lines.iter().enumerate() {
                sip_line(xml, settings, index + 1, line, calls);
            }
        });
    });
}

/// A model bounds its calls over all lines, not for each.
fn calls_a_line(phone: Phone<'_>) -> u32 {
    let lines = u32::try_from(phone.device.lines.len()).unwrap_or(u32::MAX);
    let share = |max_calls: u32| max_calls / lines.max(1);
    let share = phone
        .model
        .map_or(CALLS_A_LINE, |model| share(model.max_calls));
    share.clamp(1, CALLS_A_LINE)
}

fn call_features(xml: &mut Xml<'_>) {
    xml.nest("sipCallFeatures", |xml| {
        xml.texts(&[
            ("cnfJoinEnabled", "true"),
            ("callForwardURI", "x-cisco-serviceuri-cfwdall"),
            ("callPickupURI", "x-cisco-serviceuri-pickup"),
            ("callPickupListURI", "x-cisco-serviceuri-opickup"),
            ("callPickupGroupURI", "x-cisco-serviceuri-gpickup"),
            ("meetMeServiceURI", "x-cisco-serviceuri-meetme"),
            ("abbreviatedDialURI", "x-cisco-serviceuri-abbrdial"),
            ("rfc2543Hold", "false"),
            ("callHoldRingback", "2"),
            ("localCfwdEnable", "true"),
            ("semiAttendedTransfer", "true"),
            ("anonymousCallBlock", "2"),
            ("callerIdBlocking", "2"),
            ("dndControl", "0"),
            ("remoteCcEnable", "true"),
            ("retainForwardInformation", "false"),
            ("uriDialingDisplayPreference", "1"),
        ]);
    });
}

fn stack(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    xml.nest("sipStack", |xml| {
        xml.texts(&[
            ("sipInviteRetx", "6"),
            ("sipRetx", "10"),
            ("timerInviteExpires", "180"),
        ]);
        xml.number("timerRegisterExpires", settings.register_expires_s);
        xml.texts(&[
            ("timerRegisterDelta", "5"),
            ("timerKeepAliveExpires", "120"),
            ("timerSubscribeExpires", "120"),
            ("timerSubscribeDelta", "5"),
            ("timerT1", "500"),
            ("timerT2", "4000"),
            ("maxRedirects", "70"),
            ("remotePartyID", "true"),
            ("userInfo", "Phone"),
        ]);
    });
}

/// A line key. Each line carries its own credentials: firmware that uses the first line's for all
/// ignores the others', and firmware that does not needs them.
fn sip_line(xml: &mut Xml<'_>, settings: &PhoneSettings, index: usize, line: &Line, calls: u32) {
    let index = index.to_string();
    xml.nest_with(
        "line",
        &[("button", &index), ("lineIndex", &index)],
        |xml| {
            xml.text("featureID", "9");
            xml.text("featureLabel", line.label());
            xml.text("proxy", &settings.sip_proxy);
            xml.number("port", sip_port(settings));
            xml.text("name", &line.number);
            xml.text("displayName", line.label());
            xml.nest("autoAnswer", |xml| xml.text("autoAnswerEnabled", "2"));
            xml.text("callWaiting", "3");
            xml.text("authName", line.auth_name());
            xml.text("authPassword", &line.secret);
            xml.text("contact", &line.number);
            xml.texts(&[
                ("sharedLine", "false"),
                ("messageWaitingLampPolicy", "3"),
                ("messageWaitingAMWI", "1"),
            ]);
            xml.text("messagesNumber", &settings.voicemail);
            xml.texts(&[("ringSettingIdle", "4"), ("ringSettingActive", "5")]);
            xml.nest("forwardCallInfoDisplay", |xml| {
                xml.texts(&[
                    ("callerName", "true"),
                    ("callerNumber", "true"),
                    ("redirectedNumber", "false"),
                    ("dialedNumber", "true"),
                ]);
            });
            xml.number("maxNumCalls", calls);
            // One call less than the most: the last one is for calling out.
            xml.number("busyTrigger", calls.saturating_sub(1).max(1));
            xml.text("recordingOption", "disable");
        },
    );
}

/// The port of the preferred server; the transport decides which.
fn sip_port(settings: &PhoneSettings) -> u16 {
    let tls = settings.sip_transport == Transport::Tls;
    match settings.servers.first() {
        Some(server) if tls => server.sips_port,
        Some(server) => server.sip_port,
        None if tls => 5061,
        None => 5060,
    }
}
