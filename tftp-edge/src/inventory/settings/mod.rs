//! What phones have in common, and the one way to write it: `key=value`, the same on the command
//! line, in the database and in the configuration file.
//!
//! Settings lie in layers: the configuration file, the site `default`, the device's site, its
//! profile, the device itself. Each layer sets what it wants and leaves the rest to those below.

mod elements;
mod keys;
mod pairs;
mod phone;
mod secrets;
mod security;
mod server;
mod set;
mod site;
mod table;
#[cfg(test)]
mod tests;
mod values;

pub use elements::{
    Element, Section, VENDOR_ELEMENTS, Value, VendorElement, element_help, xml_elements,
};
pub use keys::KEYS;
pub use phone::{Locale, PhoneSettings, Transport};
pub use secrets::is_secret;
pub(super) use secrets::{shown, without_secrets};
pub use security::{CapfAuth, HostPort, Vpn, VpnAuth};
pub use server::Server;
pub use set::SettingError;
pub use site::{AutoRegistration, NumberPool, SITE_KEYS, Site};

/// The site of devices that name none; also where `XMLDefault.cnf.xml` takes its settings from.
pub const DEFAULT_SITE: &str = "default";

/// How many call managers a configuration can name.
const MAX_SERVERS: usize = 5;

/// The port of the trust verification service, and of the CA's proxy function.
const TVS_PORT: u16 = 2445;
const CAPF_PORT: u16 = 3804;

/// Longest host name, NTP server or time zone that phones take, in characters.
pub(super) const MAX_NAME: usize = 50;

/// Longest URL that phones take, in characters.
const MAX_URL: usize = 255;
