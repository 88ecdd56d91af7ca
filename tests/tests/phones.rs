//! Simulated phones against a server that is not ours: they boot, and they notice what is wrong.
//!
//! All of it needs root. Without, each test says that it was skipped and why.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tftp_ebpf::stage::Stage;
use tftp_edge_tests::lab::{
    CLIENT_IF, Impairment, Lab, LabOptions, LabPrograms, Process, SERVER_V4, Side, with_root,
};
use tftp_edge_tests::phones::{Family, Fleet, FleetOptions, Oracle, Progress, Report};
use tftp_edge_tests::server::{Place, Server};
use tftp_edge_tests::site::{Site, SiteOptions};

/// A site served by dnsmasq from files.
struct Rig {
    // Dropped in this order: the server, the lab, the files.
    server: Process,
    lab: Lab,
    root: PathBuf,
    site: Site,
    _files: TempDir,
}

impl Rig {
    fn new(phones: usize) -> Result<Self> {
        let lab = Lab::new(LabOptions::default())?;
        let files = tempfile::tempdir()?;
        let root = files.path().join("root");
        let mut site = Site::new(&SiteOptions {
            phones,
            firmware_divisor: 1024,
            upgrade_one_in: 10,
            ..SiteOptions::default()
        });
        site.write(&root, &files.path().join("phones.csv"))?;
        // dnsmasq tells upper case from lower.
        fs::copy(root.join("Ringlist.xml"), root.join("RINGLIST.XML"))?;
        for phone in &site.phones {
            let content = format!("<device>{}</device>\n", phone.device).repeat(100);
            fs::write(root.join(&*Family::config_file(&phone.device)), &content)?;
            site.oracle.set_rendered(&phone.device, content.into());
        }
        let log = files.path().join("dnsmasq.log");
        let server = Server::Dnsmasq { root: root.clone() };
        let server = server.start(Place::Namespace(&lab.server), 69, &log)?;
        Ok(Self {
            server,
            lab,
            root,
            site,
            _files: files,
        })
    }

    fn boot(&self, change: impl FnOnce(&mut FleetOptions)) -> Result<Report> {
        let mut options = FleetOptions::new((SERVER_V4, 69).into());
        options.limit = Duration::from_secs(60);
        change(&mut options);
        let fleet = Fleet {
            phones: &self.site.phones,
            oracle: &self.site.oracle,
            options,
        };
        fleet.boot(Place::Namespace(&self.lab.client), &Progress::default())
    }
}

#[test]
fn every_family_boots_and_upgrades() {
    with_root(false, || {
        let rig = Rig::new(200)?;
        let report = rig.boot(|_| {})?;
        assert_eq!(
            (report.booted, report.failed),
            (200, 0),
            "{:?}",
            report.failures
        );
        assert_eq!(report.stage(Stage::Config).files, 200);
        assert_eq!(report.stage(Stage::Trust).bytes, 0);
        let loads: u64 = rig.site.phones.iter().map(loads_files).sum();
        assert!(loads > 0);
        // Each .loads file names at least two images.
        assert!(report.stage(Stage::Firmware).files >= 3 * loads);
        let bytes: u64 = rig
            .site
            .phones
            .iter()
            .map(|phone| config_len(&rig.site, &phone.device))
            .sum();
        assert_eq!(report.stage(Stage::Config).bytes, bytes);
        assert_eq!(report.boot_us.len(), 200);
        Ok(())
    });
}

fn loads_files(phone: &tftp_edge_tests::phones::PhoneSpec) -> u64 {
    let loads = phone.files.iter().filter(|name| name.ends_with(".loads"));
    loads.count() as u64
}

fn config_len(site: &Site, device: &str) -> u64 {
    use tftp_edge_tests::phones::Expected;
    match site.oracle.expected(&Family::config_file(device)) {
        Expected::Bytes(bytes) => bytes.len() as u64,
        other => panic!("{device}: {other:?}"),
    }
}

#[test]
fn one_wrong_byte_fails_the_phone_that_got_it() {
    with_root(false, || {
        let rig = Rig::new(40)?;
        let victim = rig.site.phones[17].device.clone();
        let file = rig.root.join(&*Family::config_file(&victim));
        let mut content = fs::read(&file)?;
        content[1000] ^= 1;
        fs::write(&file, content)?;
        let report = rig.boot(|_| {})?;
        assert_eq!(
            (report.booted, report.failed),
            (39, 1),
            "{:?}",
            report.failures
        );
        assert_eq!(report.failures[0].device, *victim);
        let reason = &report.failures[0].reason;
        assert!(reason.contains("byte 1000"), "{reason}");
        Ok(())
    });
}

#[test]
fn a_file_that_is_missing_fails_all_phones_that_want_it() {
    with_root(false, || {
        let rig = Rig::new(100)?;
        fs::remove_file(rig.root.join("dialplan.xml"))?;
        let report = rig.boot(|_| {})?;
        assert_eq!((report.booted, report.failed), (60, 40));
        let reason = &report.failures[0].reason;
        assert!(reason.starts_with("dialplan.xml: ERROR 1"), "{reason}");
        Ok(())
    });
}

#[test]
fn phones_boot_in_spite_of_loss_and_duplication() {
    with_root(true, || {
        let rig = Rig::new(60)?;
        let client = &rig.lab.client;
        let impairment = Impairment::percent(5.0, 5.0);
        let out = LabPrograms::impair(client, CLIENT_IF, Side::Egress, impairment)?;
        let back = LabPrograms::impair(client, CLIENT_IF, Side::Ingress, impairment)?;
        let report = rig.boot(|options| options.limit = Duration::from_secs(240))?;
        assert_eq!(
            (report.booted, report.failed),
            (60, 0),
            "{:?}",
            report.failures
        );
        assert!(report.resends() > 0);
        assert!(out.impairs()?.dropped > 0 && back.impairs()?.duplicated > 0);
        Ok(())
    });
}

#[test]
fn phones_ask_again_until_the_server_is_back() {
    with_root(false, || {
        let mut rig = Rig::new(50)?;
        rig.server.stop()?;
        let log = rig._files.path().join("second.log");
        let server = Server::Dnsmasq {
            root: rig.root.clone(),
        };
        let report = std::thread::scope(|scope| -> Result<Report> {
            let later = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(1200));
                server.start(Place::Namespace(&rig.lab.server), 69, &log)
            });
            let report = rig.boot(|_| {})?;
            let started = later.join().expect("the thread that starts the server");
            drop(started?);
            Ok(report)
        })?;
        assert_eq!(
            (report.booted, report.failed),
            (50, 0),
            "{:?}",
            report.failures
        );
        assert!(report.resends() >= 50);
        Ok(())
    });
}

#[test]
fn phones_without_a_server_fail_with_a_reason() {
    with_root(false, || {
        let mut rig = Rig::new(20)?;
        rig.server.stop()?;
        let report = rig.boot(|options| options.limit = Duration::from_secs(2))?;
        assert_eq!((report.booted, report.failed), (0, 20));
        let reason = &report.failures[0].reason;
        assert!(reason.starts_with("still waits for"), "{reason}");
        Ok(())
    });
}

#[test]
fn bytes_are_shared_not_copied_for_each_phone() {
    let site = Site::new(&SiteOptions {
        phones: 1,
        ..SiteOptions::default()
    });
    use tftp_edge_tests::phones::Expected;
    let pointer = |name: &str| match site.oracle.expected(name) {
        Expected::Bytes(bytes) => bytes.as_ptr(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(pointer("Ringlist.xml"), pointer("RINGLIST.XML"));
}
