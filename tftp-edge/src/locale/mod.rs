//! Locales: whether the language and country packs that configurations name are here.
//!
//! A phone whose configuration names a user locale asks for the words of its menus in that folder,
//! a JAR file whose name is another for each family of phones and for each protocol; and for the
//! tones of its country in the folder of the network locale. Without them it shows
//! "Error update locale", keeps what it has, and registers all the same: worth an alarm, no more.
//!
//! Sources: the pages on user and network locales at usecallmanager.nz; the file trees of real
//! sites for phones that read dictionaries instead of a JAR file.

mod files;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::content::Survey;
use crate::firmware::{Elsewhere, counted};
use crate::inventory::{DeviceName, Protocol, Snapshot};

/// A file of a pack that phones will ask for in vain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocaleFault {
    /// The file, or its whole folder.
    pub file: String,
    pub problem: String,
    pub devices: usize,
    /// One of them.
    pub example: String,
}

impl LocaleFault {
    /// What an alarm says of it: what is wrong, for whom, and what it means.
    pub fn alarm(&self) -> String {
        let who = match self.devices {
            1 => self.example.clone(),
            many => format!("{many} devices, such as {}", self.example),
        };
        format!("{}; asked for by {who}", self.problem)
    }
}

/// Which files of packs devices ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locales {
    /// By path beneath the root, as the configurations spell it.
    files: BTreeMap<String, Wanted>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    folder: String,
    kind: Kind,
    devices: usize,
    example: DeviceName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Network,
}

impl Kind {
    const fn advice(self) -> &'static str {
        match self {
            Self::User => "the phones keep the language they have; unpack the user locale there",
            Self::Network => "the phones keep the tones they have; unpack the network locale there",
        }
    }
}

impl Locales {
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut locales = Self::default();
        // Most devices are like another one.
        let mut alike: HashMap<(String, String, &str, Protocol), (usize, DeviceName)> =
            HashMap::new();
        for device in snapshot.devices.values() {
            // Why a device has no settings is told where its file cannot be generated.
            let Ok(settings) = snapshot.settings(device) else {
                continue;
            };
            let phone = &settings.phone;
            let key = (
                phone.user_locale.name.clone(),
                phone.network_locale.name.clone(),
                device.model.as_str(),
                device.protocol,
            );
            alike.entry(key).or_insert((0, device.name)).0 += 1;
        }
        for ((user, network, model, protocol), (devices, example)) in alike {
            let model = snapshot.models.find(model).map_or(model, |it| &it.name);
            let user_files = files::of_user(model, protocol);
            let network_files = files::of_network(model, protocol);
            for file in user_files {
                locales.want(Kind::User, &user, &file, devices, example);
            }
            for file in network_files {
                locales.want(Kind::Network, &network, file, devices, example);
            }
        }
        locales
    }

    fn want(&mut self, kind: Kind, folder: &str, file: &str, devices: usize, example: DeviceName) {
        if folder.is_empty() {
            return;
        }
        let wanted = self
            .files
            .entry(format!("{folder}/{file}"))
            .or_insert_with(|| Wanted {
                folder: folder.to_owned(),
                kind,
                devices: 0,
                example,
            });
        wanted.devices += devices;
        wanted.example = wanted.example.min(example);
    }

    /// Files that are asked for.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What is not here: a folder of which nothing is here is told once.
    pub fn faults(&self, survey: &Survey, elsewhere: &Elsewhere) -> Vec<LocaleFault> {
        let mut faults: BTreeMap<String, (LocaleFault, usize)> = BTreeMap::new();
        for (path, wanted) in &self.files {
            if survey.get(path).is_some() || elsewhere(path) {
                continue;
            }
            let folder = format!("{}/", wanted.folder.to_ascii_lowercase());
            let has_folder = survey.files().any(|(name, _)| name.starts_with(&folder));
            let file = match has_folder {
                true => path,
                false => &wanted.folder,
            };
            let fault = LocaleFault {
                file: file.clone(),
                problem: String::new(),
                devices: 0,
                example: wanted.example.to_string(),
            };
            let (fault, files) = faults.entry(file.clone()).or_insert((fault, 0));
            *files += 1;
            // Devices of one folder are counted by the file that most of them want.
            if wanted.devices > fault.devices {
                fault.devices = wanted.devices;
                fault.example = wanted.example.to_string();
            }
            let root = survey.root().display();
            let advice = wanted.kind.advice();
            fault.problem = match has_folder {
                true => format!("{path} is not in {root}: {advice}"),
                false => format!(
                    "there is no folder {} in {root} with the {} asked for: {advice}",
                    wanted.folder,
                    counted(*files, "file")
                ),
            };
        }
        faults.into_values().map(|(fault, _)| fault).collect()
    }
}

#[cfg(test)]
mod tests;
