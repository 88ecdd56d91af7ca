//! The elements of each section, in the order they are written.

use super::{Element, Value};

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

pub(super) const HEAD: &[Element] = &[
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

pub(super) const DEVICE_POOL: &[Element] = &[
    text("mlppDomainId", "-1"),
    text("mlppIndicationStatus", "Default"),
    text("preemption", "Default"),
    text("connectionMonitorDuration", "120"),
];

pub(super) const CALL_FEATURES: &[Element] = &[
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

pub(super) const SIP_STACK: &[Element] = &[
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

pub(super) const SIP_PROFILE: &[Element] = &[
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

pub(super) const LINE: &[Element] = &[
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

pub(super) const FORWARD_CALL_INFO: &[Element] = &[
    text("callerName", "true"),
    text("callerNumber", "true"),
    text("redirectedNumber", "false"),
    text("dialedNumber", "true"),
];

pub(super) const BUSY_LAMP: &[Element] = &[left_out("featureOptionMask")];

pub(super) const COMMON_PROFILE: &[Element] = &[
    of_key("phonePassword", "phone_password"),
    text("backgroundImageAccess", "true"),
    text("callLogBlfEnabled", "2"),
];

pub(super) const TAIL: &[Element] = &[
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

pub(super) const MOBILITY: &[Element] = &[
    text("handoffdn", ""),
    text("dtmfdn", ""),
    text("ivrdn", ""),
    text("dtmfHoldCode", "*81"),
    text("dtmfExclusiveHoldCode", "*82"),
    text("dtmfResumeCode", "*83"),
    text("dtmfTxfCode", "*84"),
    text("dtmfCnfCode", "*85"),
];

pub(super) const SCCP_DSCP: &[Element] = &[
    text("dscpForSCCPPhoneConfig", "104"),
    text("dscpForSCCPPhoneServices", "0"),
    text("dscpForCm2Dvce", "184"),
];

pub(super) const LEGACY_SIP: &[Element] = &[
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
