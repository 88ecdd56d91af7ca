use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::inventory::{Contents, DEFAULT_SITE, Device, Site};

fn write(root: &Path, name: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
}

/// Devices of the models, in a site with German words and tones.
fn locales(models: &[(&str, Protocol)]) -> Locales {
    let settings = [
        ("user_locale", "German_Germany"),
        ("network_locale", "Germany"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let devices = models
        .iter()
        .enumerate()
        .map(|(number, (model, protocol))| {
            let name = format!("SEP{number:012X}").parse().unwrap();
            Device::new(name, *model, *protocol)
        });
    let contents = Contents {
        devices: devices.collect(),
        sites: BTreeMap::from([(DEFAULT_SITE.to_owned(), BTreeMap::from(settings))]),
        ..Contents::default()
    };
    Locales::of(&Snapshot::new(contents, &Site::default()))
}

fn nowhere_else() -> Elsewhere {
    std::sync::Arc::new(|_| false)
}

fn faults(locales: &Locales, root: &Path) -> Vec<(String, usize)> {
    let faults = locales.faults(&Survey::of(root).unwrap(), &nowhere_else());
    let told = |fault: LocaleFault| (fault.file, fault.devices);
    faults.into_iter().map(told).collect()
}

#[test]
fn a_folder_that_is_not_here_is_told_once_for_all_devices() {
    let root = tempfile::tempdir().unwrap();
    let sip = ("7941", Protocol::Sip);
    let locales = locales(&[sip, sip, ("8845", Protocol::Sip)]);
    assert_eq!(locales.len(), 3);
    assert_eq!(
        faults(&locales, root.path()),
        [("German_Germany".into(), 2), ("Germany".into(), 3)]
    );
    let told = locales.faults(&Survey::of(root.path()).unwrap(), &nowhere_else())[0].alarm();
    assert!(told.contains("no folder German_Germany"), "{told}");
    assert!(
        told.contains("2 devices, such as SEP000000000000"),
        "{told}"
    );
}

#[test]
fn each_family_in_use_needs_its_own_file_of_the_pack() {
    let root = tempfile::tempdir().unwrap();
    let models = [
        ("7941", Protocol::Sip),
        ("7941", Protocol::Sccp),
        ("9971", Protocol::Sip),
    ];
    let locales = locales(&models);
    // As a case-folding request finds them.
    write(root.path(), "german_germany/MK-sip.jar");
    write(root.path(), "Germany/g3-tones.xml");
    assert_eq!(
        faults(&locales, root.path()),
        [
            ("German_Germany/gd-sip.jar".into(), 1),
            ("German_Germany/mk-sccp.jar".into(), 1),
            ("Germany/g4-tones.xml".into(), 1),
        ]
    );
    for file in [
        "German_Germany/gd-sip.jar",
        "German_Germany/mk-sccp.jar",
        "Germany/g4-tones.xml",
    ] {
        write(root.path(), file);
    }
    assert_eq!(faults(&locales, root.path()), []);
}

#[test]
fn no_locale_needs_no_file() {
    let name = "SEP000000000001".parse().unwrap();
    let contents = Contents {
        devices: vec![Device::new(name, "7941", Protocol::Sip)],
        ..Contents::default()
    };
    let snapshot = Snapshot::new(contents, &Site::default());
    assert!(Locales::of(&snapshot).is_empty());
}
