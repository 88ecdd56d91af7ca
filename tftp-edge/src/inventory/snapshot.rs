//! The inventory at one commit, in the shape configurations are rendered from.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::{
    Contents, DEFAULT_SITE, Device, DeviceName, Models, Objects, PhoneService, PhoneSettings,
    Protocol, SettingError, Site, Subnets,
};

/// Devices with the settings that apply to them. What is equal to that of the snapshot before is
/// shared with it: cheap to keep, and to compare.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub devices: BTreeMap<DeviceName, Arc<Device>>,
    pub loads: BTreeMap<(String, Protocol), String>,
    pub models: Arc<Models>,
    pub objects: Arc<Objects>,
    /// See [`Contents::windows`].
    pub windows: BTreeMap<DeviceName, u64>,
    sites: BTreeMap<String, Result<Arc<Site>, Fault>>,
    default_site: Result<Arc<Site>, Fault>,
    subnets: Arc<Subnets>,
    /// What each profile sets.
    profiles: BTreeMap<String, BTreeMap<String, String>>,
    /// The layers of each site and profile that a device has, joined once.
    joined: HashMap<Layers, Result<Arc<Settings>, Fault>>,
}

type Layers = (String, Option<String>);

/// All layers joined, and what they name looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub phone: PhoneSettings,
    /// In the order of [`PhoneSettings::services`].
    pub services: Vec<(String, PhoneService)>,
}

/// Why a device has no settings. The command line refuses such changes; a database written by
/// hand, or by a newer version, may hold them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("site {site:?}: {source}")]
    Site { site: String, source: SettingError },
    #[error("profile {profile:?}: {source}")]
    Profile {
        profile: String,
        source: SettingError,
    },
    #[error("its own settings: {0}")]
    Device(SettingError),
    #[error("there is no {kind} {name:?}")]
    NotThere { kind: &'static str, name: String },
}

/// The value before if it is the same.
fn shared<T: PartialEq>(value: T, before: Option<&Arc<T>>) -> Arc<T> {
    match before {
        Some(before) if **before == value => before.clone(),
        _ => Arc::new(value),
    }
}

impl Snapshot {
    /// Lays the settings of each site over those of the site `default`, and those over `defaults`.
    /// Networks are each site's own.
    #[cfg(test)]
    pub(crate) fn new(contents: Contents, defaults: &Site) -> Self {
        Self::following(None, contents, defaults)
    }

    /// The same, after another one.
    pub fn following(before: Option<&Self>, contents: Contents, defaults: &Site) -> Self {
        let overlaid = |mut site: Site, name: &str| {
            for (key, value) in contents.sites.get(name).into_iter().flatten() {
                site.set(key, value).map_err(|source| Fault::Site {
                    site: name.into(),
                    source,
                })?;
            }
            Ok(Arc::new(site))
        };
        let default_site = overlaid(defaults.clone(), DEFAULT_SITE);
        let sites: BTreeMap<_, _> = contents
            .sites
            .keys()
            .filter(|name| *name != DEFAULT_SITE)
            .map(|name| {
                let site = default_site.clone().and_then(|base| {
                    // An address is in one place: networks are not handed down.
                    let subnets = Vec::new();
                    overlaid(
                        Site {
                            subnets,
                            ..Site::clone(&base)
                        },
                        name,
                    )
                });
                (name.clone(), site)
            })
            .collect();
        let mut snapshot = Self {
            devices: BTreeMap::new(),
            loads: contents.loads,
            models: shared(
                Models::new(contents.models.into_values()),
                before.map(|before| &before.models),
            ),
            objects: shared(contents.objects, before.map(|before| &before.objects)),
            windows: contents.windows,
            subnets: Arc::new(Subnets::new(&sites)),
            sites,
            default_site,
            profiles: contents.profiles,
            joined: HashMap::new(),
        };
        for device in contents.devices {
            let layers = (device.site.clone(), device.profile.clone());
            if !snapshot.joined.contains_key(&layers) {
                let before = before.and_then(|before| before.joined.get(&layers));
                let joined = match (snapshot.join(&layers), before) {
                    (Ok(joined), Some(Ok(before))) if joined == *before => Ok(before.clone()),
                    (joined, _) => joined,
                };
                snapshot.joined.insert(layers, joined);
            }
            let before = before.and_then(|before| before.devices.get(&device.name));
            snapshot.devices.insert(device.name, shared(device, before));
        }
        snapshot
    }

    /// The site of that name; `default` if there is none.
    pub fn site(&self, name: &str) -> Result<&Arc<Site>, &Fault> {
        self.sites.get(name).unwrap_or(&self.default_site).as_ref()
    }

    pub fn default_site(&self) -> Result<&Arc<Site>, &Fault> {
        self.default_site.as_ref()
    }

