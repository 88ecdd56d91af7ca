mod live;
mod provisioning;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;
use tftp_ebpf::name::PATTERNS;

use super::*;
use crate::alarms::{AlarmKind, Alarms};
use crate::inventory::{
    self, Device, ImportMode, Inventory, SqliteStore, Store, Unchecked, parse_csv,
};
use crate::live::Live;
use crate::provisioning::Settings as Windows;
use crate::storage::testing::SmallDisk;

fn query(name: &[u8]) -> Query<'_> {
    Query::new(name, Ipv4Addr::LOCALHOST.into())
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers what it hears.
#[derive(Default)]
struct Recorder {
    batches: Mutex<Vec<Vec<Change>>>,
    settled: AtomicUsize,
}

impl Recorder {
    /// All changes since the last call, in order.
    fn take(&self) -> Vec<Change> {
        self.batches.lock().drain(..).flatten().collect()
    }

    fn names(&self) -> BTreeSet<String> {
        self.take()
            .iter()
            .map(|change| change.name.to_string())
            .collect()
    }

    fn clear(&self) {
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

/// Breaks the thread that tells it.
struct Breaking;

impl Listener for Breaking {
    fn changed(&self, _changes: &[Change]) {
        panic!("a listener that breaks");
    }
}

/// A root, an inventory that is written as another process would, and the library over both.
struct Site {
    folder: TempDir,
    heard: Arc<Recorder>,
    alarms: Arc<Alarms>,
    windows: Live<Windows>,
    settings: Live<Settings>,
    library: Option<Arc<Library>>,
}

impl Site {
    fn new() -> Self {
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

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// As careful tools do: nobody ever sees half a file.
    fn replace(&self, name: &str, content: &[u8]) {
        let new = self.folder.path().join("new");
        fs::write(&new, content).unwrap();
        fs::rename(new, self.root().join(name)).unwrap();
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.folder.path().join("inventory.db")).unwrap()
    }

    fn import(&self, devices: &[Device]) {
        self.store()
            .import(devices, ImportMode::Upsert, false)
            .unwrap();
    }

    fn start(&mut self) -> &Library {
        self.start_with(Settings::default())
    }

    fn start_with(&mut self, settings: Settings) -> &Library {
        self.start_telling(settings, self.heard.clone())
    }

    fn start_telling(&mut self, settings: Settings, listener: Arc<dyn Listener>) -> &Library {
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

    fn found(&self, name: &str) -> Arc<Version> {
        match self.lookup(name) {
            Lookup::Found(version) => version,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn lookup(&self, name: &str) -> Lookup {
        self.library
            .as_ref()
            .unwrap()
            .lookup(query(name.as_bytes()))
    }

    /// Waits until the condition holds.
    fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "not in time: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn until_found(&self, name: &str, content: &[u8]) {
        self.until(name, |site| match site.lookup(name) {
            Lookup::Found(version) => version.bytes == content,
            _ => false,
        });
    }
}

fn devices(rows: &str) -> Vec<Device> {
    parse_csv(format!("name,model,protocol,lines,site,description\n{rows}").as_bytes()).unwrap()
}

/// `count` devices, by turns at two sites.
fn many_devices(count: usize) -> Vec<Device> {
    let rows: String = (0..count)
        .map(|number| {
            let site = ["east", "west"][number % 2];
            format!("SEP{number:012X},8851,sip,{},{site},Desk\n", 1000 + number)
        })
        .collect();
    devices(&rows)
}

fn set_site(site: &Site, name: &str, key: &str, value: &str) {
    let setting = (key.to_owned(), Some(value.to_owned()));
    site.store().set_site(name, &[setting]).unwrap();
}

#[test]
fn a_file_is_found_under_every_spelling_of_its_name() {
    let mut site = Site::new();
    site.write("RingList.xml", "rings");
    site.write("German_Germany/mk-sip.jar", "jar");
    site.start();
    for name in ["RINGLIST.XML", "/ringlist.xml", "C:\\RingList.xml"] {
        assert_eq!(site.found(name).bytes, "rings", "{name}");
    }
    let jar = site.found("german_germany\\MK-SIP.jar");
    assert_eq!(
        (&*jar.name, jar.stage),
        ("german_germany/mk-sip.jar", Stage::Locale)
    );
}

#[test]
fn names_without_a_normalised_form_are_refused_or_absent() {
    let mut site = Site::new();
    site.write(".hidden", "x");
    site.start();
    for name in ["../inventory.db", "a/../../b", ".hidden", "..\\x"] {
        assert!(matches!(site.lookup(name), Lookup::Refused), "{name}");
    }
    let long = "x".repeat(600);
    for name in ["", "/", "caf\u{e9}", "no such file", &long] {
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
}

#[test]
fn only_regular_files_beneath_the_root_are_served() {
    let mut site = Site::new();
    let outside = site.folder.path().join("outside.txt");
    fs::write(&outside, "secret").unwrap();
    site.write("folder/inside.txt", "inside");
    let root = site.root();
    symlink("folder/inside.txt", root.join("link.txt")).unwrap();
    symlink("folder", root.join("alias")).unwrap();
    symlink(&outside, root.join("absolute.txt")).unwrap();
    symlink("../outside.txt", root.join("relative.txt")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    symlink("nothing", root.join("dangling.txt")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    site.start();

    for name in ["folder/inside.txt", "link.txt", "alias/inside.txt"] {
        assert_eq!(site.found(name).bytes, "inside", "{name}");
    }
    for name in [
        "folder",
        "alias",
        "absolute.txt",
        "relative.txt",
        "up",
        "fifo",
        "socket",
        "magic",
    ] {
        assert!(matches!(site.lookup(name), Lookup::Refused), "{name}");
    }
    for name in ["up/outside.txt", "dangling.txt", "magic/etc/passwd"] {
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
    assert!(site.heard.take().iter().all(|change| {
        !matches!(&change.state, State::Published(version) if version.bytes == "secret")
    }));
}

#[test]
fn a_file_the_daemon_may_not_read_is_refused_until_it_may() {
    let mut site = Site::new();
    site.write("locked.txt", "locked");
    let locked = site.root().join("locked.txt");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        // Root reads everything: this thread, and those it starts, give that up.
        for path in [site.folder.path(), &site.root()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
    }
    site.start();
    assert!(matches!(site.lookup("locked.txt"), Lookup::Refused));

    if is_root {
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(0));
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o644)).unwrap();
    site.until_found("locked.txt", b"locked");
}

#[test]
fn of_names_that_differ_in_case_each_answers_to_its_spelling() {
    let mut site = Site::new();
    site.write("RINGLIST.XML", "first");
    site.write("Ringlist.xml", "second");
    site.start();
    assert_eq!(site.found("RINGLIST.XML").bytes, "first");
    assert_eq!(site.found("/Ringlist.xml").bytes, "second");
    assert_eq!(site.found("ringlist.xml").bytes, "first");
    assert_eq!(site.library.as_ref().unwrap().counts().clashes, 1);
    // The kernel knows no spellings, so it is not given the name.
    let told = site.heard.take();
    let told: Vec<_> = told.iter().filter(|c| &*c.name == "ringlist.xml").collect();
    assert!(
        matches!(
            told[..],
            [Change {
                state: State::OnDisk,
                ..
            }]
        ),
        "{told:?}"
    );

    fs::remove_file(site.root().join("RINGLIST.XML")).unwrap();
    site.until_found("RINGLIST.XML", b"second");
    site.until("the name is given to the kernel", |site| {
        site.heard.take().iter().any(
            |change| matches!(&change.state, State::Published(version) if version.bytes == "second"),
        )
    });
}

#[test]
fn devices_have_a_configuration_and_no_trust_lists() {
    let mut site = Site::new();
    site.import(&devices("SEP00AABBCCDDEE,7941,sccp,1001,hq,Desk\n"));
    site.start();
    let config = site.found("SEP00AABBCCDDEE.cnf.xml");
    assert_eq!(config.stage, Stage::Config);
    assert!(config.bytes.starts_with(b"<?xml"));

    let told: BTreeMap<_, _> = site
        .heard
        .take()
        .into_iter()
        .map(|change| (change.name.to_string(), change.state))
        .collect();
    for name in PATTERNS {
        assert!(matches!(told[name], State::Absent), "{name}");
    }
    for name in ["CTLSEP00AABBCCDDEE.tlv", "ITLSEP00AABBCCDDEE.tlv"] {
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
    for name in [
        "itlfile.tlv",
        "ctlfile.tlv",
        "appdialrules.xml",
        "defaultheadsetconfig.json",
        "xmldefault.cnf.xml",
    ] {
        assert!(matches!(told[name], State::Absent), "{name}");
        assert!(matches!(site.lookup(name), Lookup::Absent), "{name}");
    }
    assert_eq!(told.len(), 16, "{told:?}");
}

#[test]
fn a_file_on_disk_goes_before_a_generated_one() {
    let mut site = Site::new();
    site.import(&devices("SEP00AABBCCDDEE,7941,sccp,1001,hq,Desk\n"));
    site.write("SEP00AABBCCDDEE.cnf.xml", "<mine/>");
    site.write("ITLFile.tlv", "list");
    site.start();
    assert_eq!(site.found("SEP00AABBCCDDEE.cnf.xml").bytes, "<mine/>");
    assert_eq!(site.found("itlfile.tlv").bytes, "list");

    fs::remove_file(site.root().join("SEP00AABBCCDDEE.cnf.xml")).unwrap();
    fs::remove_file(site.root().join("ITLFile.tlv")).unwrap();
    site.until("the generated one is back", |site| {
        site.found("SEP00AABBCCDDEE.cnf.xml")
            .bytes
            .starts_with(b"<?xml")
    });
    site.until("the list is absent again", |site| {
        matches!(site.lookup("itlfile.tlv"), Lookup::Absent)
    });
}

#[test]
fn of_a_deleted_device_nothing_stays() {
    let mut site = Site::new();
    let both =
        devices("SEP000000000001,7941,sccp,1001,hq,Desk\nSEP000000000002,7941,sccp,1002,hq,Desk\n");
    site.import(&both);
    site.start();
    site.heard.clear();
    site.store().remove(&[both[0].name]).unwrap();
    site.until("it is gone", |site| {
        matches!(site.lookup("SEP000000000001.cnf.xml"), Lookup::Absent)
    });
    site.until("all was told", |site| {
        site.heard.settled.load(Ordering::SeqCst) >= 2
    });
    let told: BTreeMap<_, _> = site
        .heard
        .take()
        .into_iter()
        .map(|change| (change.name.to_string(), change.state))
        .collect();
    // Its name goes where those are that never were: nobody can tell the two apart.
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(matches!(told["sep000000000001.cnf.xml"], State::Forgotten));
}

#[test]
fn a_trust_list_of_one_device_on_disk_goes_before_the_pattern() {
    let mut site = Site::new();
    site.import(&devices("SEP00AABBCCDDEE,7941,sccp,1001,hq,Desk\n"));
    site.write("CTLSEP00AABBCCDDEE.tlv", "list");
    site.start();
    assert_eq!(site.found("CTLSEP00AABBCCDDEE.tlv").bytes, "list");
    assert!(matches!(
        site.lookup("CTLSEP00AABBCCDDEF.tlv"),
        Lookup::Absent
    ));
}

#[test]
fn a_trust_list_that_must_not_be_served_is_not_left_to_the_pattern() {
    let mut site = Site::new();
    fs::create_dir(site.root().join("CTLSEP00AABBCCDDEE.tlv")).unwrap();
    site.start();
    let told = |site: &Site| {
        let mut changes = site.heard.take().into_iter();
        changes.find(|change| &*change.name == "ctlsep00aabbccddee.tlv")
    };
    let refused = told(&site).expect("the kernel is told to leave it");
    assert!(matches!(refused.state, State::OnDisk), "{refused:?}");
    assert!(matches!(
        site.lookup("CTLSEP00AABBCCDDEE.tlv"),
        Lookup::Refused
    ));
    fs::remove_dir(site.root().join("CTLSEP00AABBCCDDEE.tlv")).unwrap();
    site.until("the pattern answers again", |site| {
        told(site).is_some_and(|change| matches!(change.state, State::Forgotten))
    });
}

#[test]
fn the_ip_communicator_gets_what_others_get() {
    let mut site = Site::new();
    site.import(&devices("SEP00AABBCCDDEE,7941,sccp,1001,hq,Desk\n"));
    site.write("German_Germany/ipc-sccp.jar", "locale");
    site.write("Communicator/only-there.xml", "its own");
    site.write("Ringlist.xml", "one");
    site.write("RINGLIST.XML", "another");
    site.start();
    let same = |decorated: &str, plain: &str| {
        let bytes = site.found(decorated).bytes.clone();
        assert_eq!(bytes, site.found(plain).bytes, "{decorated}");
    };
    same(
        "Communicator\\SEP00AABBCCDDEE.cnf.xml",
        "SEP00AABBCCDDEE.cnf.xml",
    );
    same(
        "Communicator/German_Germany/ipc-sccp.jar",
        "german_germany/ipc-sccp.jar",
    );
    same("only-there.xml", "Communicator/only-there.xml");
    // Where the spelling decides, it does so behind the folder as well.
    same("\\Communicator\\Ringlist.xml", "Ringlist.xml");
    same("C:/Communicator/RINGLIST.XML", "RINGLIST.XML");
    assert_ne!(
        site.found("Ringlist.xml").bytes,
        site.found("RINGLIST.XML").bytes
    );
}

/// A root without files of its own, and a folder of templates.
fn with_templates(site: &Site) -> Settings {
    let templates = site.folder.path().join("templates");
    fs::create_dir(&templates).unwrap();
    Settings {
        templates,
        ..Settings::default()
    }
}

fn text(site: &Site, name: &str) -> String {
    String::from_utf8(site.found(name).bytes.to_vec()).unwrap()
}

#[test]
fn a_template_lays_out_what_it_fits_and_takes_effect_at_once() {
    let mut site = Site::new();
    site.import(&devices(
        "SEP000000000001,8845,sip,1001,hq,Desk\nSEP000000000002,8851,sip,1002,hq,Desk\n",
    ));
    let settings = with_templates(&site);
    let template = settings.templates.join("model/8845/SEP.cnf.xml");
    site.start_with(settings);
    let plain = text(&site, "SEP000000000001.cnf.xml");
    site.heard.clear();

    fs::create_dir_all(template.parent().unwrap()).unwrap();
    fs::write(
        &template,
        "{{ generated | set_element('vendorConfig/x', 1) }}",
    )
    .unwrap();
    site.until("it is used", |site| {
        text(site, "SEP000000000001.cnf.xml").contains("<x>1</x>")
    });
    assert!(!text(&site, "SEP000000000002.cnf.xml").contains("<x>1</x>"));
    assert_eq!(
        site.heard.names(),
        BTreeSet::from(["sep000000000001.cnf.xml".to_owned()])
    );

    // One that is broken leaves what it was.
    fs::write(&template, "{{ generated | set_element('vendorConfig/x', ").unwrap();
    let alarms = &site.alarms;
    site.until("the alarm", |_| !alarms.list().is_empty());
    let alarm = alarms.list().remove(0);
    assert_eq!(alarm.subject, "SEP000000000001");
    let told = "cannot be generated: template model/8845/SEP.cnf.xml, line 1: ";
    assert!(alarm.problem.starts_with(told), "{}", alarm.problem);
    assert!(alarm.problem.ends_with("its last good version is served"));
    assert!(text(&site, "SEP000000000001.cnf.xml").contains("<x>1</x>"));

    fs::remove_file(&template).unwrap();
    site.until("ours is back", |site| {
        text(site, "SEP000000000001.cnf.xml") == plain
    });
    site.until("the alarm is gone", |_| alarms.list().is_empty());
}

#[test]
fn a_folder_of_templates_that_is_made_later_is_found() {
    let mut site = Site::new();
    let settings = with_templates(&site);
    let folder = settings.templates.clone();
    fs::remove_dir(&folder).unwrap();
    site.start_with(settings);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ATADefault.cnf.xml"), "<mine/>").unwrap();
    site.until_found("ATADefault.cnf.xml", b"<mine/>");
}

#[test]
fn a_setting_of_one_site_touches_the_configurations_of_its_devices_alone() {
    let mut site = Site::new();
    site.import(&many_devices(300));
    site.start();
    let west = site.found("SEP000000000001.cnf.xml");
    site.heard.clear();

    set_site(&site, "east", "ntp", "10.0.0.1");
    site.until("east has changed", |site| {
        site.heard.settled.load(Ordering::SeqCst) >= 2
    });
    let expected: BTreeSet<_> = (0..300)
        .step_by(2)
        .map(|number| format!("sep{number:012x}.cnf.xml"))
        .collect();
    assert_eq!(site.heard.names(), expected);
    assert!(Arc::ptr_eq(&west, &site.found("SEP000000000001.cnf.xml")));
    // Counted after the listeners were told.
    site.until("it was counted", |site| {
        let counts = site.library.as_ref().unwrap().counts();
        (counts.last_regeneration.files, counts.sip_devices) == (150, 300)
    });
}

#[test]
fn a_commit_that_changes_no_file_is_not_told() {
    let mut site = Site::new();
    site.import(&many_devices(4));
    site.start();
    site.heard.clear();
    set_site(&site, "nowhere", "ntp", "10.0.0.1");
    set_site(&site, "east", "ntp", "10.0.0.2");
    site.until("east has changed", |site| {
        !site.heard.batches.lock().is_empty()
    });
    assert_eq!(site.heard.names().len(), 2);
}

#[test]
fn the_first_list_is_in_boot_order_and_in_batches() {
    let mut site = Site::new();
    site.write("SCCP41.loads", "loads");
    site.write("Ringlist.xml", "rings");
    site.write("dialplan.xml", "plan");
    site.import(&many_devices(1500));
    set_site(&site, "default", "auto_registration", "true");
    site.start();
    assert_eq!(site.heard.settled.load(Ordering::SeqCst), 1);
    let batches = site.heard.batches.lock().clone();
    assert!(batches.iter().all(|batch| batch.len() <= 1024));
    // Content only: a name that is absent takes no room from anyone.
    let stages: Vec<_> = batches
        .iter()
        .flatten()
        .filter(|change| !matches!(change.state, State::Absent))
        .map(|change| change.stage)
        .collect();
    let first = |stage| stages.iter().position(|other| *other == stage).unwrap();
    let last = |stage| stages.iter().rposition(|other| *other == stage).unwrap();
    for (before, after) in [
        (Stage::Config, Stage::Default),
        (Stage::Default, Stage::DialRules),
        (Stage::DialRules, Stage::Rings),
        (Stage::Rings, Stage::Firmware),
    ] {
        assert!(last(before) < first(after), "{before:?} {after:?}");
    }
}

fn small_memory() -> Settings {
    Settings {
        memory_limit: ByteSize(100_000),
        preload_limit: ByteSize(1_000),
        ..Settings::default()
    }
}

/// Asks until the file is there, as a transfer would.
fn load(site: &Site, name: &str) -> Lookup {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Lookup::Loading = site.lookup(name) else {
            return site.lookup(name);
        };
        assert!(Instant::now() < deadline, "{name} does not load");
        let (woken, is_woken) = mpsc::channel();
        let wake = Box::new(move || woken.send(()).unwrap());
        let library = site.library.as_ref().unwrap();
        library.when_ready(query(name.as_bytes()), wake);
        is_woken.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_large_file_is_read_once_when_it_is_asked_for() {
    let mut site = Site::new();
    site.write("large.bin", vec![7; 50_000]);
    site.start_with(small_memory());
    assert!(matches!(
        site.heard.take().last(),
        Some(Change {
            state: State::OnDisk,
            ..
        })
    ));
    assert!(matches!(site.lookup("LARGE.BIN"), Lookup::Loading));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(matches!(load(&site, "Large.bin"), Lookup::Found(_))));
        }
    });
    assert_eq!(site.found("large.bin").bytes, vec![7; 50_000]);
    let published = |change: &&Change| matches!(change.state, State::Published(_));
    assert_eq!(site.heard.take().iter().filter(published).count(), 1);
}

#[test]
fn the_large_file_unused_for_longest_makes_room() {
    let mut site = Site::new();
    for name in ["a.bin", "b.bin", "c.bin"] {
        site.write(name, vec![7; 40_000]);
    }
    site.write("huge.bin", vec![7; 200_000]);
    site.start_with(small_memory());
    let pause = || thread::sleep(Duration::from_millis(5));
    for name in ["a.bin", "b.bin", "a.bin", "c.bin"] {
        assert!(matches!(load(&site, name), Lookup::Found(_)), "{name}");
        pause();
    }
    assert!(matches!(site.lookup("a.bin"), Lookup::Found(_)));
    assert!(matches!(site.lookup("b.bin"), Lookup::Loading));
    assert!(matches!(load(&site, "huge.bin"), Lookup::Refused));
    let counts = site.library.as_ref().unwrap().counts();
    assert!(counts.bytes <= 100_000 && counts.evicted >= 1, "{counts:?}");
}

#[test]
fn a_curator_that_broke_is_told_until_the_library_is_stopped() {
    let mut site = Site::new();
    site.write("f.txt", "f");
    site.start_telling(Settings::default(), Arc::new(Breaking));
    let ended = |site: &Site| site.library.as_ref().unwrap().ended();
    site.until("it is seen", |site| ended(site) == ["curator"]);
    site.library.as_ref().unwrap().shutdown();
    assert!(ended(&site).is_empty());

    let mut site = Site::new();
    site.start();
    assert!(ended(&site).is_empty());
}

#[test]
fn a_large_file_that_finds_no_room_is_served_when_there_is_some() {
    let mut site = Site::new();
    site.write("image.bin", vec![7; 90_000]);
    // Always in memory, and more than is left beside the image.
    for at in 0..40 {
        site.write(&format!("small{at}.txt"), vec![1; 900]);
    }
    site.start_with(small_memory());
    let wait = |site: &Site| {
        let (woken, is_woken) = mpsc::channel();
        let wake = Box::new(move || woken.send(()).unwrap());
        site.library
            .as_ref()
            .unwrap()
            .when_ready(query(b"image.bin"), wake);
        is_woken.recv_timeout(PATIENCE).unwrap();
    };
    for _ in 0..2 {
        wait(&site);
        assert!(matches!(site.lookup("image.bin"), Lookup::Loading));
    }
    for at in 0..40 {
        fs::remove_file(site.root().join(format!("small{at}.txt"))).unwrap();
    }
    site.until("the small files are gone", |site| {
        site.library.as_ref().unwrap().counts().bytes < 10_000
    });
    assert!(matches!(load(&site, "image.bin"), Lookup::Found(_)));
}

#[test]
fn a_large_file_in_use_is_served_until_its_next_version_is_there() {
    let mut site = Site::new();
    site.write("image.bin", vec![1; 30_000]);
    site.start_with(small_memory());
    assert!(matches!(load(&site, "image.bin"), Lookup::Found(_)));
    site.replace("image.bin", &[2; 35_000]);
    site.until("the next version", |site| {
        // It panics if there is a moment without either.
        site.found("image.bin").bytes == vec![2; 35_000]
    });
    fs::remove_file(site.root().join("image.bin")).unwrap();
    site.until("it is gone", |site| {
        matches!(site.lookup("image.bin"), Lookup::Absent)
    });
    site.until("its memory is given back", |site| {
        let names = ["atadefault.cnf.xml", "sipdefault.cnf"];
        let generated = names.map(|name| site.found(name).bytes.len() as u64);
        site.library.as_ref().unwrap().counts().bytes == generated.iter().sum::<u64>()
    });
}

#[test]
fn what_was_refused_for_its_size_is_served_when_it_is_smaller() {
    let mut site = Site::new();
    site.write("image.bin", vec![7; 200_000]);
    site.start_with(small_memory());
    assert!(matches!(load(&site, "image.bin"), Lookup::Refused));
    site.replace("image.bin", b"small");
    site.until_found("image.bin", b"small");
}

#[test]
fn a_new_folder_and_what_is_in_it_are_seen() {
    let mut site = Site::new();
    site.start();
    site.write("Desktops/320x196x4/List.xml", "list");
    site.until_found("desktops/320x196x4/list.xml", b"list");
    site.write("Desktops/320x196x4/logo.png", "logo");
    site.until_found("desktops/320x196x4/logo.png", b"logo");
    fs::remove_dir_all(site.root().join("Desktops")).unwrap();
    site.until("they are gone", |site| {
        matches!(site.lookup("desktops/320x196x4/list.xml"), Lookup::Absent)
    });
}

#[test]
fn a_root_that_cannot_be_listed_keeps_what_was_read() {
    let mut site = Site::new();
    site.write("a.xml", "a");
    site.start();
    // As when a network folder goes away: the path is gone, and nothing in it can be told.
    let away = site.folder.path().join("away");
    fs::rename(site.root(), &away).unwrap();
    site.heard.clear();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(site.found("a.xml").bytes, "a");
    assert!(site.heard.take().is_empty());
}

/// A file whose every byte tells which version it is of.
fn problems(site: &Site) -> Vec<String> {
    let alarms = site.alarms.list().into_iter();
    let alarms = alarms.filter(|it| it.kind == AlarmKind::Content);
    alarms.map(|it| it.problem).collect()
}

#[test]
fn a_root_that_is_taken_away_is_served_on_and_another_in_its_place_is_taken_over() {
    let mut site = Site::new();
    site.write("a.txt", "first");
    site.start();
    let root = site.root();
    fs::rename(&root, site.folder.path().join("away")).unwrap();
    site.until("an alarm", |site| !problems(site).is_empty());
    assert!(
        problems(&site)[0].contains("is served"),
        "{:?}",
        problems(&site)
    );
    assert_eq!(site.found("a.txt").bytes, "first");
    // A mount point without its file system looks like this.
    fs::create_dir(&root).unwrap();
    site.until("the empty folder is told", |site| {
        problems(site).iter().any(|it| it.contains("empty"))
    });
    assert_eq!(site.found("a.txt").bytes, "first");
    site.write("b.txt", "second");
    site.until_found("b.txt", b"second");
    assert!(matches!(site.lookup("a.txt"), Lookup::Absent));
    site.until("no alarm", |site| problems(site).is_empty());
    // And the new one is watched.
    site.write("sub/c.txt", "third");
    site.until_found("sub/c.txt", b"third");
}

#[test]
fn what_is_mounted_over_the_root_is_served_and_what_was_beneath_comes_back() {
    SmallDisk::with(1 << 20, |disk| {
        let mut site = Site::new();
        site.write("a.txt", "beneath");
        site.start();
        fs::write(disk.path().join("a.txt"), "over").unwrap();
        let (none, bind) = (None::<&str>, nix::mount::MsFlags::MS_BIND);
        nix::mount::mount(Some(disk.path()), &site.root(), none, bind, none).unwrap();
        site.until_found("a.txt", b"over");
        let lazily = nix::mount::MntFlags::MNT_DETACH;
        nix::mount::umount2(&site.root(), lazily).unwrap();
        site.until_found("a.txt", b"beneath");
    });
}

#[test]
fn a_file_that_is_cut_off_is_whole_for_who_reads_it() {
    let mut site = Site::new();
    site.write("a.bin", vec![7; 100_000]);
    site.start();
    let held = site.found("a.bin");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(site.root().join("a.bin"));
    file.unwrap().set_len(10).unwrap();
    site.until_found("a.bin", &[7; 10]);
    assert_eq!(held.bytes, vec![7; 100_000]);
}

fn version_of(number: usize) -> Vec<u8> {
    let byte = b'a' + u8::try_from(number % 26).unwrap();
    vec![byte; 3_000 + number % 7]
}

#[test]
fn readers_never_see_two_versions_in_one() {
    let mut site = Site::new();
    site.write("dialplan.xml", version_of(0));
    site.write("untouched.xml", "the same");
    site.import(&many_devices(6));
    site.start();
    let untouched = site.found("untouched.xml");
    site.heard.clear();

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let version = site.found("dialplan.xml");
                    let first = version.bytes[0];
                    assert!(version.bytes.iter().all(|byte| *byte == first));
                    assert!(version.generation >= last, "generations grow");
                    last = version.generation;
                    let config = site.found("SEP000000000000.cnf.xml");
                    assert!(config.bytes.ends_with(b"</device>\n"));
                }
            });
        }
        for round in 1..=200 {
            site.replace("dialplan.xml", &version_of(round));
            if round % 20 == 0 {
                set_site(&site, "east", "ntp", &format!("10.0.0.{round}"));
            }
            thread::sleep(Duration::from_millis(3));
        }
        site.until_found("dialplan.xml", &version_of(200));
        site.until("the last commit shows", |site| {
            let config = site.found("SEP000000000000.cnf.xml");
            String::from_utf8_lossy(&config.bytes).contains("10.0.0.200")
        });
        done.store(true, Ordering::Relaxed);
    });

    assert!(Arc::ptr_eq(&untouched, &site.found("untouched.xml")));
    let mut generations = BTreeSet::new();
    for change in site.heard.take() {
        let expected = [
            "dialplan.xml",
            "sep000000000000.cnf.xml",
            "sep000000000002.cnf.xml",
            "sep000000000004.cnf.xml",
        ];
        assert!(expected.contains(&&*change.name), "{}", change.name);
        let State::Published(version) = change.state else {
            panic!("{change:?}");
        };
        assert!(
            generations.insert(version.generation),
            "no generation is used twice"
        );
    }
    assert!(generations.len() > 20, "{}", generations.len());
}

