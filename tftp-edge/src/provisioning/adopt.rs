//! Taking unknown devices into the inventory, each with the next free number of its site.

use std::collections::HashSet;

use super::pool;
use crate::inventory::{
    Change, DEFAULT_SITE, Device, DeviceName, Fault, Inventory, Line, NumberPool, Origin, Protocol,
    Record, Snapshot, StoreError,
};

/// A device that is to be taken in. What is not given comes from its site, or from the model.
#[derive(Clone, Debug)]
pub struct Adoption {
    pub name: DeviceName,
    pub model: String,
    pub protocol: Option<Protocol>,
    pub site: String,
    pub profile: Option<String>,
    /// As [`Line::number`]; else the next free one of the site's pool.
    pub number: Option<String>,
}

/// Why a device is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    #[error("{0} is in the inventory already")]
    Known(DeviceName),
    #[error("{0:?} is no known model; `tftp-edge inventory model list` shows them")]
    UnknownModel(String),
    #[error("{name} is no name for a {model}; expected {expected}")]
    WrongName {
        name: DeviceName,
        model: String,
        expected: &'static str,
    },
    #[error("a {model} reads no {protocol} configuration")]
    WrongProtocol { model: String, protocol: Protocol },
    #[error("a {0} speaks sip and sccp; say which with --protocol")]
    WhichProtocol(String),
    #[error("there is no site {0:?}; `tftp-edge inventory site list` shows them")]
    NoSite(String),
    #[error(
        "site {0} has no numbers to give; name one with --number, or set \
         auto_registration_numbers of the site"
    )]
    NoPool(String),
    #[error(
        "all numbers of site {site} are in use ({pool}); widen auto_registration_numbers, or \
         remove devices that are gone"
    )]
    UsedUp { site: String, pool: NumberPool },
    #[error("{number} is a line of {device} already; choose another number")]
    InUse { number: String, device: DeviceName },
    #[error(transparent)]
    Settings(#[from] Fault),
}

/// Takes in devices in one transaction: two that do so at the same time never give out the same
/// number. What is wrong with one does not keep out the others. The windows of those taken in are
/// opened until `window`, in Unix seconds. The history says that `origin` did it.
pub fn adopt(
    inventory: &mut Inventory,
    adoptions: &[Adoption],
    window: Option<u64>,
    origin: &Origin,
) -> Result<Vec<Result<Device, AdoptError>>, StoreError> {
    let mut adopted = Vec::new();
    inventory.edit(origin, &mut |snapshot| {
        adopted = take_in(snapshot, adoptions);
        let devices = adopted.iter().flatten().cloned();
        let added = devices.map(|device| Change::Added(Record::Device(device.into())));
        added.collect()
    })?;
    if window.is_some() {
        let names: Vec<_> = adopted.iter().flatten().map(|device| device.name).collect();
        inventory.store().set_windows(&names, window)?;
    }
    Ok(adopted)
}

fn take_in(snapshot: &Snapshot, adoptions: &[Adoption]) -> Vec<Result<Device, AdoptError>> {
    let mut used = pool::numbers_in_use(snapshot);
    let mut taken = HashSet::new();
    let mut take_in_one = |adoption: &Adoption| {
        if snapshot.devices.contains_key(&adoption.name) || !taken.insert(adoption.name) {
            return Err(AdoptError::Known(adoption.name));
        }
        let device = new_device(snapshot, adoption, &used)?;
        used.extend(device.lines.iter().map(|line| line.number.clone()));
        Ok(device)
    };
    adoptions.iter().map(&mut take_in_one).collect()
}

