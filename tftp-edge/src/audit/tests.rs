use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::alarms::{Alarm, AlarmKind, Alarms};
use crate::content::{Library, Listener, Settings};
use crate::inventory::{self, Device, ImportMode, Inventory, Protocol, SqliteStore, Unchecked};
use crate::provisioning;

const PATIENCE: Duration = Duration::from_secs(20);

const LOAD: &str = "SCCP41.9-4-2SR3-1S";

/// A root, an inventory that is written as another process would, and the daemon's parts that
/// look after both.
struct Site {
    folder: TempDir,
    alarms: Arc<Alarms>,
    running: Option<(Arc<Library>, Arc<Auditor>)>,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self {
            folder,
            alarms: Arc::default(),
            running: None,
        }
    }

    fn start(&mut self) {
        self.start_with(&upstream::Settings::default());
    }

    fn start_with(&mut self, upstream: &upstream::Settings) {
        let alarms = Arc::clone(&self.alarms);
        let auditor = Arc::new(Auditor::start(alarms, elsewhere(upstream)).unwrap());
        let inventory = Inventory::open(&inventory::Settings {
            database: self.folder.path().join("inventory.db"),
            ..inventory::Settings::default()
        });
        let settings = Settings {
            root: self.folder.path().join("root"),
            ..Settings::default()
        };
        let listeners = vec![Arc::clone(&auditor) as Arc<dyn Listener>];
        let alarms = Arc::clone(&self.alarms);
        let library = Library::start(
            &settings,
            upstream,
            inventory.unwrap(),
            provisioning::Settings::default(),
            alarms,
            listeners,
        )
        .unwrap();
        self.running = Some((library, auditor));
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.folder.path().join("inventory.db")).unwrap()
    }

    fn import(&self, numbers: std::ops::Range<u32>) {
        let device = |number| {
            let name = format!("SEP{number:012X}").parse().unwrap();
            Device::new(name, "7941", Protocol::Sccp)
        };
        let devices: Vec<_> = numbers.map(device).collect();
        self.store()
            .import(&devices, ImportMode::Upsert, false)
            .unwrap();
    }

    fn name_load(&self, load: Option<&str>) {
        self.store().set_load("7941", Protocol::Sccp, load).unwrap();
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.folder.path().join("root").join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, content).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join("root").join(name)).unwrap();
    }

    fn until(&self, what: &str, is_so: impl Fn(&[Alarm]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.alarms.list()) {
            assert!(
                Instant::now() < deadline,
                "{what}: {:?}",
                self.alarms.list()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_load_that_devices_are_told_to_run_is_an_alarm_until_all_of_it_is_here() {
    let mut site = Site::new();
    site.import(1..4);
    site.name_load(Some(LOAD));
    site.start();
    site.until("the load is missing", |alarms| match alarms {
        [alarm] => {
            alarm.kind == AlarmKind::Firmware
                && alarm.subject == LOAD
                && alarm.problem.contains("3 devices, such as SEP000000000001")
        }
        _ => false,
    });

    site.write(&format!("{LOAD}.loads"), "apps.sbn\r\njar.sbn\r\n");
    site.write("apps.sbn", "1");
    site.until("an image is missing", |alarms| {
        alarms.len() == 1 && alarms[0].problem.starts_with("jar.sbn is missing.")
    });
    site.write("JAR.SBN", "1");
    site.until("all is here", <[Alarm]>::is_empty);

    site.remove("apps.sbn");
    site.until("an image went", |alarms| {
        alarms.len() == 1 && alarms[0].problem.starts_with("apps.sbn is missing.")
    });
    site.import(4..5);
    site.until("one device more", |alarms| {
        alarms.len() == 1 && alarms[0].problem.contains("4 devices")
    });
    site.name_load(None);
    site.until("phones keep what they run", <[Alarm]>::is_empty);
}

#[test]
fn what_an_upstream_server_may_have_is_no_alarm() {
    let mut site = Site::new();
    site.import(1..2);
    site.name_load(Some(LOAD));
    let user_locale = [("user_locale".to_owned(), Some("German_Germany".to_owned()))];
    site.store().set_site("default", &user_locale).unwrap();
    // Nobody answers there, and nobody needs to.
    site.start_with(&upstream::Settings {
        servers: vec!["tftp://127.0.0.1:9".parse().unwrap()],
        names: vec!["*.LOADS".into()],
        ..upstream::Settings::default()
    });
    // The locale's alarm comes after the firmware's would have.
    site.until("the locale", |alarms| !alarms.is_empty());
    assert_eq!(site.alarms.count(AlarmKind::Firmware), 0);
}

#[test]
fn a_locale_that_is_not_here_is_an_alarm_until_its_file_comes() {
    let mut site = Site::new();
    site.import(1..2);
    let user_locale = [("user_locale".to_owned(), Some("German_Germany".to_owned()))];
    site.store().set_site("default", &user_locale).unwrap();
    site.start();
    site.until("the folder is missing", |alarms| {
        alarms.len() == 1
            && alarms[0].kind == AlarmKind::Locale
            && alarms[0].subject == "German_Germany"
    });
    site.write("German_Germany/mk-sccp.jar", "words");
    site.until("it is here", <[Alarm]>::is_empty);
}

#[test]
fn alarms_stay_as_they_are_once_the_daemon_stops() {
    let mut site = Site::new();
    site.name_load(Some(LOAD));
    site.start();
    site.until("the load is missing", |alarms| alarms.len() == 1);
    let (_library, auditor) = site.running.as_ref().unwrap();
    auditor.shutdown();
    assert_eq!(site.alarms.count(AlarmKind::Firmware), 1);
}

#[test]
fn what_may_be_elsewhere_goes_by_the_settings_as_they_are_when_it_is_asked() {
    let only = |names: &[&str], except: &[&str]| upstream::Settings {
        servers: vec!["tftp://192.0.2.1".parse().unwrap()],
        names: names.iter().map(ToString::to_string).collect(),
        except: except.iter().map(ToString::to_string).collect(),
        ..upstream::Settings::default()
    };
    let live = crate::live::Live::new(only(&["*"], &[]));
    let is_elsewhere = elsewhere(live.clone());
    assert!(is_elsewhere("SCCP41.loads"));
    live.set(only(&["*.xml"], &[]));
    assert!(!is_elsewhere("SCCP41.loads") && is_elsewhere("Ringlist.xml"));
    live.set(only(&["*"], &["ring*"]));
    assert!(is_elsewhere("SCCP41.loads") && !is_elsewhere("Ringlist.xml"));
}
