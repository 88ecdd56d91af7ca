//! `SEP<MAC>.cnf.xml` of a SIP phone; `ATA<MAC>.cnf.xml` and those of soft phones are the same.

use std::borrow::Cow;

use super::xml::Xml;
use super::{Phone, common, remote, services, sip_lines};
use crate::inventory::{Section, Transport};

pub(super) fn write(xml: &mut Xml<'_>, phone: Phone<'_>) {
    xml.nest("device", |xml| {
        common::head(xml, phone);
        common::device_pool(xml, phone);
        remote::trust_verification(xml, phone.settings);
        remote::vpn(xml, phone.settings);
        sip_profile(xml, phone);
        xml.text("featurePolicyFile", phone.files.feature_policy);
        // A 1 for each line that keeps a list of its missed calls.
        let missed_calls = "1".repeat(phone.device.lines.len().max(1));
        xml.settable("MissedCallLoggingOption", &missed_calls);
        common::common_profile(xml, phone.settings);
        common::load(xml, phone);
        common::vendor_config(xml, phone.settings);
        common::add_on_modules(xml, phone);
        xml.stamp("versionStamp");
        common::locales(xml, phone.settings);
        common::security_mode(xml, phone);
        common::urls(xml, phone.settings);
        services::write(xml, phone);
        xml.text(
            "transportLayerProtocol",
            match phone.settings.sip_transport {
                Transport::Tcp => "1",
                Transport::Udp => "2",
                Transport::Tls => "3",
            },
        );
        common::tail(xml, phone);
    });
}

fn sip_profile(xml: &mut Xml<'_>, phone: Phone<'_>) {
    let settings = phone.settings;
    xml.nest("sipProfile", |xml| {
        xml.nest("sipProxies", |xml| xml.flag("registerWithProxy", true));
        xml.nest("sipCallFeatures", |xml| {
            xml.fixed_section(Section::CallFeatures);
        });
        xml.nest("sipStack", |xml| {
            xml.section(Section::SipStack, |_| {
                Cow::Owned(settings.register_expires_s.to_string())
            });
        });
        xml.section(Section::SipProfile, |name| {
            Cow::Borrowed(match name {
                "phoneLabel" => &phone.device.description,
                "dialTemplate" => phone.files.dial_template,
                "softKeyFile" => phone.files.soft_keys,
                _ => "",
            })
        });
        xml.nest("sipLines", |xml| sip_lines::write(xml, phone));
    });
}
