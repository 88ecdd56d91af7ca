//! The files a call manager would generate for its phones, written from the inventory.
//!
//! There is no schema for them; order and names follow the samples that phones are known to take.
//! The same input gives the same bytes: a phone that finds its file unchanged does not restart.

mod common;
mod lists;
mod sep_sccp;
mod sep_sip;
mod xml;
mod xml_default;

use crate::inventory::{Device, Fault, Model, PhoneSettings, Protocol, Snapshot};
pub use lists::{
    MAX_ENTRIES, MAX_RING_NAME, Ring, RingFormat, Wallpaper, distinctive_ring_list, ring_list,
    wallpaper_list,
};
use xml::Xml;

/// The file of phones that are not in the inventory, as they spell it.
pub const XML_DEFAULT: &str = "XMLDefault.cnf.xml";

/// What goes into the configuration of one phone.
#[derive(Clone, Copy)]
struct Phone<'a> {
    device: &'a Device,
    /// None if the database names a model that this version does not know.
    model: Option<&'a Model>,
    settings: &'a PhoneSettings,
    load: Option<&'a str>,
}

/// Why a file cannot be generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    Settings(#[from] Fault),
}

/// Renders files one after the other into the same buffer.
#[derive(Default)]
pub struct Renderer {
    buffer: Vec<u8>,
}

impl Renderer {
    /// `SEP<MAC>.cnf.xml`.
    pub fn device(&mut self, device: &Device, snapshot: &Snapshot) -> Result<&[u8], RenderError> {
        let settings = snapshot.settings(device)?;
        let phone = Phone {
            device,
            model: snapshot.models.find(&device.model),
            settings: &settings.phone,
            load: snapshot.load(device),
        };
        let mut xml = Xml::new(&mut self.buffer);
        match device.protocol {
            Protocol::Sip => sep_sip::write(&mut xml, phone),
            Protocol::Sccp => sep_sccp::write(&mut xml, phone),
        }
        xml.finish();
        Ok(&self.buffer)
    }

    /// `XMLDefault.cnf.xml` of a site.
    pub fn xml_default(&mut self, site: &str, snapshot: &Snapshot) -> Result<&[u8], RenderError> {
        let site = snapshot.site(site).map_err(Clone::clone)?;
        let mut xml = Xml::new(&mut self.buffer);
        xml_default::write(&mut xml, &site.phone, snapshot);
        xml.finish();
        Ok(&self.buffer)
    }
}

#[cfg(test)]
mod tests;
