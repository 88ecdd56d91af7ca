use super::*;
use crate::inventory::{
    Contents, DialPlan, DialRule, KeyAction, LineKey, NameKind, PhoneService, Site, SoftKeySet,
};

fn device(name: &str, model: &str, site: &str) -> Device {
    Device {
        site: site.into(),
        ..Device::new(name.parse().unwrap(), model, Protocol::Sip)
    }
}

/// A phone in each of two sites, and one of the old ones.
fn contents() -> Contents {
    let office = DialPlan {
        rules: vec![DialRule {
            pattern: "...".into(),
            ..DialRule::default()
        }],
    };
    let mut contents = Contents {
        devices: vec![
            device("SEP000000000001", "8845", "east"),
            device("SEP000000000002", "8845", "west"),
            device("SIP000000000003", "7960", "west"),
        ],
        ..Contents::default()
    };
    contents.objects.dial_plans.insert("office".into(), office);
    let keys = ("standard".into(), SoftKeySet::default());
    contents.objects.soft_keys.extend([keys]);
    set(&mut contents, "west", "dial_template", "office");
    set(&mut contents, "default", "auto_registration", "true");
    contents
}

fn set(contents: &mut Contents, site: &str, key: &str, value: &str) {
    let settings = contents.sites.entry(site.into()).or_default();
    settings.insert(key.into(), value.into());
}

fn snapshot(contents: &Contents) -> Snapshot {
    Snapshot::new(contents.clone(), &Site::default())
}

fn started(contents: &Contents) -> GeneratedFiles {
    let mut files = GeneratedFiles::default();
    files.update(Arc::new(snapshot(contents)));
    files
}

