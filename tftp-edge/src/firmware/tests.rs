use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use md5::{Digest, Md5};
use tempfile::TempDir;

use super::*;
use crate::content::Survey;
use crate::inventory::{Contents, Device, Protocol, Site, Snapshot};

const LOAD: &str = "SCCP41.9-4-2SR3-1S";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(folder.path(), name, content);
    }
    folder
}

fn write(root: &Path, name: &str, content: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn here() -> Checker {
    Checker::new(Arc::new(|_| false))
}

fn check(folder: &TempDir, load: &str) -> Result<Complete, Vec<String>> {
    let survey = Survey::of(folder.path()).unwrap();
    let checked = here().check(load, &survey);
    checked.map_err(|faults| faults.iter().map(Fault::to_string).collect())
}

fn device(number: u32, load: Option<&str>) -> Device {
    let name = format!("SEP{number:012X}").parse().unwrap();
    Device {
        load: load.map(str::to_owned),
        ..Device::new(name, "7941", Protocol::Sccp)
    }
}

fn snapshot(devices: Vec<Device>, loads: &[(&str, Protocol, &str)]) -> Snapshot {
    let loads = loads
        .iter()
        .map(|(model, protocol, load)| (((*model).to_owned(), *protocol), (*load).to_owned()));
    let contents = Contents {
        devices,
        loads: loads.collect(),
        ..Contents::default()
    };
    Snapshot::new(contents, &Site::default())
}

fn report(snapshot: &Snapshot, folder: &TempDir) -> Report {
    let survey = Survey::of(folder.path()).unwrap();
    Report::of_all(&mut here(), &Needs::of(snapshot), &survey)
}

#[test]
fn a_load_is_complete_when_every_image_is_here_in_any_case() {
    let folder = folder(&[
        ("SCCP41.9-4-2SR3-1S.LOADS", "apps.sbn\r\nJAR.sbn  \r\n"),
        ("APPS.SBN", "1234"),
        ("jar.sbn", "12"),
    ]);
    let complete = Complete {
        images: 2,
        len_bytes: 6,
        elsewhere: 0,
    };
    assert_eq!(check(&folder, LOAD), Ok(complete));
}

#[test]
fn each_image_that_is_not_here_is_named() {
    let folder = folder(&[
        (&format!("{LOAD}.loads"), "apps.sbn\njar.sbn\ndsp.sbn\n"),
        ("jar.sbn", "12"),
    ]);
    assert_eq!(
        check(&folder, LOAD),
        Err(vec![
            "apps.sbn is missing".into(),
            "dsp.sbn is missing".into()
        ])
    );
}

#[test]
fn firmware_in_a_folder_is_not_where_phones_look_and_it_is_said_where_it_lies() {
    let folder = folder(&[("fw/SCCP41.9-4-2SR3-1S.loads", "a.sbn"), ("fw/a.sbn", "1")]);
    let faults = check(&folder, LOAD).unwrap_err();
    assert_eq!(
        faults,
        ["SCCP41.9-4-2SR3-1S.loads is missing where phones look for it; it lies in fw, move it up"]
    );
}

#[test]
fn an_image_is_as_long_as_the_list_says_and_sums_up_to_what_it_says() {
    let sum = |content: &str| -> String {
        let sum: [u8; 16] = Md5::digest(content).into();
        sum.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let list = format!(
        "a.SBN 4 {}\nb.SBN 4 {}\nc.SBN 5\n",
        sum("good"),
        sum("good")
    );
    let folder = folder(&[
        ("CP7921G-1.4.3.4.LOADS", list.as_str()),
        ("a.SBN", "good"),
        ("b.SBN", "evil"),
        ("c.SBN", "cut"),
    ]);
    assert_eq!(
        check(&folder, "CP7921G-1.4.3.4"),
        Err(vec![
            "b.SBN is damaged: its MD5 is not the one that CP7921G-1.4.3.4.loads says".into(),
            "c.SBN has 3 bytes, CP7921G-1.4.3.4.loads says 5".into(),
        ])
    );
}

#[test]
fn what_a_web_server_said_instead_is_no_firmware() {
    let folder = folder(&[
        ("one.loads", "<html>404</html>"),
        ("two.loads", "a.sbn\nb.sbn\n"),
        ("a.sbn", "<!DOCTYPE html>"),
        ("b.sbn", ""),
    ]);
    let faults = check(&folder, "one").unwrap_err();
    assert!(faults[0].contains("web page"), "{faults:?}");
    assert_eq!(
        check(&folder, "two").unwrap_err(),
        ["a.sbn is a web page, no firmware", "b.sbn is empty"]
    );
}

#[test]
fn a_load_that_is_one_image_needs_no_list() {
    let folder = folder(&[
        ("B016-1-0-4-2.SBN", "module"),
        ("CP7912080004SCCP080108A.sbin", "phone"),
    ]);
    assert_eq!(check(&folder, "B016-1-0-4-2").unwrap().images, 1);
    assert_eq!(
        check(&folder, "CP7912080004SCCP080108A.sbin")
            .unwrap()
            .images,
        1
    );
    let faults = check(&folder, "ATA030204.zup").unwrap_err();
    assert_eq!(faults, ["ATA030204.zup is missing"]);
}

#[test]
fn what_another_server_has_is_not_missing() {
    let folder = folder(&[
        ("x.loads", "here.sbn\nthere.sbn\nnowhere.sbn\n"),
        ("here.sbn", "1"),
    ]);
    let survey = Survey::of(folder.path()).unwrap();
    let mut checker = Checker::new(Arc::new(|name| name == "there.sbn" || name == "y.loads"));
    let faults = checker.check("x", &survey).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].to_string().contains("nowhere.sbn"));
    assert_eq!(checker.check("y", &survey).unwrap().elsewhere, 1);
}

