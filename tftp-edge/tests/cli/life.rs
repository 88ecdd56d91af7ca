//! From start to end: signals, reloads, and what keeps a daemon from starting.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::daemon::Daemon;
use crate::program::{PATIENCE, code, configure, stderr, stdout, tftp_edge};

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
