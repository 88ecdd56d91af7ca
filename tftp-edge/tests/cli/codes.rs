//! The command line itself: help, and the code that each command ends with.

use crate::program::{code, configure, stderr, stdout, tftp_edge};

#[test]
fn help_documents_the_exit_codes() {
    let output = tftp_edge(&["--help"]);
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).contains("\n  78  wrong configuration"));
}

/// The words of every command that can be typed, deepest first.
fn leaves(command: &clap::Command, words: &[String], found: &mut Vec<Vec<String>>) {
    for below in command.get_subcommands() {
        let words = [words, &[below.get_name().to_owned()]].concat();
        leaves(below, &words, found);
        found.push(words);
    }
}

#[test]
fn every_command_ends_with_a_code_that_it_is_documented_with() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    // Nothing of another daemon's is taken off.
    let text = std::fs::read_to_string(&file).unwrap();
    let pins = directory.path().join("pins");
    let text = format!("{text}kernel.pin_path = \"{}\"\n", pins.display());
    std::fs::write(&file, text).unwrap();
    let mut all = Vec::new();
    leaves(&tftp_edge::cli::command(), &[], &mut all);
    assert!(all.len() > 20, "{all:?}");
    for words in all {
        let path = words.join(" ");
        let codes = tftp_edge::ops::exit::codes(&path).unwrap_or_else(|| panic!("{path}"));
        let ends = |more: &[&str]| {
            let words = words.iter().map(String::as_str);
            let output = tftp_edge(&words.chain(more.iter().copied()).collect::<Vec<_>>());
            let code = code(&output);
            let is_documented = codes.iter().any(|it| *it as i32 == code);
            assert!(
                is_documented,
                "{path} {more:?}: {code}: {}",
                stderr(&output)
            );
            code
        };
        assert_eq!(ends(&["--nonsense"]), 64, "{path}");
        assert_eq!(ends(&["--help"]), 0, "{path}");
        let missing = ends(&["--config", "/nonexistent/edge.toml"]);
        match path.as_str() {
            // The defaults are those of the program.
            "config defaults" => assert_eq!(missing, 0),
            // The daemon is to say what is wrong, where it listens if nothing else is said.
            "reload" => assert_eq!(missing, 69),
            _ => assert!([64, 78].contains(&missing), "{path}: {missing}"),
        }
        // And without a daemon, but for the one that would be it.
        if path != "run" {
            ends(&["--config", file.to_str().unwrap()]);
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    let output = tftp_edge(&["--version"]);
    assert_eq!(code(&output), 0);
    assert_eq!(
        stdout(&output),
        format!("tftp-edge {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage_ends_with_64() {
    for arguments in [&["--nonsense"][..], &["fly"], &[], &["status", "extra"]] {
        assert_eq!(code(&tftp_edge(arguments)), 64, "{arguments:?}");
    }
}

#[test]
fn check_says_ok_or_where_the_fault_is_and_ends_with_78() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let config = file.to_str().unwrap();
    let output = tftp_edge(&["check", "--config", config]);
    assert_eq!(code(&output), 0);
    assert_eq!(stdout(&output), format!("read {config}\n{config}: ok\n"));

    std::fs::write(&file, "[metrics]\nadress = \"127.0.0.1:1\"\n").unwrap();
    for command in ["check", "run", "status"] {
        let output = tftp_edge(&[command, "--config", config]);
        assert_eq!(code(&output), 78, "{command}");
        assert_eq!(
            stderr(&output),
            format!(
                "tftp-edge: {config}:2:1: metrics.adress: there is no such key; did you mean \
                 `address`?\n"
            )
        );
    }
}

#[test]
fn a_missing_configuration_ends_with_78_and_says_where_to_begin() {
    let output = tftp_edge(&["check", "--config", "/nonexistent/edge.toml"]);
    assert_eq!(code(&output), 78);
    assert_eq!(
        stderr(&output),
        "tftp-edge: /nonexistent/edge.toml: cannot read the configuration: No such file or \
         directory (os error 2); name the file with --config, or begin with the commented \
         tftp-edge.toml that comes with the program\n"
    );
}

#[test]
fn status_without_a_daemon_ends_with_69() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let output = tftp_edge(&["status", "--config", file.to_str().unwrap()]);
    assert_eq!(code(&output), 69);
    assert!(stderr(&output).starts_with("tftp-edge: no daemon answers on "));
}

#[test]
fn what_only_the_daemon_knows_of_phones_ends_with_69_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let file = file.to_str().unwrap();
    // The list stands without a word of its own, and with the configuration before or after it.
    for arguments in [
        &["phones", "--config", file][..],
        &["--config", file, "phones", "--stage", "firmware"],
        &["phones", "--stuck", "--json", "--config", file],
        &["why", "00:11:22:33:44:55", "--config", file],
        &["report", "--csv", "--config", file],
    ] {
        let output = tftp_edge(arguments);
        assert_eq!(code(&output), 69, "{arguments:?}: {output:?}");
        assert!(
            stderr(&output).starts_with("tftp-edge: no daemon answers on "),
            "{output:?}"
        );
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    // What is in the inventory is there without it.
    let nobody = tftp_edge(&["phones", "--config", file, "show", "SEP001122334455"]);
    assert_eq!(code(&nobody), 65, "{nobody:?}");
    assert!(
        stderr(&nobody).contains("not in the inventory"),
        "{nobody:?}"
    );
    let listed = tftp_edge(&["phones", "--config", file, "list"]);
    assert_eq!(code(&listed), 0, "{listed:?}");
    let confused = tftp_edge(&["phones", "--config", file, "--stuck", "list"]);
    assert_eq!(code(&confused), 64, "{confused:?}");
}
