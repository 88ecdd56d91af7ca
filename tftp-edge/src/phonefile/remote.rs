//! Where phones ask whether to trust a certificate, and how they come in from outside.

use super::xml::Xml;
use crate::inventory::PhoneSettings;

/// `TVS`: trust verification; nothing if there is no such server.
pub(super) fn trust_verification(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    if settings.tvs.is_empty() {
        return;
    }
    xml.nest("TVS", |xml| {
        xml.nest("members", |xml| {
            for (priority, server) in settings.tvs.iter().enumerate() {
                xml.nest_with("member", &[("priority", &priority.to_string())], |xml| {
                    xml.number("port", server.port);
                    xml.text("address", &server.host);
                });
            }
        });
    });
}

/// `vpnGroup`; nothing if there is no gateway.
pub(super) fn vpn(xml: &mut Xml<'_>, settings: &PhoneSettings) {
    let vpn = &settings.vpn;
    if vpn.urls.is_empty() {
        return;
    }
    let one_is_on = |on: bool| if on { "1" } else { "0" };
    xml.nest("vpnGroup", |xml| {
        xml.number("mtu", vpn.mtu);
        xml.number("failConnectTime", vpn.connect_timeout_s);
        xml.text("authMethod", vpn.auth.number());
        xml.text("pswdPersistent", one_is_on(vpn.keep_password));
        xml.text("autoNetDetect", one_is_on(vpn.auto_detect));
        xml.text("enableHostIDCheck", one_is_on(vpn.check_host));
        xml.nest("addresses", |xml| {
            for (index, url) in vpn.urls.iter().enumerate() {
                xml.text(&format!("url{}", index + 1), url);
            }
        });
        xml.nest("credentials", |xml| {
            xml.text("hashAlg", "0");
            for (index, hash) in vpn.cert_hashes.iter().enumerate() {
                xml.text(&format!("certHash{}", index + 1), hash);
            }
        });
    });
}
