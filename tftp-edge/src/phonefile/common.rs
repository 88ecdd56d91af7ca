//! The parts that SIP and SCCP phones share, in the order of the file.

use std::borrow::Cow;

use super::Phone;
use super::xml::Xml;
use crate::inventory::{
    Model, PhoneSettings, Protocol, Section, Server, Transport, VENDOR_ELEMENTS,
};

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
    xml.section(Section::Head, |name| {
        Cow::Borrowed(match name {
            "sshUserId" => phone.settings.ssh_user.as_str(),
            "sshPassword" => phone.settings.ssh_password.as_str(),
            _ => "",
        })
    });
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
                        xml.settable("ntpMode", "unicast");
                    });
                }
            });
        });
        xml.nest("callManagerGroup", |xml| {
            xml.text("name", &phone.device.site);
            xml.flag("tftpDefault", true);
            members(xml, settings);
        });
        srst(xml, &settings.srst);
        xml.fixed_section(Section::DevicePool);
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

/// The routers that take over when no server answers; one place at least is written, empty.
fn srst(xml: &mut Xml<'_>, routers: &[Server]) {
    let option = match routers {
        [] => "Disable",
        _ => "Enable",
    };
    xml.nest("srstInfo", |xml| {
        xml.texts(&[("name", option), ("srstOption", option)]);
        xml.settable("userModifiable", "false");
        let places: Vec<_> = match routers {
            [] => vec![None],
            routers => routers.iter().map(Some).collect(),
        };
        let host = |router: &Option<&Server>| router.map_or("", |router| &router.host).to_owned();
        for (index, router) in places.iter().enumerate() {
            xml.text(&format!("ipAddr{}", index + 1), &host(router));
            let port = router.map_or(2000, |router| router.sccp_port);
            xml.number(&format!("port{}", index + 1), port);
        }
        for (index, router) in places.iter().enumerate() {
            xml.text(&format!("sipIpAddr{}", index + 1), &host(router));
            let port = router.map_or(5060, |router| router.sip_port);
            xml.number(&format!("sipPort{}", index + 1), port);
        }
        xml.settable("isSecure", "false");
    });
}

pub(super) fn common_profile(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    xml.nest("commonProfile", |xml| {
        xml.section(Section::CommonProfile, |_| {
            Cow::Borrowed(&settings.phone_password)
        });
    });
}

/// Firmware; nothing for a phone that is to keep what it runs, as a wrong one makes it reboot
/// again and again.
pub(super) fn load(xml: &mut Xml<'_>, phone: Phone<'_>) {
    if let Some(load) = phone.load {
        xml.text("loadInformation", load);
    }
    xml.if_set("inactiveLoadInformation");
}

/// What the settings have for an element goes before ours. Names no table has follow in their
/// order: new firmware brings new ones.
pub(super) fn vendor_config(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    let on_is_zero = |on: bool| if on { "0" } else { "1" };
    xml.nest("vendorConfig", |xml| {
        for element in VENDOR_ELEMENTS {
            let ours = match element.name {
                "webAccess" => Some(on_is_zero(settings.web_access)),
                "sshAccess" => Some(on_is_zero(!settings.ssh_user.is_empty())),
                "peerFirmwareSharing" => Some(on_is_zero(!settings.peer_firmware_sharing)),
                "loadServer" => Some(settings.load_server.as_str()),
                _ => element.default,
            };
            let set = settings.vendor.get(element.name);
            if let Some(value) = set.map(String::as_str).or(ours) {
                xml.text(element.name, value);
            }
        }
        for (name, value) in &settings.vendor {
            if !VENDOR_ELEMENTS.iter().any(|known| known.name == name) {
                xml.text(name, value);
            }
        }
    });
}

/// Key expansion modules, counted from the phone on.
pub(super) fn add_on_modules(xml: &mut Xml<'_>, phone: Phone<'_>) {
    if phone.modules.is_empty() {
        return;
    }
    xml.nest("addOnModules", |xml| {
        for (index, module) in phone.modules.iter().enumerate() {
            xml.nest_with("addOnModule", &[("idx", &(index + 1).to_string())], |xml| {
                xml.text("deviceType", device_type(module.model));
                xml.number("deviceLine", module.model.lines);
                if let Some(load) = module.load {
                    xml.text("loadInformation", load);
                }
            });
        }
    });
}

/// As phones call a module: those of 12 and of 24 keys are one type, and `deviceLine` tells them
/// apart.
fn device_type(module: &Model) -> &str {
    match &*module.name {
        "7915-12" | "7915-24" => "7915",
        "7916-12" | "7916-24" => "7916",
        "8800-Audio" => "CP-8800-Audio",
        "8800-Video" => "CP-8800-Video",
        name => name,
    }
}

pub(super) fn locales(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    let (user, network) = (&settings.user_locale, &settings.network_locale);
    xml.nest("userLocale", |xml| {
        xml.text("name", &user.name);
        xml.text("uid", "");
        xml.text("langCode", &user.lang_code);
        xml.text("version", &user.version);
        xml.settable("winCharSet", "utf-8");
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
    xml.settable("deviceSecurityMode", if tls { "3" } else { "1" });
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
    xml.settable("proxyServerURL", "");
}

/// What stands at the end.
pub(super) fn tail(xml: &mut Xml<'_>, phone: Phone<'_>) {
    let settings = phone.settings;
    xml.section(Section::Tail, |_| {
        Cow::Borrowed(settings.capf_auth.number())
    });
    xml.nest("capfList", |xml| {
        let first_server = settings.servers.first().map(|server| (&server.host, 3804));
        let capf = settings.capf.as_ref().map(|capf| (&capf.host, capf.port));
        if let Some((host, port)) = capf.or(first_server) {
            xml.nest("capf", |xml| {
                xml.number("phonePort", port);
                xml.text("processNodeName", host);
            });
        }
    });
    xml.text("certHash", "");
    xml.settable("encrConfig", "false");
    if phone.device.protocol == Protocol::Sip {
        let owner = &phone.device.owner;
        xml.texts(&[("userId", owner), ("ownerId", owner)]);
    }
}
