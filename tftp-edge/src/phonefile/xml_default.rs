//! `XMLDefault.cnf.xml`: where a phone registers that has no configuration of its own, and what it
//! is to run. `ATADefault.cnf.xml` is the same for terminal adapters.

use super::common;
use super::xml::Xml;
use crate::inventory::{Model, ModelKind, PhoneSettings, Protocol, Snapshot};

pub(super) fn write(xml: &mut Xml<'_>, settings: &PhoneSettings, snapshot: &Snapshot) {
    xml.nest("Default", |xml| {
        xml.nest("callManagerGroup", |xml| common::members(xml, settings));
        loads(xml, snapshot, |_| true);
        xml.text("authenticationURL", &settings.authentication_url);
        xml.text("directoryURL", &settings.directory_url);
        xml.text("idleURL", &settings.idle_url);
        xml.text("informationURL", &settings.information_url);
        xml.text("messagesURL", &settings.messages_url);
        xml.text("servicesURL", &settings.services_url);
    });
}

/// An adapter has no keys to open URLs with.
pub(super) fn write_for_adapters(xml: &mut Xml<'_>, settings: &PhoneSettings, snapshot: &Snapshot) {
    xml.nest("Default", |xml| {
        xml.nest("callManagerGroup", |xml| common::members(xml, settings));
        loads(xml, snapshot, |model| model.kind == ModelKind::Ata);
    });
}

/// Every model with a firmware and a type id.
fn loads(xml: &mut Xml<'_>, snapshot: &Snapshot, is_meant: impl Fn(&Model) -> bool) {
    for model in snapshot.models.iter().filter(|model| is_meant(model)) {
        let Some(type_id) = model.type_id else {
            continue;
        };
        // A phone out of the box speaks SCCP if it can; the load is what tells it otherwise.
        let load = [Protocol::Sccp, Protocol::Sip]
            .into_iter()
            .find_map(|protocol| snapshot.loads.get(&(model.name.to_string(), protocol)));
        if let Some(load) = load {
            let title = match model.kind {
                ModelKind::Phone => format!("IP Phone {}", model.name),
                ModelKind::Module | ModelKind::Ata | ModelKind::SoftPhone => model.name.to_string(),
            };
            xml.text_with(
                &format!("loadInformation{type_id}"),
                &[("model", &title)],
                load,
            );
        }
    }
}