#[test]
fn a_file_is_read_again_only_after_it_was_written_to() {
    let folder = folder(&[("x.loads", "a.sbn\n"), ("a.sbn", "1"), ("b.sbn", "1")]);
    let mut checker = here();
    let mut check = || checker.check("x", &Survey::of(folder.path()).unwrap());
    assert!(check().is_ok());
    write(folder.path(), "x.loads", "a.sbn\nb.sbn\nc.sbn\n");
    assert_eq!(check().unwrap_err().len(), 1);
    write(folder.path(), "c.sbn", "1");
    assert_eq!(check().unwrap().images, 3);
}

#[test]
fn devices_are_counted_under_the_load_that_each_is_told_to_run() {
    let devices = vec![
        device(1, None),
        device(2, None),
        device(3, Some("Own-Load")),
        device(4, Some("OWN-LOAD")),
    ];
    let snapshot = snapshot(devices, &[("7941", Protocol::Sccp, LOAD)]);
    let needs = Needs::of(&snapshot);
    let of_model = needs.get(LOAD).unwrap();
    assert_eq!(of_model.devices, 2);
    assert_eq!(of_model.example.unwrap().as_str(), "SEP000000000001");
    assert_eq!(of_model.models, [("7941".to_owned(), Protocol::Sccp)]);
    let own = needs.get("own-load").unwrap();
    assert_eq!((own.load.as_str(), own.devices), ("Own-Load", 2));
}

#[test]
fn the_firmware_of_a_module_is_needed_by_the_phones_that_have_one() {
    let mut with_module = device(1, None);
    with_module.modules = vec!["7916-24".into()];
    let loads = [("7916-24", Protocol::Sccp, "B016-1-0-4-2")];
    let snapshot = snapshot(vec![with_module, device(2, None)], &loads);
    let need = Needs::of(&snapshot).get("B016-1-0-4-2").unwrap().clone();
    assert!(need.is_module);
    assert_eq!(need.devices, 1);
}