#[test]
fn a_change_in_place_that_keeps_the_size_is_seen() {
    let mut site = Site::new();
    site.write("a.xml", "0000");
    site.start();
    for round in 1..30 {
        let content = format!("{round:04}");
        site.write("a.xml", &content);
        site.until_found("a.xml", content.as_bytes());
    }
}

#[test]
fn after_shutdown_nobody_waits_and_content_is_still_there() {
    let mut site = Site::new();
    site.write("a.xml", "a");
    site.write("large.bin", vec![7; 50_000]);
    site.start_with(small_memory());
    let library = site.library.clone().unwrap();
    library.shutdown();
    library.shutdown();
    assert_eq!(site.found("a.xml").bytes, "a");
    assert!(matches!(site.lookup("large.bin"), Lookup::Loading));
    let (woken, is_woken) = mpsc::channel();
    library.when_ready(
        query(b"large.bin"),
        Box::new(move || woken.send(()).unwrap()),
    );
    is_woken.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_root_that_is_not_there_is_told_by_its_path() {
    let site = Site::new();
    let settings = Settings {
        root: "/nonexistent/tftp".into(),
        ..Settings::default()
    };
    let inventory = Inventory::new(Box::new(site.store()), inventory::Site::default());
    let error = Library::start(
        &settings,
        upstream::Settings::default(),
        inventory,
        Windows::default(),
        Arc::default(),
        Vec::new(),
    )
    .err()
    .unwrap();
    assert!(
        error.to_string().contains("content.root /nonexistent/tftp"),
        "{error}"
    );
}

#[test]
fn the_settings_take_sizes_in_human_form_and_nothing_unknown() {
    let settings: Settings = toml::from_str("root = '/x'\nmemory_limit = '64MiB'").unwrap();
    assert_eq!(settings.root, Path::new("/x"));
    assert_eq!(settings.memory_limit, ByteSize(64 << 20));
    assert_eq!(settings.preload_limit, Settings::default().preload_limit);
    assert!(toml::from_str::<Settings>("rot = '/x'").is_err());
}

/// `cargo test --release -p tftp-edge -- --ignored --nocapture regeneration`
#[test]
#[ignore = "measures; run it on an optimised build"]
fn measure_regeneration_of_10_000_devices() {
    let mut site = Site::new();
    let began = Instant::now();
    let devices = many_devices(10_000);
    println!("reading a CSV file of 10,000 rows: {:?}", began.elapsed());
    let began = Instant::now();
    site.import(&devices);
    println!("import of 10,000 devices: {:?}", began.elapsed());
    let began = Instant::now();
    site.start();
    println!("start with them: {:?}", began.elapsed());
    println!(
        "memory: {} bytes",
        site.library.as_ref().unwrap().counts().bytes
    );
    for round in 1..=5 {
        let settled = site.heard.settled.load(Ordering::SeqCst);
        set_site(&site, "default", "ntp", &format!("10.0.0.{round}"));
        let committed = Instant::now();
        while site.heard.settled.load(Ordering::SeqCst) == settled {
            thread::sleep(Duration::from_micros(100));
        }
        println!(
            "from commit to settled: {:?}, of it {:?} regenerating",
            committed.elapsed(),
            site.library.as_ref().unwrap().counts().last_regeneration
        );
    }
}

#[test]
fn a_smaller_memory_makes_room_at_once_and_a_larger_one_takes_in_what_was_refused() {
    let mut site = Site::new();
    site.write("large.bin", vec![1; 50_000]);
    site.write("larger.bin", vec![2; 200_000]);
    site.start_with(small_memory());
    load(&site, "large.bin");
    assert!(matches!(load(&site, "larger.bin"), Lookup::Refused));
    let memory = |limit| Settings {
        memory_limit: ByteSize(limit),
        ..Settings::clone(&site.settings.get())
    };
    site.settings.set(memory(30_000));
    site.library.as_ref().unwrap().follow_settings();
    site.until("it had to go", |site| {
        site.library.as_ref().unwrap().counts().evicted == 1
    });
    site.settings.set(memory(1_000_000));
    site.library.as_ref().unwrap().follow_settings();
    site.until("it is looked at again", |site| {
        !matches!(site.lookup("larger.bin"), Lookup::Refused)
    });
    assert!(matches!(load(&site, "larger.bin"), Lookup::Found(_)));
}

#[test]
fn other_defaults_of_sites_reach_every_configuration_they_touch() {
    let mut site = Site::new();
    site.import(&devices("SEP000000000001,7941,sccp,1001,hq,Desk\n"));
    let settings = Live::new(inventory::Settings {
        database: site.folder.path().join("inventory.db"),
        ..inventory::Settings::default()
    });
    let library = Library::start(
        Settings {
            root: site.root(),
            ..Settings::default()
        },
        upstream::Settings::default(),
        Inventory::open(settings.clone()).unwrap(),
        Windows::default(),
        site.alarms.clone(),
        vec![site.heard.clone()],
    )
    .unwrap();
    site.library = Some(library);
    let name = "sep000000000001.cnf.xml";
    assert!(!text(&site, name).contains("operator"));
    site.heard.clear();
    let mut other = inventory::Settings::clone(&settings.get());
    other.defaults.set("ssh_user", "operator").unwrap();
    settings.set(other);
    site.until("it has the new default", |site| {
        text(site, name).contains("operator")
    });
    assert!(site.heard.names().contains(name));
}
