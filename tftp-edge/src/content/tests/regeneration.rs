//! What is generated anew after a change of the inventory, its settings or the templates, and what is
//! not.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tftp_ebpf::stage::Stage;

use super::site::{Site, devices, many_devices, set_site, text};
use crate::content::{Library, Settings, State, upstream};
use crate::inventory::{self, Inventory};
use crate::live::Live;
use crate::provisioning::Settings as Windows;

/// A root without files of its own, and a folder of templates.
fn with_templates(site: &Site) -> Settings {
    let templates = site.folder.path().join("templates");
    fs::create_dir(&templates).unwrap();
    Settings {
        templates,
        ..Settings::default()
    }
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
