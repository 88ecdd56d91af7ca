//! `SEP<MAC>.cnf.xml` of an SCCP phone. Its lines are not in it: they come in SCCP messages.

use super::xml::Xml;
use super::{Phone, common, remote, services};
use crate::inventory::Section;

pub(super) fn write(xml: &mut Xml<'_>, phone: Phone<'_>) {
    xml.nest("device", |xml| {
        common::head(xml, phone);
        common::device_pool(xml, phone);
        remote::trust_verification(xml, phone.settings);
        remote::vpn(xml, phone.settings);
        common::common_profile(xml, phone.settings);
        common::load(xml, phone);
        common::vendor_config(xml, phone.settings);
        common::add_on_modules(xml, phone);
        xml.stamp("versionStamp");
        common::locales(xml, phone.settings);
        common::security_mode(xml, phone);
        common::urls(xml, phone.settings);
        services::write(xml, phone);
        xml.nest("mobility", |xml| xml.fixed_section(Section::Mobility));
        // What call managers write for SCCP, though the phone always uses TCP.
        xml.text("transportLayerProtocol", "4");
        xml.fixed_section(Section::SccpDscp);
        common::tail(xml, phone);
    });
}
