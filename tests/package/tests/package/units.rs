//! The units, as systemd reads them once the package is installed.

use anyhow::{Result, ensure};
use tftp_edge_package_tests::{Root, Unit, system_calls, with_package};

const SERVICE: &str = "tftp-edge.service";
const SOCKETS: [&str; 2] = ["tftp-edge-files.socket", "tftp-edge-register.socket"];
const FOLDER: &str = "usr/lib/systemd/system";

/// Tenths of what `systemd-analyze security` shows; it calls up to 4.9 OK.
const MOST_EXPOSED: &str = "--threshold=20";

#[test]
fn units_are_understood_and_confine_the_daemon() {
    with_package(|package| {
        let root = Root::new()?;
        root.install(&package)?;
        let mut verify = vec!["verify", SERVICE];
        verify.extend(SOCKETS);
        let said = root.output("systemd-analyze", &verify)?;
        ensure!(said.is_empty(), "{said}");

        let arguments = ["security", "--offline=true", MOST_EXPOSED, SERVICE];
        root.output("systemd-analyze", &arguments)?;
        capabilities(&root)?;
        calls(&root)?;
        sockets(&root)
    });
}

fn unit(root: &Root, name: &str) -> Result<Unit> {
    Ok(Unit::parse(&root.read(&format!("{FOLDER}/{name}"))?))
}

/// What it may do beyond its user is what it needs, and the bounding set has no more.
fn capabilities(root: &Root) -> Result<()> {
    let service = unit(root, SERVICE)?;
    let wanted = [
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW",
        "CAP_NET_ADMIN",
        "CAP_BPF",
        "CAP_PERFMON",
    ];
    for key in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        ensure!(service.words(key) == wanted, "{key}: {service:?}");
    }
    Ok(())
}

/// `bpf` is in none of the groups that services have; `perf_event_open` and `io_uring` are in some.
fn calls(root: &Root) -> Result<()> {
    let allowed = system_calls(&unit(root, SERVICE)?)?;
    for call in ["bpf", "execve", "recvmmsg", "sendmmsg", "mmap", "capset"] {
        ensure!(allowed.contains(call), "{call} is refused");
    }
    for call in [
        "perf_event_open",
        "io_uring_setup",
        "ptrace",
        "mount",
        "init_module",
        "settimeofday",
    ] {
        ensure!(!allowed.contains(call), "{call} is allowed");
    }
    Ok(())
}

/// Every address of the shipped configuration that is on by default, and no other.
fn sockets(root: &Root) -> Result<()> {
    let settings = root.read("etc/tftp-edge/tftp-edge.toml")?;
    let listens = |section: &str| -> Vec<String> {
        let (_, after) = settings
            .split_once(&format!("\n[{section}]\n"))
            .unwrap_or_default();
        let section = after.split("\n[").next().unwrap_or_default();
        let line = section
            .lines()
            .find_map(|line| line.strip_prefix("#listen = "));
        let quoted = line.unwrap_or_default().split('"').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    };
    let [files, register] = SOCKETS.map(|name| unit(root, name));
    for (unit, key, section) in [
        (&files, "ListenDatagram", "tftp"),
        (&files, "ListenStream", "http"),
        (&register, "ListenDatagram", "register.sip"),
    ] {
        let unit = unit.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let configured = listens(section);
        ensure!(!configured.is_empty(), "{section} has no addresses");
        ensure!(unit.all(key) == configured, "{section}: {unit:?}");
    }
    let mut streams = listens("register.sccp");
    streams.extend(listens("register.sip"));
    ensure!(register?.all("ListenStream") == streams);
    Ok(())
}