    /// The names of the sites that set something, `default` left out.
    pub fn site_names(&self) -> impl Iterator<Item = &str> {
        self.sites.keys().map(String::as_str)
    }

    /// The site with the longest prefix that holds an address; `default` if none does.
    pub fn site_at(&self, address: IpAddr) -> &str {
        self.subnets.site_at(address)
    }

    /// Where the sites are.
    pub fn subnets(&self) -> &Arc<Subnets> {
        &self.subnets
    }

    /// Everything that goes into the configuration of a device but the device itself.
    pub fn settings(&self, device: &Device) -> Result<Arc<Settings>, Fault> {
        let layers = (device.site.clone(), device.profile.clone());
        let joined = match self.joined.get(&layers) {
            Some(joined) => joined.clone()?,
            None => self.join(&layers)?,
        };
        if device.settings.is_empty() {
            return Ok(joined);
        }
        let mut phone = joined.phone.clone();
        for (key, value) in &device.settings {
            phone.set(key, value).map_err(Fault::Device)?;
        }
        self.look_up(phone)
    }

    /// What holds for a phone of a site that is not in the inventory.
    pub fn site_settings(&self, site: &str) -> Result<Arc<Settings>, Fault> {
        self.join(&(site.to_owned(), None))
    }

    fn join(&self, (site, profile): &Layers) -> Result<Arc<Settings>, Fault> {
        let mut phone = self.site(site).map_err(Clone::clone)?.phone.clone();
        if let Some(profile) = profile {
            let settings = self.profiles.get(profile).ok_or_else(|| Fault::NotThere {
                kind: "profile",
                name: profile.clone(),
            })?;
            for (key, value) in settings {
                phone.set(key, value).map_err(|source| Fault::Profile {
                    profile: profile.clone(),
                    source,
                })?;
            }
        }
        self.look_up(phone)
    }

    fn look_up(&self, mut phone: PhoneSettings) -> Result<Arc<Settings>, Fault> {
        let objects = &self.objects;
        let not_there = |kind, name: &str| Fault::NotThere {
            kind,
            name: name.to_owned(),
        };
        if !phone.server_group.is_empty() {
            phone.servers = objects
                .server_groups
                .get(&phone.server_group)
                .ok_or_else(|| not_there("server group", &phone.server_group))?
                .clone();
        }
        let service = |name: &String| match objects.services.get(name) {
            Some(service) => Ok((name.clone(), service.clone())),
            None => Err(not_there("phone service", name)),
        };
        let services = phone.services.iter().map(service);
        Ok(Arc::new(Settings {
            services: services.collect::<Result<_, _>>()?,
            phone,
        }))
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

#[cfg(test)]
mod tests {
    use super::super::parse_csv;
    use super::*;

    #[test]
    fn networks_of_the_default_site_are_no_other_sites() {
        let contents = Contents {
            sites: [
                (
                    "default".into(),
                    [("subnets".into(), "10.0.0.0/8".into())].into(),
                ),
                ("hq".into(), [("voicemail".into(), "8500".into())].into()),
            ]
            .into(),
            ..Contents::default()
        };
        let snapshot = Snapshot::new(contents, &Site::default());
        assert_eq!(snapshot.site_at([10, 1, 2, 3].into()), DEFAULT_SITE);
        assert!(snapshot.site("hq").unwrap().subnets.is_empty());
        assert_eq!(snapshot.default_site().unwrap().subnets.len(), 1);
    }

    #[test]
    fn what_did_not_change_is_shared_with_the_snapshot_before() {
        let file = "name,model,protocol,lines,site\n\
                    SEP000000000001,8851,sip,1001,hq\n\
                    SEP000000000002,8851,sip,1002,west\n";
        let contents = |ntp: &str, number: &str| Contents {
            devices: parse_csv(file.replace("1001", number).as_bytes()).unwrap(),
            sites: [("hq".into(), [("ntp".into(), ntp.into())].into())].into(),
            ..Contents::default()
        };
        let site = Site::default();
        let before = Snapshot::new(contents("10.0.0.1", "1001"), &site);
        let after = Snapshot::following(Some(&before), contents("10.0.0.2", "1003"), &site);
        let same: Vec<_> = before
            .devices
            .values()
            .zip(after.devices.values())
            .map(|(before_it, after_it)| {
                let settings = |snapshot: &Snapshot| snapshot.settings(before_it).unwrap();
                (
                    Arc::ptr_eq(before_it, after_it),
                    Arc::ptr_eq(&settings(&before), &settings(&after)),
                )
            })
            .collect();
        assert_eq!(same, [(false, false), (true, true)]);
        assert!(Arc::ptr_eq(&before.models, &after.models));
        assert!(Arc::ptr_eq(&before.objects, &after.objects));
    }
}
