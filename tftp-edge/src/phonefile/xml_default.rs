//! `XMLDefault.cnf.xml`: where a phone registers that has no configuration of its own.

use super::common;
use super::xml::Xml;
use crate::inventory::{PhoneSettings, Protocol, Snapshot};

pub(super) fn write(xml: &mut Xml<'_>, settings: &PhoneSettings, snapshot: &Snapshot) {
    xml.nest("Default", |xml| {
        xml.nest("callManagerGroup", |xml| common::members(xml, settings));
        for model in snapshot.models.iter() {
            let Some(type_id) = model.type_id else {
                continue;
            };
            // A phone out of the box speaks SCCP if it can; the load is what tells it otherwise.
            let load = [Protocol::Sccp, Protocol::Sip]
                .into_iter()
                .find_map(|protocol| snapshot.loads.get(&(model.name.to_string(), protocol)));
            if let Some(load) = load {
                xml.text_with(
                    &format!("loadInformation{type_id}"),
                    &[("model", &format!("IP Phone {}", model.name))],
                    load,
                );
            }
        }
        xml.text("authenticationURL", &settings.authentication_url);
        xml.text("directoryURL", &settings.directory_url);
        xml.text("idleURL", &settings.idle_url);
        xml.text("informationURL", &settings.information_url);
        xml.text("messagesURL", &settings.messages_url);
        xml.text("servicesURL", &settings.services_url);
    });
}
