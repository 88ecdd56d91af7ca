//! The files a call manager would generate for its phones, written from the inventory.
//!
//! There is no schema for them; order and names follow the samples that phones are known to take.
//! The same input gives the same bytes: a phone that finds its file unchanged does not restart.

pub mod command;
mod common;
mod dial_rules;
mod feature_policy;
mod legacy_clock;
mod legacy_sip;
mod lists;
mod phone;
mod remote;
mod sep_sccp;
mod sep_sip;
mod services;
mod shared;
mod sip_lines;
mod soft_keys;
mod templates;
mod xml;
mod xml_default;

use crate::inventory::{Device, Fault, NameKind, Protocol, Snapshot};
pub use dial_rules::{MAX_DIAL_PLAN_BYTES, dial_plan_problem};
pub use lists::{
    MAX_ENTRIES, MAX_RING_NAME, Ring, RingFormat, Wallpaper, distinctive_ring_list, ring_list,
    wallpaper_list,
};
use phone::{Files, LookedUp, Phone};
pub use shared::SharedFile;
pub use templates::{TemplateError, Templates};
use xml::Xml;

/// The file of phones that are not in the inventory, as they spell it.
pub const XML_DEFAULT: &str = "XMLDefault.cnf.xml";

/// Why a file cannot be generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    Settings(#[from] Fault),
    #[error("there is no {kind} {name:?}")]
    NotThere { kind: &'static str, name: String },
    #[error("{0}")]
    DialPlan(String),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Renders files one after the other into the same buffer.
#[derive(Default)]
pub struct Renderer {
    buffer: Vec<u8>,
}

impl Renderer {
    /// The configuration of a device: `SEP<MAC>.cnf.xml`, `ATA<MAC>.cnf.xml`, `SIP<MAC>.cnf`, or
    /// that of a soft phone by its name.
    pub fn device(&mut self, device: &Device, snapshot: &Snapshot) -> Result<&[u8], RenderError> {
        let settings = snapshot.settings(device)?;
        let looked_up = LookedUp::new(device, &settings, snapshot)?;
        let phone = looked_up.phone();
        if device.name.kind() == NameKind::Sip {
            legacy_sip::device_file(&mut self.buffer, phone);
            return Ok(&self.buffer);
        }
        let mut xml = Xml::with_set(&mut self.buffer, &phone.settings.elements);
        match device.protocol {
            Protocol::Sip => sep_sip::write(&mut xml, phone),
            Protocol::Sccp => sep_sccp::write(&mut xml, phone),
        }
        xml.finish();
        Ok(&self.buffer)
    }

    /// `XMLDefault.cnf.xml` for phones of a site that are not in the inventory.
    pub fn xml_default(&mut self, site: &str, snapshot: &Snapshot) -> Result<&[u8], RenderError> {
        let site = snapshot.site_settings(site)?;
        let mut xml = Xml::new(&mut self.buffer);
        xml_default::write(&mut xml, &site.phone, snapshot);
        xml.finish();
        Ok(&self.buffer)
    }

    /// A file that many phones read.
    pub fn shared(&mut self, file: &SharedFile, snapshot: &Snapshot) -> Result<&[u8], RenderError> {
        file.write(self, snapshot)?;
        Ok(&self.buffer)
    }
}

#[cfg(test)]
mod tests;
