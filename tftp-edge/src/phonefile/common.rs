//! The parts that SIP and SCCP phones share.

use super::Phone;
use super::xml::Xml;
use crate::inventory::{Device, PhoneSettings, Protocol, Server, Transport};

/// What stands before the device pool.
pub(super) fn head(xml: &mut Xml<'_>, phone: Phone<'_>) {
    xml.flag("fullConfig", true);
    xml.text(
        "deviceProtocol",
        match phone.device.protocol {
            Protocol::Sip => "SIP",
            Protocol::Sccp => "SCCP",
        },
    );
    xml.text("sshUserId", &phone.settings.ssh_user);
    xml.text("sshPassword", &phone.settings.ssh_password);
    xml.texts(&[
        ("ipAddressMode", "2"),
        ("allowAutoConfig", "true"),
        ("dadEnable", "true"),
        ("redirectEnable", "false"),
        ("echoMultiEnable", "false"),
        ("ipPreferenceModeControl", "0"),
        ("ipMediaAddressFamilyPreference", "0"),
    ]);
}

pub(super) fn device_pool(xml: &mut Xml<'_>, phone: Phone<'_>) {
    let settings = phone.settings;
    xml.nest("devicePool", |xml| {
        if phone.device.protocol == Protocol::Sccp {
            xml.text("revertPriority", "0");
            xml.text("name", &phone.device.site);
        }
        xml.nest("dateTimeSetting", |xml| {
            xml.text("name", &phone.device.site);
            xml.text("dateTemplate", &settings.date_template);
            xml.text("timeZone", &settings.time_zone);
            xml.nest("ntps", |xml| {
                for host in &settings.ntp {
                    xml.nest("ntp", |xml| {
                        xml.text("name", host);
                        xml.text("ntpMode", "unicast");
                    });
                }
            });
        });
        xml.nest("callManagerGroup", |xml| {
            xml.text("name", &phone.device.site);
            xml.flag("tftpDefault", true);
            members(xml, settings);
        });
        srst(xml, settings);
        xml.texts(&[
            ("mlppDomainId", "-1"),
            ("mlppIndicationStatus", "Default"),
            ("preemption", "Default"),
            ("connectionMonitorDuration", "120"),
        ]);
    });
}

/// The call managers in the order phones are to try them.
pub(super) fn members(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    xml.nest("members", |xml| {
        for (priority, server) in settings.servers.iter().enumerate() {
            xml.nest_with("member", &[("priority", &priority.to_string())], |xml| {
                xml.nest("callManager", |xml| {
                    xml.text("name", &server.host);
                    xml.text("description", "");
                    xml.nest("ports", |xml| {
                        xml.number("ethernetPhonePort", server.sccp_port);
                        xml.number("sipPort", server.sip_port);
                        xml.number("securedSipPort", server.sips_port);
                        xml.nest("mgcpPorts", |xml| {
                            xml.texts(&[("listen", "2427"), ("keepAlive", "2428")]);
                        });
                    });
                    xml.text("processNodeName", &server.host);
                });
            });
        }
    });
}

fn srst(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    let srst = settings.srst.as_ref();
    let or = |port: fn(&Server) -> u16, default| srst.map_or(default, port);
    let host = srst.map_or("", |server| server.host.as_str());
    xml.nest("srstInfo", |xml| {
        xml.text("name", if srst.is_some() { "Enable" } else { "Disable" });
        xml.text(
            "srstOption",
            if srst.is_some() { "Enable" } else { "Disable" },
        );
        xml.flag("userModifiable", false);
        xml.text("ipAddr1", host);
        xml.number("port1", or(|server| server.sccp_port, 2000));
        xml.text("sipIpAddr1", host);
        xml.number("sipPort1", or(|server| server.sip_port, 5060));
        xml.flag("isSecure", false);
    });
}

pub(super) fn common_profile(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    xml.nest("commonProfile", |xml| {
        xml.text("phonePassword", &settings.phone_password);
        xml.texts(&[
            ("backgroundImageAccess", "true"),
            ("callLogBlfEnabled", "2"),
        ]);
    });
}

/// Firmware; nothing for a phone that is to keep what it runs, as a wrong one makes it reboot
/// again and again.
pub(super) fn load(xml: &mut Xml<'_>, phone: Phone<'_>) {
    if let Some(load) = phone.load {
        xml.text("loadInformation", load);
    }
}

