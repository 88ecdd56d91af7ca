//! The inventory at one commit, in the shape configurations are rendered from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Contents, DEFAULT_SITE, Device, DeviceName, Protocol, Site, StoreError};

/// Devices with the settings that apply to them. Parts that are equal to those of an earlier
/// snapshot are equal by value; cheap to keep and to compare.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub devices: BTreeMap<DeviceName, Arc<Device>>,
    sites: HashMap<String, Arc<Site>>,
    default_site: Arc<Site>,
    pub loads: BTreeMap<(String, Protocol), String>,
}

impl Snapshot {
    /// Lays the settings of each site over those of the site `default`, and those over `defaults`.
    pub(crate) fn new(contents: Contents, defaults: &Site) -> Result<Self, StoreError> {
        let overlaid = |base: &Site, name: &str| {
            let mut site = base.clone();
            for (key, value) in contents.sites.get(name).into_iter().flatten() {
                site.set(key, value).map_err(|source| StoreError::Site {
                    site: name.into(),
                    source,
                })?;
            }
            Ok::<_, StoreError>(Arc::new(site))
        };
        let default_site = overlaid(defaults, DEFAULT_SITE)?;
        let sites = contents
            .sites
            .keys()
            .filter(|name| *name != DEFAULT_SITE)
            .map(|name| Ok((name.clone(), overlaid(&default_site, name)?)))
            .collect::<Result<_, StoreError>>()?;
        Ok(Self {
            devices: contents
                .devices
                .into_iter()
                .map(|device| (device.name, Arc::new(device)))
                .collect(),
            sites,
            default_site,
            loads: contents.loads,
        })
    }

    /// The settings of a site; those of `default` if it sets nothing of its own.
    pub fn site(&self, name: &str) -> &Arc<Site> {
        self.sites.get(name).unwrap_or(&self.default_site)
    }

    pub fn default_site(&self) -> &Arc<Site> {
        &self.default_site
    }

    /// The names of the sites that set something, `default` left out.
    pub fn site_names(&self) -> impl Iterator<Item = &str> {
        self.sites.keys().map(String::as_str)
    }

    /// The firmware a device is to run, if the operator named one.
    pub fn load<'a>(&'a self, device: &'a Device) -> Option<&'a str> {
        let of_model = || {
            // The map is small; a borrowed key of a pair would need a type of its own.
            self.loads
                .get(&(device.model.clone(), device.protocol))
                .map(String::as_str)
        };
        device.load.as_deref().or_else(of_model)
    }
}
