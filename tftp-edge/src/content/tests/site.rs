//! A root, an inventory, and the library over both, as the tests of this folder begin.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::alarms::Alarms;
use crate::content::{
    Catalog, Change, Library, Listener, Lookup, Query, Settings, Version, upstream,
};
use crate::inventory::{self, Device, ImportMode, Inventory, SqliteStore, Unchecked, parse_csv};
use crate::live::Live;
use crate::provisioning::Settings as Windows;

pub(super) fn query(name: &[u8]) -> Query<'_> {
    Query::new(name, Ipv4Addr::LOCALHOST.into())
}

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers what it hears.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) batches: Mutex<Vec<Vec<Change>>>,
    pub(super) settled: AtomicUsize,
}

impl Recorder {
    /// All changes since the last call, in order.
    pub(super) fn take(&self) -> Vec<Change> {
        self.batches.lock().drain(..).flatten().collect()
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.take()
            .iter()
            .map(|change| change.name.to_string())
            .collect()
    }

    pub(super) fn clear(&self) {
        self.take();
    }
}

impl Listener for Recorder {
    fn changed(&self, changes: &[Change]) {
        self.batches.lock().push(changes.to_vec());
    }

    fn settled(&self) {
        self.settled.fetch_add(1, Ordering::SeqCst);
    }
}

/// A root, an inventory that is written as another process would, and the library over both.
pub(super) struct Site {
    pub(super) folder: TempDir,
    pub(super) heard: Arc<Recorder>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) windows: Live<Windows>,
    pub(super) settings: Live<Settings>,
    pub(super) library: Option<Arc<Library>>,
}

impl Site {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self {
            folder,
            heard: Arc::default(),
            alarms: Arc::default(),
            windows: Live::default(),
            settings: Live::default(),
            library: None,
        }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// As careful tools do: nobody ever sees half a file.
    pub(super) fn replace(&self, name: &str, content: &[u8]) {
        let new = self.folder.path().join("new");
        fs::write(&new, content).unwrap();
        fs::rename(new, self.root().join(name)).unwrap();
    }

    pub(super) fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.folder.path().join("inventory.db")).unwrap()
    }

    pub(super) fn import(&self, devices: &[Device]) {
        self.store()
            .import(devices, ImportMode::Upsert, false)
            .unwrap();
    }

    pub(super) fn start(&mut self) -> &Library {
        self.start_with(Settings::default())
    }

    pub(super) fn start_with(&mut self, settings: Settings) -> &Library {
        self.start_telling(settings, self.heard.clone())
    }

    pub(super) fn start_telling(
        &mut self,
        settings: Settings,
        listener: Arc<dyn Listener>,
    ) -> &Library {
        let settings = Settings {
            root: self.root(),
            ..settings
        };
        let inventory = Inventory::open(&inventory::Settings {
            database: self.folder.path().join("inventory.db"),
            ..inventory::Settings::default()
        });
        self.settings.set(settings);
        let library = Library::start(
            self.settings.clone(),
            upstream::Settings::default(),
            inventory.unwrap(),
            self.windows.clone(),
            self.alarms.clone(),
            vec![listener],
        )
        .unwrap();
        self.library.insert(library)
    }

    pub(super) fn found(&self, name: &str) -> Arc<Version> {
        match self.lookup(name) {
            Lookup::Found(version) => version,
            other => panic!("{name}: {other:?}"),
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Lookup {
        self.library
            .as_ref()
            .unwrap()
            .lookup(query(name.as_bytes()))
    }

    /// Waits until the condition holds.
    pub(super) fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn until_found(&self, name: &str, content: &[u8]) {
        self.until(name, |site| match site.lookup(name) {
            Lookup::Found(version) => version.bytes == content,
            _ => false,
        });
    }
}

pub(super) fn devices(rows: &str) -> Vec<Device> {
    parse_csv(format!("name,model,protocol,lines,site,description\n{rows}").as_bytes()).unwrap()
}

/// `count` devices, by turns at two sites.
pub(super) fn many_devices(count: usize) -> Vec<Device> {
    let rows: String = (0..count)
        .map(|number| {
            let site = ["east", "west"][number % 2];
            format!("SEP{number:012X},8851,sip,{},{site},Desk\n", 1000 + number)
        })
        .collect();
    devices(&rows)
}

pub(super) fn set_site(site: &Site, name: &str, key: &str, value: &str) {
    let setting = (key.to_owned(), Some(value.to_owned()));
    site.store().set_site(name, &[setting]).unwrap();
}

pub(super) fn text(site: &Site, name: &str) -> String {
    String::from_utf8(site.found(name).bytes.to_vec()).unwrap()
}
