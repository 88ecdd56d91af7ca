//! `XMLDefault.cnf.xml`: where a phone registers that has no configuration of its own.

use super::common;
use super::xml::Xml;
use crate::inventory::{MODELS, Protocol, Snapshot};

pub(super) fn write(xml: &mut Xml<'_>, snapshot: &Snapshot) {
    let site = snapshot.default_site();
    xml.nest("Default", |xml| {
        xml.nest("callManagerGroup", |xml| common::members(xml, site));
        for model in MODELS {
            let Some(type_id) = model.type_id else {
                continue;
            };
            // A phone out of the box speaks SCCP if it can; the load is what tells it otherwise.
            let load = [Protocol::Sccp, Protocol::Sip]
                .into_iter()
                .find_map(|protocol| snapshot.loads.get(&(model.name.to_owned(), protocol)));
            if let Some(load) = load {
                xml.text_with(
                    &format!("loadInformation{type_id}"),
                    &[("model", &format!("IP Phone {}", model.name))],
                    load,
                );
            }
        }
        xml.text("authenticationURL", &site.authentication_url);
        xml.text("directoryURL", &site.directory_url);
        xml.text("idleURL", &site.idle_url);
        xml.text("informationURL", &site.information_url);
        xml.text("messagesURL", &site.messages_url);
        xml.text("servicesURL", &site.services_url);
    });
}