fn new_device(
    snapshot: &Snapshot,
    adoption: &Adoption,
    used: &HashSet<String>,
) -> Result<Device, AdoptError> {
    let Some(model) = snapshot.models.find(&adoption.model) else {
        return Err(AdoptError::UnknownModel(adoption.model.clone()));
    };
    let name = || model.name.to_string();
    let protocol = match adoption.protocol {
        Some(protocol) if !model.speaks(protocol) => {
            return Err(AdoptError::WrongProtocol {
                model: name(),
                protocol,
            });
        }
        Some(protocol) => protocol,
        None if model.sip && model.sccp => return Err(AdoptError::WhichProtocol(name())),
        None if model.sip => Protocol::Sip,
        None => Protocol::Sccp,
    };
    model
        .check_name(adoption.name.kind(), protocol)
        .map_err(|expected| AdoptError::WrongName {
            name: adoption.name,
            model: name(),
            expected,
        })?;
    let site_name = &adoption.site;
    if site_name != DEFAULT_SITE && !snapshot.site_names().any(|known| known == site_name) {
        return Err(AdoptError::NoSite(site_name.clone()));
    }
    let site = snapshot.site(site_name).map_err(Clone::clone)?;
    let auto = &site.auto_registration;
    let of_site = Some(&auto.profile).filter(|profile| !profile.is_empty());
    let number = match &adoption.number {
        Some(number) => {
            let has_it = |device: &&Device| device.lines.iter().any(|line| line.number == *number);
            let mut devices = snapshot.devices.values().map(AsRef::as_ref);
            match devices.find(has_it) {
                Some(Device { name, .. }) => {
                    return Err(AdoptError::InUse {
                        number: number.clone(),
                        device: *name,
                    });
                }
                None => number.clone(),
            }
        }
        None => {
            let pool = auto.numbers;
            let pool = pool.ok_or_else(|| AdoptError::NoPool(site_name.clone()))?;
            pool::next_free(pool, used).ok_or_else(|| AdoptError::UsedUp {
                site: site_name.clone(),
                pool,
            })?
        }
    };
    let mut device = Device::new(adoption.name, name(), protocol);
    device.site.clone_from(site_name);
    device.profile = adoption.profile.as_ref().or(of_site).cloned();
    device.lines.push(Line {
        number,
        ..Line::default()
    });
    // A profile that is not there, or does not fit.
    snapshot.settings(&device)?;
    Ok(device)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::thread;

    use super::{adopt as adopt_as, *};
    use crate::inventory::{ImportMode, Settings, Unchecked, parse_csv};

    fn open(folder: &Path) -> Inventory {
        let settings = Settings {
            database: folder.join("inventory.db"),
            ..Settings::default()
        };
        Inventory::open(&settings).unwrap()
    }

    fn set(inventory: &mut Inventory, site: &str, key: &str, value: &str) {
        let setting = (key.to_owned(), Some(value.to_owned()));
        inventory.store().set_site(site, &[setting]).unwrap();
    }

    fn adopt(
        inventory: &mut Inventory,
        adoptions: &[Adoption],
        window: Option<u64>,
    ) -> Result<Vec<Result<Device, AdoptError>>, StoreError> {
        adopt_as(inventory, adoptions, window, &Origin::of_process("test"))
    }

    fn adoption(number: u32) -> Adoption {
        Adoption {
            name: format!("SEP{number:012X}").parse().unwrap(),
            model: "7841".into(),
            protocol: None,
            site: "berlin".into(),
            profile: None,
            number: None,
        }
    }

    /// Berlin gives 5000 to 5002, of which a device has 5001.
    fn berlin(folder: &Path) -> Inventory {
        let mut inventory = open(folder);
        set(
            &mut inventory,
            "berlin",
            "auto_registration_numbers",
            "5000-5002",
        );
        let known = "name,model,protocol,lines\nSEP0000000000FF,7841,sip,1;5001\n";
        let known = parse_csv(known.as_bytes()).unwrap();
        let store = inventory.store();
        store.import(&known, ImportMode::Upsert, false).unwrap();
        inventory
    }

    fn numbers(adopted: &[Result<Device, AdoptError>]) -> Vec<Option<&str>> {
        adopted
            .iter()
            .map(|device| {
                device
                    .as_ref()
                    .ok()
                    .map(|device| device.lines[0].number.as_str())
            })
            .collect()
    }

    #[test]
    fn each_gets_the_next_number_of_its_site_that_no_line_has() {
        let folder = tempfile::tempdir().unwrap();
        let mut inventory = berlin(folder.path());
        let adoptions = [adoption(1), adoption(2), adoption(3)];
        let adopted = adopt(&mut inventory, &adoptions, Some(900)).unwrap();
        assert_eq!(numbers(&adopted), [Some("5000"), Some("5002"), None]);
        let error = adopted[2].as_ref().unwrap_err();
        assert!(matches!(error, AdoptError::UsedUp { .. }), "{error}");

        let snapshot = inventory.snapshot().unwrap();
        let device = &snapshot.devices[&adoptions[0].name];
        assert_eq!((&*device.model, &*device.site), ("7841", "berlin"));
        assert_eq!(device.protocol, Protocol::Sip);
        let windows = [(adoptions[0].name, 900), (adoptions[1].name, 900)];
        assert_eq!(snapshot.windows, windows.into());
    }

    #[test]
    fn a_number_that_was_given_back_is_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut inventory = berlin(folder.path());
        adopt(&mut inventory, &[adoption(1)], None).unwrap();
        inventory.store().remove(&[adoption(1).name]).unwrap();
        let adopted = adopt(&mut inventory, &[adoption(2)], None).unwrap();
        assert_eq!(numbers(&adopted), [Some("5000")]);
        assert!(inventory.snapshot().unwrap().windows.is_empty());
    }

    #[test]
    fn many_at_the_same_time_never_get_the_same_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut inventory = open(folder.path());
        set(
            &mut inventory,
            "berlin",
            "auto_registration_numbers",
            "100-139",
        );
        let adopt_ten = |first: u32| {
            let mut inventory = open(folder.path());
            for number in first..first + 10 {
                let adopted = adopt(&mut inventory, &[adoption(number)], None).unwrap();
                assert!(adopted[0].is_ok(), "{adopted:?}");
            }
        };
        thread::scope(|scope| {
            for first in [0, 10, 20, 30] {
                scope.spawn(move || adopt_ten(first));
            }
        });
        let snapshot = inventory.snapshot().unwrap();
        assert_eq!(pool::numbers_in_use(&snapshot).len(), 40);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut inventory = berlin(folder.path());
        let refuse = |inventory: &mut Inventory, change: &dyn Fn(&mut Adoption)| {
            let mut adoption = adoption(1);
            change(&mut adoption);
            let adopted = adopt(inventory, &[adoption], Some(900)).unwrap();
            adopted[0].as_ref().unwrap_err().to_string()
        };
        for (change, expected) in [
            (
                &(|it: &mut Adoption| it.model = "7999".into()) as &dyn Fn(&mut Adoption),
                "no known model",
            ),
            (
                &|it: &mut Adoption| it.model = "7961".into(),
                "speaks sip and sccp",
            ),
            (
                &|it: &mut Adoption| it.protocol = Some(Protocol::Sccp),
                "reads no sccp configuration",
            ),
            (
                &|it: &mut Adoption| it.model = "7916-24".into(),
                "speaks sip and sccp",
            ),
            (
                &|it: &mut Adoption| it.name = "SIP000000000001".parse().unwrap(),
                "expected SEP and its MAC",
            ),
            (
                &|it: &mut Adoption| it.name = "SEP0000000000FF".parse().unwrap(),
                "in the inventory already",
            ),
            (
                &|it: &mut Adoption| it.site = "munich".into(),
                "no site \"munich\"",
            ),
            (
                &|it: &mut Adoption| it.site = "default".into(),
                "no numbers to give",
            ),
            (
                &|it: &mut Adoption| it.number = Some("5001".into()),
                "a line of SEP0000000000FF already",
            ),
            (
                &|it: &mut Adoption| it.profile = Some("lobby".into()),
                "no profile \"lobby\"",
            ),
        ] {
            let error = refuse(&mut inventory, change);
            assert!(error.contains(expected), "{error}");
        }
        let snapshot = inventory.snapshot().unwrap();
        assert_eq!((snapshot.devices.len(), snapshot.windows.len()), (1, 0));
    }

    #[test]
    fn the_profile_and_the_number_can_be_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let mut inventory = berlin(folder.path());
        let lobby = Record::Profile("lobby".into(), Default::default());
        let mut lobby = Some(lobby);
        inventory
            .edit(&Origin::of_process("test"), &mut |_| {
                lobby.take().map(Change::Added).into_iter().collect()
            })
            .unwrap();
        set(
            &mut inventory,
            "berlin",
            "auto_registration_profile",
            "lobby",
        );
        let mut chosen = adoption(1);
        chosen.number = Some("8000".into());
        let adopted = adopt(&mut inventory, &[chosen], None).unwrap();
        let device = adopted[0].as_ref().unwrap();
        assert_eq!(device.profile.as_deref(), Some("lobby"));
        assert_eq!(numbers(&adopted), [Some("8000")]);
    }
}
