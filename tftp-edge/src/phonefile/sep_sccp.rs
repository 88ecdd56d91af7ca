//! `SEP<MAC>.cnf.xml` of an SCCP phone. Its lines are not in it: they come in SCCP messages.

use super::xml::Xml;
use super::{Phone, common};

pub(super) fn write(xml: &mut Xml<'_>, phone: Phone<'_>) {
    xml.nest("device", |xml| {
        common::head(xml, phone);
        common::device_pool(xml, phone);
        common::common_profile(xml, phone.settings);
        common::load(xml, phone);
        common::vendor_config(xml, phone.settings);
        xml.stamp("versionStamp");
        common::locales(xml, phone.settings);
        common::security_mode(xml, phone);
        common::urls(xml, phone.settings);
        common::phone_services(xml);
        // What call managers write for SCCP, though the phone always uses TCP.
        xml.text("transportLayerProtocol", "4");
        xml.texts(&[
            ("dscpForSCCPPhoneConfig", "104"),
            ("dscpForSCCPPhoneServices", "0"),
            ("dscpForCm2Dvce", "184"),
        ]);
        common::tail(xml, phone.device, phone.settings);
    });
}