#[test]
fn a_missing_load_is_told_with_who_is_hit_and_what_to_do() {
    let devices = vec![device(1, None), device(2, None)];
    let snapshot = snapshot(devices, &[("7941", Protocol::Sccp, LOAD)]);
    let folder = folder(&[]);
    let report = report(&snapshot, &folder);
    assert!(report.has_faults());
    assert_eq!(report.loads[0].state, State::Missing);
    let root = fs::canonicalize(folder.path()).unwrap();
    assert_eq!(
        report.loads[0].alarm(Path::new("/srv/tftp")),
        "SCCP41.9-4-2SR3-1S.loads is missing. Told to run it, and rebooting until they can: 2 \
         devices, such as SEP000000000001. Unpack all of the load's zip or cop file into \
         /srv/tftp, not into a folder of it; or let phones keep what they run: `tftp-edge \
         inventory model set 7941 sccp=`"
    );
    let text = report.to_string();
    assert!(text.starts_with("MISSING     SCCP41.9-4-2SR3-1S"), "{text}");
    assert!(text.contains(root.to_str().unwrap()), "{text}");
    assert!(text.ends_with("devices: 2.\n"), "{text}");
}

#[test]
fn phones_that_are_sent_to_another_host_for_their_load_need_none_here() {
    let mut sent = device(1, Some("far"));
    sent.settings = BTreeMap::from([("load_server".into(), "10.0.0.9".into())]);
    let report = report(&snapshot(vec![sent], &[]), &folder(&[]));
    assert_eq!(report.loads[0].state, State::Elsewhere);
    assert_eq!(
        (report.loads[0].devices, report.loads[0].sent_elsewhere),
        (0, 1)
    );
    assert!(!report.has_faults());
}

#[test]
fn what_nobody_is_told_to_run_is_no_fault() {
    let folder = folder(&[
        ("term41.default.loads", "gone.sbn"),
        ("fw/SIP70.9-4-2SR3-1S.loads", "gone.sbn"),
        ("German_Germany/CIPC_Locale.loads", "words.xml"),
    ]);
    let report = report(&snapshot(Vec::new(), &[]), &folder);
    assert!(!report.has_faults());
    let told: Vec<_> = report
        .loads
        .iter()
        .map(|load| (load.load.as_str(), load.state, load.warnings[0].as_str()))
        .collect();
    let move_up = "phones do not look into folders: move it up with its images";
    let reset = "phones ask for it after a factory reset";
    assert_eq!(
        told,
        [
            ("fw/SIP70.9-4-2SR3-1S", State::Unused, move_up),
            ("term41.default", State::Unused, reset),
        ]
    );
}

#[test]
fn a_load_that_a_phone_cannot_jump_to_is_warned_about() {
    let old = device(1, Some("SCCP41.8-2-2SR1S"));
    let new = device(2, Some(LOAD));
    let folder = folder(&[
        (&format!("{LOAD}.loads"), "a.sbn"),
        ("SCCP41.8-2-2SR1S.loads", "a.sbn"),
        ("a.sbn", "1"),
    ]);
    let report = report(&snapshot(vec![old, new], &[]), &folder);
    assert!(!report.has_faults());
    for load in &report.loads {
        assert!(load.warnings[0].contains("8.5.2"), "{load:?}");
    }
}

#[test]
fn a_huge_file_that_is_called_a_list_is_not_read() {
    let folder = folder(&[("x.loads", "")]);
    let file = fs::File::options()
        .write(true)
        .open(folder.path().join("x.loads"))
        .unwrap();
    // More than there is memory; the file has holes alone.
    file.set_len(1 << 40).unwrap();
    let faults = check(&folder, "x").unwrap_err();
    assert!(faults[0].contains("too much"), "{faults:?}");
}

#[test]
fn a_load_for_phones_that_are_not_in_the_inventory_yet_is_needed_too() {
    let snapshot = snapshot(Vec::new(), &[("7941", Protocol::Sccp, LOAD)]);
    let report = report(&snapshot, &folder(&[]));
    assert!(report.has_faults());
    let told = report.loads[0].alarm(Path::new("/srv/tftp"));
    assert!(
        told.contains("unknown phones are told to (model 7941 sccp)"),
        "{told}"
    );
}

#[test]
fn a_soft_phone_fetches_no_firmware() {
    let name = "CSFJSMITH".parse().unwrap();
    let soft_phone = Device {
        load: Some("12.9".into()),
        ..Device::new(name, "CSF", Protocol::Sip)
    };
    assert_eq!(
        Needs::of(&snapshot(vec![soft_phone], &[])),
        Needs::default()
    );
}
