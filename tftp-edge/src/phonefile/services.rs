//! `phoneServices`: what the directories, messages and services keys open.

use super::Phone;
use super::xml::Xml;
use crate::inventory::PhoneService;

/// The call lists that phones have built in; without them the directories key shows nothing.
const BUILT_IN: [(&str, &str, &str); 5] = [
    ("1", "Missed Calls", "Application:Cisco/MissedCalls"),
    ("1", "Received Calls", "Application:Cisco/ReceivedCalls"),
    ("1", "Placed Calls", "Application:Cisco/PlacedCalls"),
    (
        "1",
        "Personal Directory",
        "Application:Cisco/PersonalDirectory",
    ),
    ("2", "Voicemail", "Application:Cisco/Voicemail"),
];

pub(super) fn write(xml: &mut Xml<'_>, phone: Phone<'_>) {
    let https = phone
        .services
        .iter()
        .any(|(_, service)| service.url.starts_with("https://"));
    let use_https = if https { "true" } else { "false" };
    xml.nest_with("phoneServices", &[("useHTTPS", use_https)], |xml| {
        // Beside the URLs of the single keys, not in their place.
        xml.text("provisioning", "2");
        for (kind, name, url) in BUILT_IN {
            let service = [
                ("name", name),
                ("url", url),
                ("vendor", ""),
                ("version", ""),
            ];
            entry(xml, kind, "0", &service);
        }
        for (name, service) in phone.services {
            let PhoneService {
                url,
                kind,
                category,
                vendor,
                version,
            } = service;
            let service = [
                ("name", name.as_str()),
                ("url", url),
                ("vendor", vendor),
                ("version", version),
            ];
            entry(xml, &kind.to_string(), &category.to_string(), &service);
        }
    });
}

fn entry(xml: &mut Xml<'_>, kind: &str, category: &str, texts: &[(&str, &str)]) {
    let attributes = [("type", kind), ("category", category)];
    xml.nest_with("phoneService", &attributes, |xml| xml.texts(texts));
}