pub(super) fn vendor_config(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    let off_is_one = |on: bool| if on { "0" } else { "1" };
    xml.nest("vendorConfig", |xml| {
        xml.text("webAccess", off_is_one(settings.web_access));
        xml.text("sshAccess", off_is_one(!settings.ssh_user.is_empty()));
        xml.texts(&[
            ("settingsAccess", "1"),
            ("pcPort", "0"),
            ("spanToPCPort", "1"),
            ("voiceVlanAccess", "0"),
            ("garp", "1"),
            ("enableCdpSwPort", "1"),
            ("enableCdpPcPort", "1"),
            ("enableLldpSwPort", "1"),
            ("enableLldpPcPort", "1"),
        ]);
        xml.text(
            "peerFirmwareSharing",
            if settings.peer_firmware_sharing {
                "1"
            } else {
                "0"
            },
        );
        xml.text("loadServer", &settings.load_server);
        xml.texts(&[
            ("detectCMConnectionFailure", "0"),
            ("g722CodecSupport", "0"),
            ("autoSelectLineEnable", "1"),
            ("displayOnTime", "08:00"),
            ("displayOnDuration", "12:00"),
            ("displayIdleTimeout", "01:00"),
        ]);
    });
}

pub(super) fn locales(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    let (user, network) = (&settings.user_locale, &settings.network_locale);
    xml.nest("userLocale", |xml| {
        xml.text("name", &user.name);
        xml.text("uid", "");
        xml.text("langCode", &user.lang_code);
        xml.text("version", &user.version);
        xml.text("winCharSet", "utf-8");
    });
    xml.text("networkLocale", &network.name);
    xml.nest("networkLocaleInfo", |xml| {
        xml.text("name", &network.name);
        xml.text("uid", "");
        xml.text("version", &network.version);
    });
}

/// 1 without encryption, 3 with: TLS for signalling goes with encrypted media.
pub(super) fn security_mode(xml: &mut Xml<'_>, phone: Phone<'_>) {
    let tls =
        phone.device.protocol == Protocol::Sip && phone.settings.sip_transport == Transport::Tls;
    xml.text("deviceSecurityMode", if tls { "3" } else { "1" });
}

pub(super) fn urls(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    let urls = [
        (
            "authenticationURL",
            "secureAuthenticationURL",
            &settings.authentication_url,
        ),
        ("messagesURL", "secureMessagesURL", &settings.messages_url),
        ("servicesURL", "secureServicesURL", &settings.services_url),
        (
            "directoryURL",
            "secureDirectoryURL",
            &settings.directory_url,
        ),
        (
            "informationURL",
            "secureInformationURL",
            &settings.information_url,
        ),
        ("idleURL", "secureIdleURL", &settings.idle_url),
    ];
    for (name, _, url) in urls {
        xml.text(name, url);
    }
    for (_, name, url) in urls {
        if url.starts_with("https://") {
            xml.text(name, url);
        }
    }
    xml.number("idleTimeout", settings.idle_timeout_s);
    xml.text("proxyServerURL", "");
}

/// The call lists that phones have built in; without them the directories key shows nothing.
pub(super) fn phone_services(xml: &mut Xml<'_>) {
    const SERVICES: [(&str, &str, &str, &str); 5] = [
        ("1", "0", "Missed Calls", "Application:Cisco/MissedCalls"),
        (
            "1",
            "0",
            "Received Calls",
            "Application:Cisco/ReceivedCalls",
        ),
        ("1", "0", "Placed Calls", "Application:Cisco/PlacedCalls"),
        (
            "1",
            "0",
            "Personal Directory",
            "Application:Cisco/PersonalDirectory",
        ),
        ("2", "0", "Voicemail", "Application:Cisco/Voicemail"),
    ];
    xml.nest_with("phoneServices", &[("useHTTPS", "false")], |xml| {
        xml.text("provisioning", "2");
        for (kind, category, name, url) in SERVICES {
            xml.nest_with(
                "phoneService",
                &[("type", kind), ("category", category)],
                |xml| {
                    xml.text("name", name);
                    xml.text("url", url);
                    xml.texts(&[("vendor", ""), ("version", "")]);
                },
            );
        }
    });
}

/// What stands at the end.
pub(super) fn tail(xml: &mut Xml<'_>, device: &Device, settings: &PhoneSettings) {
    xml.texts(&[
        ("TLSResumptionTimer", "3600"),
        ("phonePersonalization", "1"),
        ("autoCallPickupEnable", "false"),
        ("blfAudibleAlertSettingOfIdleStation", "0"),
        ("blfAudibleAlertSettingOfBusyStation", "0"),
        ("dndCallAlert", "1"),
        ("dndReminderTimer", "5"),
        ("advertiseG722Codec", "1"),
        ("rollover", "0"),
        ("joinAcrossLines", "0"),
        ("singleButtonBarge", "0"),
        ("capfAuthMode", "0"),
    ]);
    xml.nest("capfList", |xml| {
        if let Some(server) = settings.servers.first() {
            xml.nest("capf", |xml| {
                xml.text("phonePort", "3804");
                xml.text("processNodeName", &server.host);
            });
        }
    });
    xml.texts(&[("certHash", ""), ("encrConfig", "false")]);
    if device.protocol == Protocol::Sip {
        xml.texts(&[("userId", ""), ("ownerId", "")]);
    }
}
