//! What phones fetch: firmware, locales and rings, checked with a daemon and without one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::program::{PATIENCE, code, configure, set_up, stderr, stdout, tftp_edge};

/// Two phones that are told to run a load, which is not there.
fn configure_firmware(directory: &Path) -> PathBuf {
    let file = configure(directory);
    let config = file.to_str().unwrap();
    let phones = directory.join("phones.csv");
    let rows = "name,model,protocol,lines\n\
                SEP00AABBCCDDE1,7941,sccp,1001\nSEP00AABBCCDDE2,7941,sccp,1002\n";
    std::fs::write(&phones, rows).unwrap();
    set_up(config, &["inventory", "import", phones.to_str().unwrap()]);
    let load = "sccp=SCCP41.9-4-2SR3-1S";
    set_up(config, &["inventory", "model", "set", "7941", load]);
    file
}

#[test]
fn firmware_that_is_not_here_ends_the_check_with_1_until_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure_firmware(directory.path());
    let config = file.to_str().unwrap();
    let check =
        |more: &[&str]| tftp_edge(&[&["firmware", "check", "--config", config], more].concat());
    let missing = check(&[]);
    assert_eq!(code(&missing), 1, "{}", stderr(&missing));
    let text = stdout(&missing);
    for part in [
        "MISSING     SCCP41.9-4-2SR3-1S",
        "2 devices, such as SEP00AABBCCDDE1",
        "Unpack",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let files = directory.path().join("files");
    std::fs::write(files.join("SCCP41.9-4-2SR3-1S.loads"), "a.sbn\r\nb.sbn\r\n").unwrap();
    std::fs::write(files.join("a.sbn"), "firmware").unwrap();
    let incomplete = check(&["--json"]);
    assert_eq!(code(&incomplete), 1);
    let report: serde_json::Value = serde_json::from_slice(&incomplete.stdout).unwrap();
    let load = &report["loads"][0];
    assert_eq!(load["state"], "incomplete");
    assert_eq!(load["problems"][0], "b.sbn is missing");
    assert_eq!(load["devices"], 2);
    let list = tftp_edge(&["firmware", "list", "--config", config]);
    assert_eq!(code(&list), 0);
    assert!(
        stdout(&list).contains("missing  b.sbn"),
        "{}",
        stdout(&list)
    );

    std::fs::write(files.join("B.SBN"), "firmware").unwrap();
    let whole = check(&[]);
    assert_eq!(code(&whole), 0, "{}", stdout(&whole));
    assert!(stdout(&whole).contains("2 images"), "{}", stdout(&whole));
}

#[test]
fn a_locale_or_a_ring_that_is_wrong_is_told_and_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let config = file.to_str().unwrap();
    let phones = directory.path().join("phones.csv");
    std::fs::write(
        &phones,
        "name,model,protocol,lines\nSEP00AABBCCDDE1,7941,sip,1001\n",
    )
    .unwrap();
    set_up(config, &["inventory", "import", phones.to_str().unwrap()]);
    let locale = "user_locale=German_Germany";
    set_up(config, &["inventory", "site", "set", "default", locale]);
    let files = directory.path().join("files");
    std::fs::write(files.join("bell.raw"), [0x7f; 480]).unwrap();
    std::fs::write(files.join("tiny.raw"), [0x7f; 24]).unwrap();
    let output = tftp_edge(&["files", "check", "--config", config]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "no folder German_Germany",
        "left out    tiny.raw: it has 24 samples",
        "2 lists: distinctiveringlist.xml, ringlist.xml",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_daemon_tells_of_missing_firmware_until_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure_firmware(directory.path());
    let daemon = Daemon::start(&file);
    let until = |what: &str, is_so: &dyn Fn(&serde_json::Value) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = daemon.status(&["--json"]);
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            if is_so(&status["alarms"]) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until("missing", &|alarms| {
        alarms[0]["kind"] == "firmware" && alarms[0]["subject"] == "SCCP41.9-4-2SR3-1S"
    });
    let files = directory.path().join("files");
    std::fs::write(files.join("SCCP41.9-4-2SR3-1S.loads"), "a.sbn\r\n").unwrap();
    std::fs::write(files.join("a.sbn"), "firmware").unwrap();
    until("here", &|alarms| {
        alarms.as_array().is_some_and(Vec::is_empty)
    });
}
