//! The daemon as its unit runs it: a user of its own with a few capabilities, a service manager that
//! is told how it is, and sockets that were opened before it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::{Exchange, Outcome, Request, Retry, get};
use tftp_edge_tests::demo::{Edge, Mode};
use tftp_edge_tests::lab::{
    CLIENT_IF, CLIENT_V4, Lab, LabOptions, LabPrograms, Process, SERVER_V4, with_root,
};
use tftp_edge_tests::manager::{CAPABILITIES, Halted, Notifications, as_user, give, hand_in};
use tftp_edge_tests::rig::{OVER_V4, answers, daemon_under_test, wait_for};
use tftp_edge_tests::server::Place;

const WATCHDOG: Duration = Duration::from_secs(2);
const METRICS: &str = "127.0.0.1:9466";
const FILE: &str = "f.bin";

/// A lab with a daemon that is not started, and everything it has in hands of the service's user.
struct Served<'lab> {
    lab: &'lab Lab,
    edge: Edge<'lab>,
    folder: TempDir,
}

impl<'lab> Served<'lab> {
    fn new(lab: &'lab Lab, mode: Mode) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let place = Place::Namespace(&lab.server);
        let edge = Edge::new(&daemon_under_test()?, folder.path(), place, mode, 100)?;
        let served = Self { lab, edge, folder };
        served.put(FILE, b"content")?;
        Ok(served)
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.edge.root().join(name);
        fs::write(&path, content)?;
        give(&path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn place(&self) -> Place<'lab> {
        Place::Namespace(&self.lab.server)
    }

    fn command(&self, capabilities: &[&str]) -> Result<Command> {
        give(self.folder.path())?;
        let mut command = as_user(self.place(), capabilities, daemon_under_test()?);
        command.args(["run", "--config"]).arg(self.edge.config());
        Ok(command)
    }

    fn start(&self, command: Command) -> Result<Process> {
        Process::start("tftp-edge", command, &self.path("tftp-edge.log"))
    }

    /// The status line and the body of a page of health.
    fn ask(&self, page: &str) -> Result<(String, String)> {
        self.place().enter(|| {
            let mut stream = TcpStream::connect(METRICS)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            write!(stream, "GET {page} HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
            let line = head.lines().next().unwrap_or_default();
            Ok((line.to_owned(), body.to_owned()))
        })
    }

    fn status(&self) -> Result<Value> {
        Ok(serde_json::from_slice(
            &self.edge.output(&["status", "--json"])?.stdout,
        )?)
    }

    /// Fetches a file, which must come from this rung.
    fn fetch(&self, name: &str, rung: Rung) -> Result<()> {
        let before = self.edge.metrics()?;
        let request = Request::plain(name);
        let fetched = self
            .lab
            .client
            .enter(|| get(CLIENT_V4.into(), OVER_V4, request, Retry::default()))?;
        ensure!(fetched.outcome == Outcome::Complete, "{name}: {fetched:?}");
        let served = answers(&before, &self.edge.metrics()?, rung);
        ensure!(served > 0.0, "{name} did not come from {}", rung.as_str());
        Ok(())
    }
}

/// What the threads of a daemon may do, as `status --json` has it: sets, and the threads with each.
fn threads<'s>(status: &'s Value, set: &str) -> Vec<&'s str> {
    let names = status["privileges"]["threads"][set].as_array();
    let names = names.into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

fn sets(status: &Value) -> BTreeSet<&str> {
    let sets = status["privileges"]["threads"].as_object();
    sets.into_iter().flatten().map(|(set, _)| &**set).collect()
}

#[test]
fn a_service_user_serves_from_the_kernel_and_tells_the_service_manager_how_it_is() {
    with_root(true, || {
        let lab = Lab::new(LabOptions::default())?;
        let served = Served::new(&lab, Mode::Tc)?;
        let socket = served.path("notify");
        let manager = Notifications::listen(&socket)?;
        let mut command = served.command(&CAPABILITIES)?;
        Notifications::environment(&mut command, &socket, Some(WATCHDOG));
        let mut daemon = served.start(command)?;

        let heard = manager.until("READY=1")?;
        ensure!(heard.contains("STATUS=starting"), "{heard}");
        let (line, body) = served.ask("/readyz")?;
        ensure!(
            line.contains(" 200 ") && body.starts_with("ready"),
            "{line} {body}"
        );
        wait_for("the kernel path", || served.fetch(FILE, Rung::Tc).is_ok())?;
        manager.until("WATCHDOG=1")?;
        manager.until("WATCHDOG=1")?;

        // Each thread has what its work needs.
        let status = served.status()?;
        let all = "CAP_BPF CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_PERFMON";
        let kernel = "CAP_BPF CAP_NET_ADMIN CAP_NET_RAW CAP_PERFMON";
        let expected = ["none", "CAP_BPF", "CAP_NET_BIND_SERVICE", kernel, all];
        ensure!(sets(&status) == BTreeSet::from(expected), "{status:#}");
        for (thread, set) in [
            ("tftp-edge", all),
            ("ops", all),
            ("kernel", kernel),
            ("curator", "CAP_BPF"),
            ("tftp-0", "CAP_NET_BIND_SERVICE"),
            ("http", "CAP_NET_BIND_SERVICE"),
            ("journal-store", "none"),
            ("service", "none"),
            ("notify-rs inoti", "none"),
        ] {
            ensure!(
                threads(&status, set).contains(&thread),
                "{thread}: {status:#}"
            );
        }
        ensure!(
            threads(&status, all)
                .iter()
                .all(|it| ["tftp-edge", "ops"].contains(it)),
            "{status:#}"
        );
        let bounding = status["privileges"]["bounding"].as_array();
        ensure!(bounding.map(Vec::len) == Some(5), "{status:#}");

        // A loop that stands still: no sign of life any more, and its name for who asks. On a machine
        // that is busy others may be late as well.
        let halted = Halted::thread(daemon.pid(), "tftp-0")?;
        manager.until("STATUS=not alive: ")?;
        let named = "\ntftp-0 has not gone round for ";
        wait_for("its name", || {
            let answer = served.ask("/livez");
            answer.is_ok_and(|(line, body)| line.contains(" 503 ") && body.contains(named))
        })?;
        // What was said before it was named.
        while manager.next(Duration::ZERO)?.is_some() {}
        let silence = manager.during(WATCHDOG)?;
        ensure!(!silence.contains("WATCHDOG=1"), "{silence}");
        halted.release()?;
        manager.until("WATCHDOG=1")?;
        wait_for("life", || {
            served
                .ask("/livez")
                .is_ok_and(|(_, body)| body == "alive\n")
        })?;

        ensure!(daemon.stop()?.success(), "{}", daemon.log_tail());
        manager.until("STOPPING=1")?;
        ensure!(
            !daemon.log().contains("service.not_confined"),
            "{}",
            daemon.log()
        );
        Ok(())
    });
}

#[test]
fn what_was_given_up_is_not_needed_to_serve_under_xdp() {
    with_root(true, || {
        let lab = Lab::new(LabOptions::default())?;
        let _page_sized = LabPrograms::page_sized(&lab.client, CLIENT_IF)?;
        let served = Served::new(&lab, Mode::Xdp)?;
        let section = "keep_privileges = false\nmemory_limit = \"16MiB\"";
        served.edge.amend("kernel", section)?;
        let socket = served.path("notify");
        let manager = Notifications::listen(&socket)?;
        let mut command = served.command(&CAPABILITIES)?;
        Notifications::environment(&mut command, &socket, None);
        let mut daemon = served.start(command)?;
        manager.until("READY=1")?;
        wait_for("the kernel path", || served.fetch(FILE, Rung::Xdp).is_ok())?;
        let status = served.status()?;
        ensure!(sets(&status) == BTreeSet::from(["none"]), "{status:#}");
        // Content that grows past the first bank, and past what was there at the start.
        for name in ["a.bin", "b.bin"] {
            served.put(name, &vec![7; 5 << 20])?;
        }
        wait_for("new content in the kernel", || {
            served
                .status()
                .is_ok_and(|it| it["files"]["in_kernel"] == 3)
        })?;
        served.put("small.bin", b"later")?;
        wait_for("a later file", || {
            served.fetch("small.bin", Rung::Xdp).is_ok()
        })?;

        let trace = ["trace", "10.77.0.2", "--seconds", "1"];
        let refused = served.edge.output(&trace)?;
        let told = String::from_utf8_lossy(&refused.stderr);
        ensure!(
            !refused.status.success() && told.contains("kernel.keep_privileges = false"),
            "{told}"
        );
        // And what could not be done has harmed nothing.
        served.fetch(FILE, Rung::Xdp)?;
        ensure!(daemon.stop()?.success(), "{}", daemon.log_tail());
        Ok(())
    });
}

#[test]
fn each_missing_capability_is_named() {
    with_root(true, || {
        let lab = Lab::new(LabOptions::default())?;
        for missing in CAPABILITIES {
            let served = Served::new(&lab, Mode::Tc)?;
            let others = CAPABILITIES.into_iter().filter(|it| *it != missing);
            let command = served.command(&others.collect::<Vec<_>>())?;
            let mut daemon = served.start(command)?;
            let name = format!("CAP_{}", missing.to_uppercase());
            let told = match missing {
                "net_bind_service" => format!("run with {name}"),
                _ => format!("the process lacks {name}"),
            };
            wait_for(&told, || daemon.log().contains(&told))?;
            if missing == "net_bind_service" {
                wait_for("its end", || !daemon.is_running())?;
                ensure!(daemon.stop()?.code() == Some(77), "{}", daemon.log_tail());
            } else {
                // Slower, and not wrong.
                wait_for("the sockets", || served.fetch(FILE, Rung::Socket).is_ok())?;
            }
        }
        Ok(())
    });
}

#[test]
fn requests_that_wait_in_sockets_of_the_service_manager_are_answered_by_the_next_daemon() {
    with_root(false, || {
        let lab = Lab::new(LabOptions::default())?;
        let served = Served::new(&lab, Mode::Off)?;
        served.edge.amend("tftp", "workers = 2")?;
        let control = served.path("control.sock");
        let (tftp, http, other) = served.place().enter(|| {
            Ok((
                UdpSocket::bind("0.0.0.0:69")?,
                TcpListener::bind("0.0.0.0:6970")?,
                UdpSocket::bind((SERVER_V4, 70))?,
            ))
        })?;
        let unix = UnixListener::bind(&control)?;
        // Those of IPv6 are its own: no port below 1024 for who may not bind one.
        let config = fs::read_to_string(served.edge.config())?;
        let config = config.replace(r#"["0.0.0.0:69", "[::]:69"]"#, r#"["0.0.0.0:69"]"#);
        fs::write(served.edge.config(), config)?;
        let sockets = [
            (OwnedFd::from(tftp), "tftp"),
            (OwnedFd::from(http), "http"),
            (OwnedFd::from(other), "old"),
            (OwnedFd::from(unix), "control"),
        ];
        let clients: Vec<_> = lab.client.enter(|| {
            let clients = (0..20).map(|_| Exchange::new(CLIENT_V4.into(), 0));
            clients.collect::<Result<_>>()
        })?;
        for round in ["before the first daemon", "between two"] {
            for client in &clients {
                client.send(OVER_V4, b"\0\x01f.bin\0octet\0")?;
            }
            let mut daemon = served.start(hand_in(&served.command(&[])?, &sockets)?)?;
            for client in &clients {
                let answer = client.receive(Duration::from_secs(20))?;
                let (from, packet) = answer.with_context(|| {
                    format!("{round}: a request is lost\n{}", daemon.log_tail())
                })?;
                ensure!(packet == b"\0\x03\0\x01content", "{round}: {packet:?}");
                client.send(from, b"\0\x04\0\x01")?;
            }
            let told = "the socket `old` of the service manager is UDP 10.77.0.1:70, and no \
                        setting has that address";
            ensure!(daemon.log().contains(told), "{}", daemon.log());
            // The other sockets are in use, too.
            wait_for("status over the socket that was handed in", || {
                served
                    .status()
                    .is_ok_and(|it| it["privileges"]["sockets"] == 3)
            })?;
            let status = served.status()?;
            ensure!(status["http"]["http"][0] == "0.0.0.0:6970", "{status:#}");
            ensure!(daemon.stop()?.success(), "{}", daemon.log_tail());
            ensure!(control.exists(), "the service manager's socket is gone");
        }
        Ok(())
    });
}