/// The names that a change makes other files of.
fn changed(files: &mut GeneratedFiles, contents: &Contents) -> BTreeSet<String> {
    let changed = files.update(Arc::new(snapshot(contents)));
    let counted = changed.len();
    let names: BTreeSet<_> = changed.iter().map(|name| name.to_string()).collect();
    assert_eq!(names.len(), counted, "each is told once");
    names
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn content(files: &GeneratedFiles, name: &str) -> String {
    match files.get(name) {
        Some(Generated::Content(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_device_and_every_object_has_its_file() {
    let files = started(&contents());
    for (name, part) in [
        ("sep000000000001.cnf.xml", "<deviceProtocol>SIP<"),
        ("sip000000000003.cnf", "dial_template: \"DRoffice\""),
        ("sep000000000002.cnf.xml", "<dialTemplate>DRoffice.xml<"),
        ("droffice.xml", "<TEMPLATE match=\"...\""),
        ("skstandard.xml", "<softKeyCfg>"),
        ("xmldefault.cnf.xml", "<Default>"),
        ("atadefault.cnf.xml", "<Default>"),
        ("sipdefault.cnf", "proxy1_address: "),
    ] {
        assert!(content(&files, name).contains(part), "{name}");
    }
    // What phones ask for by itself is known to be absent until there is something.
    assert_eq!(files.get("dialplan.xml"), Some(&Generated::Absent));
}

#[test]
fn the_same_inventory_again_changes_nothing() {
    let contents = contents();
    assert_eq!(changed(&mut started(&contents), &contents), names([]));
}

#[test]
fn a_setting_of_a_site_touches_its_devices_alone() {
    let mut contents = contents();
    let mut files = started(&contents);
    set(&mut contents, "west", "ntp", "10.0.0.2");
    assert_eq!(
        changed(&mut files, &contents),
        names(["sep000000000002.cnf.xml", "sip000000000003.cnf"])
    );
    set(&mut contents, "default", "servers", "10.0.0.1");
    let all = changed(&mut files, &contents);
    assert_eq!(all.len(), 6, "{all:?}");
    assert!(all.contains("sipdefault.cnf") && all.contains("atadefault.cnf.xml"));
}

#[test]
fn what_is_in_a_dial_plan_touches_its_own_file_alone() {
    let mut contents = contents();
    let mut files = started(&contents);
    contents.objects.dial_plans.get_mut("office").unwrap().rules[0].timeout_s = 3;
    assert_eq!(changed(&mut files, &contents), names(["droffice.xml"]));

    let plan = contents.objects.dial_plans["office"].clone();
    contents.objects.dial_plans.insert("default".into(), plan);
    assert_eq!(
        changed(&mut files, &contents),
        names(["drdefault.xml", "dialplan.xml"])
    );
    contents.objects.dial_plans.remove("default");
    assert_eq!(
        changed(&mut files, &contents),
        names(["drdefault.xml", "dialplan.xml"])
    );
    assert_eq!(files.get("dialplan.xml"), Some(&Generated::Absent));
}

#[test]
fn a_service_touches_the_devices_whose_buttons_open_it() {
    let mut contents = contents();
    let key = LineKey {
        label: String::new(),
        action: KeyAction::Service {
            name: "menu".into(),
        },
    };
    contents.devices[0].keys.insert(2, key);
    let service = |url: &str| PhoneService {
        url: url.into(),
        kind: 0,
        category: 0,
        vendor: String::new(),
        version: String::new(),
    };
    let services = &mut contents.objects.services;
    services.insert("menu".into(), service("http://10.0.0.1/a"));
    let mut files = started(&contents);
    let services = &mut contents.objects.services;
    services.insert("menu".into(), service("http://10.0.0.1/b"));
    services.insert("other".into(), service("http://10.0.0.1/c"));
    assert_eq!(
        changed(&mut files, &contents),
        names(["sep000000000001.cnf.xml"])
    );
}

#[test]
fn firmware_touches_the_devices_that_run_it_and_the_defaults() {
    let mut contents = contents();
    let mut files = started(&contents);
    contents
        .loads
        .insert(("7960".into(), Protocol::Sip), "P0S3-8-12-00".into());
    assert_eq!(
        changed(&mut files, &contents),
        names([
            "sip000000000003.cnf",
            "sipdefault.cnf",
            "os79xx.txt",
            "xmldefault.cnf.xml"
        ])
    );
    assert_eq!(content(&files, "os79xx.txt"), "P003-8-12-00\n");
}

#[test]
fn a_file_that_cannot_be_generated_keeps_its_last_good_version() {
    let mut contents = contents();
    let mut files = started(&contents);
    let good = content(&files, "sep000000000002.cnf.xml");

    let plan = contents.objects.dial_plans.remove("office").unwrap();
    assert_eq!(changed(&mut files, &contents), names(["droffice.xml"]));
    assert_eq!(content(&files, "sep000000000002.cnf.xml"), good);
    let told: Vec<_> = files
        .failures()
        .map(|(subject, failure)| format!("{subject} {failure}"))
        .collect();
    assert_eq!(
        told[0],
        "SEP000000000002 cannot be generated: there is no dial plan \"office\"; its last good \
         version is served"
    );
    assert_eq!(told.len(), 2);

    // One that never was has none.
    let mut new = device("SEP000000000009", "8845", "west");
    new.modules = vec!["8845".into()];
    assert_eq!(new.name.kind(), NameKind::Sep);
    contents.devices.push(new);
    changed(&mut files, &contents);
    assert!(files.failures().any(|(subject, failure)| {
        subject == "SEP000000000009" && failure.to_string().contains("no earlier version")
    }));

    contents.devices.pop();
    contents.objects.dial_plans.insert("office".into(), plan);
    changed(&mut files, &contents);
    assert_eq!(files.failures().count(), 0);
}

#[test]
fn a_dial_plan_that_phones_would_drop_keeps_its_last_good_version_too() {
    let mut contents = contents();
    let mut files = started(&contents);
    let plan = contents.objects.dial_plans.get_mut("office").unwrap();
    plan.rules = vec![plan.rules[0].clone(); 1000];
    assert_eq!(changed(&mut files, &contents), names([]));
    let (subject, failure) = files.failures().next().unwrap();
    assert_eq!(subject, "DRoffice.xml");
    assert!(failure.to_string().contains("drop one of more than 8191"));
}
