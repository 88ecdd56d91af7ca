//! The command line, by running the program.

// Clippy's leave for tests does not reach helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(20);

fn tftp_edge(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tftp-edge"));
    command.args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A configuration that touches nothing outside its directory.
fn configure(directory: &Path) -> PathBuf {
    let file = directory.join("tftp-edge.toml");
    let text = "control.socket = \"control.sock\"\n\
                metrics.address = \"127.0.0.1:0\"\n\
                web.address = \"127.0.0.1:0\"\n\
                log.format = \"text\"\n\
                inventory.database = \"inventory.db\"\n\
                content.root = \"files\"\n\
                tftp = { listen = [\"127.0.0.1:0\"], workers = 1 }\n\
                http.listen = [\"127.0.0.1:0\"]\n";
    std::fs::write(&file, text).unwrap();
    std::fs::create_dir_all(directory.join("files")).unwrap();
    file
}

struct Daemon {
    child: Child,
    config: PathBuf,
}

impl Daemon {
    /// Runs and answers on its control socket.
    fn start(config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tftp-edge"));
        command.args(["run", "--config", config.to_str().unwrap()]);
        Self::start_by(command, config)
    }

    fn start_by(mut command: Command, config: &Path) -> Self {
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut daemon = Self {
            child,
            config: config.to_owned(),
        };
        let deadline = Instant::now() + PATIENCE;
        while code(&daemon.status(&[])) == 69 {
            assert_eq!(daemon.child.try_wait().unwrap(), None, "ended at once");
            assert!(Instant::now() < deadline, "does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn status(&self, more: &[&str]) -> Output {
        let config = self.config.to_str().unwrap();
        tftp_edge(&[&["status", "--config", config], more].concat())
    }

    fn end_with(&mut self, signal: Signal) -> (Option<i32>, String) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let ended = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{signal} does not end it");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (ended.code(), log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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

#[test]
fn a_daemon_runs_answers_and_ends_in_order_on_either_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let directory = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(&configure(directory.path()));

        let text = stdout(&daemon.status(&[]));
        assert!(text.starts_with(concat!("tftp-edge ", env!("CARGO_PKG_VERSION"), ", pid ")));
        let json = daemon.status(&["--json"]);
        let status: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(status["pid"], daemon.child.id());
        assert_eq!(status["rungs"][2]["path"], "socket");
        // Without the configuration, straight at the socket.
        let socket = directory.path().join("control.sock");
        let direct = tftp_edge(&["status", "--json", "--socket", socket.to_str().unwrap()]);
        assert_eq!(code(&direct), code(&json));

        let (ended, log) = daemon.end_with(signal);
        assert_eq!(ended, Some(0), "{log}");
        assert!(
            log.contains(&format!("event=\"edge.stopping\" signal=\"{signal}\"")),
            "{log}"
        );
        assert!(!socket.exists());
    }
}

#[test]
fn a_hangup_has_the_settings_read_anew_and_so_has_reload() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let mut daemon = Daemon::start(&file);
    let fragment = directory.path().join("conf.d/10.toml");
    std::fs::create_dir(directory.path().join("conf.d")).unwrap();
    std::fs::write(&fragment, "log.levle = \"warn\"\n").unwrap();
    let pid = Pid::from_raw(daemon.child.id().try_into().unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    let fault = format!(
        "{}:1:5: log.levle: there is no such key; did you mean `level`?",
        fragment.display()
    );
    let refused = format!("the last reload was refused, those before hold: {fault}");
    let deadline = Instant::now() + PATIENCE;
    // The daemon knows its socket; who asks with a configuration that is at fault does not.
    let socket = directory.path().join("control.sock");
    let socket = ["--socket", socket.to_str().unwrap()];
    while !stdout(&tftp_edge(&["status", socket[0], socket[1]])).contains(&refused) {
        assert!(Instant::now() < deadline, "it is not told");
        std::thread::sleep(Duration::from_millis(20));
    }
    let config = file.to_str().unwrap();
    let again = tftp_edge(&["reload", "--config", config]);
    let told = format!("tftp-edge: {fault}; the settings are as they were\n");
    assert_eq!((code(&again), stderr(&again)), (78, told));

    std::fs::write(&fragment, "log.level = \"warn\"\ntftp.workers = 2\n").unwrap();
    let done = tftp_edge(&["reload", "--config", config]);
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    assert_eq!(
        stdout(&done),
        format!(
            "read {config}\nread {}\nin force now:\n  log.level: \"info\" -> \"warn\"\nwaiting for \
             a restart:\n  tftp.workers: 1 -> 2\n",
            fragment.display()
        )
    );
    let (code, log) = daemon.end_with(Signal::SIGTERM);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("event=\"config.not_reloaded\""), "{log}");
    assert!(
        !log.contains("event=\"edge.stopped\""),
        "the level is warn: {log}"
    );
}

#[test]
fn a_daemon_serves_disk_and_inventory_and_tells_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let config = file.to_str().unwrap();
    std::fs::write(
        directory.path().join("files/dialplan.xml"),
        "<DIALTEMPLATE/>",
    )
    .unwrap();
    let csv = directory.path().join("phones.csv");
    std::fs::write(
        &csv,
        "name,model,protocol,lines\nSEP001122334455,7941,sip,100\n",
    )
    .unwrap();
    tftp_edge(&[
        "--config",
        config,
        "inventory",
        "import",
        csv.to_str().unwrap(),
    ]);

    let daemon = Daemon::start(&file);
    let output = daemon.status(&["--json"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["devices"]["sip"], 1);
    let server = status["sockets"][0].as_str().unwrap();
    assert_eq!(
        fetch_first_block(server, "DialPlan.xml"),
        b"<DIALTEMPLATE/>"
    );
    let rendered = tftp_edge(&["--config", config, "render", "SEP001122334455"]);
    let served = fetch_first_block(server, "SEP001122334455.cnf.xml");
    assert_eq!(served, &rendered.stdout[..512]);

    let status: serde_json::Value =
        serde_json::from_slice(&daemon.status(&["--json"]).stdout).unwrap();
    assert_eq!(status["rungs"][2]["requests"], 2);
}

/// DATA 1 of a read request without options (RFC 1350); the ERROR ends the transfer.
/// Runs a command that must succeed on the inventory of a configuration.
fn set_up(config: &str, arguments: &[&str]) {
    let output = tftp_edge(&[arguments, &["--config", config]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

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

fn fetch_first_block(server: &str, name: &str) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = [b"\0\x01", name.as_bytes(), b"\0octet\0"].concat();
    socket.send_to(&request, server).unwrap();
    let mut packet = [0; 1024];
    let (len, from) = socket.recv_from(&mut packet).unwrap();
    socket.send_to(b"\0\x05\0\0\0", from).unwrap();
    assert_eq!(&packet[..4], b"\0\x03\0\x01");
    packet[4..len].to_vec()
}

#[test]
fn a_daemon_serves_http_and_tells_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    std::fs::write(directory.path().join("files/dialplan.xml"), "<x/>").unwrap();
    let daemon = Daemon::start(&file);
    let status: serde_json::Value =
        serde_json::from_slice(&daemon.status(&["--json"]).stdout).unwrap();
    let address = status["http"]["http"][0].as_str().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /DialPlan.xml HTTP/1.0\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n<x/>"), "{answer}");
    let status: serde_json::Value =
        serde_json::from_slice(&daemon.status(&["--json"]).stdout).unwrap();
    assert_eq!(status["rungs"][3]["path"], "http");
    assert_eq!(status["rungs"][3]["requests"], 1);
    let text = stdout(&daemon.status(&[]));
    assert!(text.contains(&format!("\nHTTP: {address}\n")), "{text}");
}

#[test]
fn an_http_port_that_is_taken_ends_with_69_and_names_the_setting() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let listen = format!("http.listen = [\"{address}\"]");
    let text = text.replace("http.listen = [\"127.0.0.1:0\"]", &listen);
    std::fs::write(&file, text).unwrap();
    let output = tftp_edge(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(code(&output), 69);
    let told = stderr(&output);
    assert!(
        told.contains(&format!("TCP {address} is taken by ")),
        "{told}"
    );
    assert!(
        told.ends_with("choose another address in http.listen, or set http.enabled = false\n"),
        "{told}"
    );
}

#[test]
fn a_certificate_that_cannot_be_used_ends_with_78_and_names_the_setting() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let mut text = std::fs::read_to_string(&file).unwrap();
    text += "http.tls = { enabled = true, listen = [\"127.0.0.1:0\"], key = \"key.pem\", \
             certificate = \"none.pem\" }\n";
    std::fs::write(&file, text).unwrap();
    let output = tftp_edge(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(code(&output), 78);
    let path = directory.path().join("none.pem");
    let told = format!("http.tls.certificate {}: cannot read it: ", path.display());
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
}

#[test]
fn a_second_daemon_is_refused_with_69_and_the_first_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let first = Daemon::start(&file);
    let second = tftp_edge(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(code(&second), 69);
    let message = format!(
        "tftp-edge: another tftp-edge (pid {}) serves ",
        first.child.id()
    );
    assert!(stderr(&second).contains(&message), "{}", stderr(&second));
    assert_ne!(code(&first.status(&[])), 69);
}

#[test]
fn a_daemon_that_was_killed_does_not_stand_in_the_way_of_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let mut first = Daemon::start(&file);
    assert_eq!(first.end_with(Signal::SIGKILL).0, None);
    assert!(directory.path().join("control.sock").exists());
    let mut second = Daemon::start(&file);
    assert_eq!(second.end_with(Signal::SIGTERM).0, Some(0));
}
