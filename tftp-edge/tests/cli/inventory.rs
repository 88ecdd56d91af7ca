//! The inventory: imported, listed, and closed to whom it is none of.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::daemon::Daemon;
use crate::program::{code, configure, stderr, stdout, tftp_edge};

#[test]
fn an_inventory_is_imported_and_listed_with_the_database_of_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let config = file.to_str().unwrap();
    let csv = directory.path().join("phones.csv");
    let import = || {
        tftp_edge(&[
            "inventory",
            "--config",
            config,
            "import",
            csv.to_str().unwrap(),
        ])
    };

    // Missing, wrong, right.
    assert_eq!(code(&import()), 66);
    std::fs::write(
        &csv,
        "name,model,protocol,lines\nSEP00112233445,7941,sip,100\n",
    )
    .unwrap();
    let output = import();
    assert_eq!(code(&output), 65);
    assert!(
        stderr(&output).starts_with("tftp-edge: "),
        "{}",
        stderr(&output)
    );
    std::fs::write(
        &csv,
        "name,model,protocol,lines\nSEP001122334455,7941,sip,100\n",
    )
    .unwrap();
    let output = import();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("1 added"));

    assert!(directory.path().join("inventory.db").exists());
    let output = tftp_edge(&["--config", config, "inventory", "list"]);
    assert!(stdout(&output).starts_with("SEP001122334455  7941"));
    let output = tftp_edge(&[
        "--config",
        config,
        "inventory",
        "model",
        "set",
        "1234",
        "sip=x",
    ]);
    assert_eq!(code(&output), 64);
}

#[test]
fn an_inventory_beneath_the_served_root_is_refused_with_78() {
    let directory = tempfile::tempdir().unwrap();
    let config = configure(directory.path());
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("\"inventory.db\"", "\"files/inventory.db\"");
    std::fs::write(&config, text).unwrap();
    for command in ["check", "run"] {
        let output = tftp_edge(&[command, "--config", config.to_str().unwrap()]);
        assert_eq!(code(&output), 78);
        let told = stderr(&output);
        assert!(told.contains(":5:11: inventory.database: "), "{told}");
        assert!(told.contains("beneath content.root"), "{told}");
    }
    assert!(!directory.path().join("files/inventory.db").exists());
}

#[test]
fn the_inventory_is_closed_to_other_users_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let config = configure(directory.path());
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("\"inventory.db\"", "\"new/inventory.db\"");
    std::fs::write(&config, text).unwrap();
    // With a daemon that has it open, so that the journal files are there.
    let script = format!(
        "umask 000; exec {} run --config {}",
        env!("CARGO_BIN_EXE_tftp-edge"),
        config.display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]);
    let _daemon = Daemon::start_by(shell, &config);
    let folder = directory.path().join("new");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o750);
    for file in ["inventory.db", "inventory.db-wal", "inventory.db-shm"] {
        assert_eq!(mode(&folder.join(file)), 0o640, "{file}");
    }
}
