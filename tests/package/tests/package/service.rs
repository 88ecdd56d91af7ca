//! The daemon of the package, as the user and with the capabilities of its unit, in front of a phone.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use tftp_edge_package_tests::{Process, Root, Unit, output, run, system_calls, with_package};

const SERVER: &str = "10.99.7.1";
const PHONE: &str = "10.99.7.2";
/// The network of the phone.
const FLOOR: &str = "floor";
const PINS: &str = "/sys/fs/bpf/tftp-edge";
/// Where strace(1) counts the daemon's system calls.
const CALLS: &str = "/var/lib/tftp-edge/calls";
const NOTIFY: &str = "/run/notify";

/// Longer than anything here ever takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_service_user_attaches_and_serves_and_leaves_its_programs_to_the_next() {
    with_package(|package| {
        let root = Root::new()?;
        root.install(&package)?;
        network()?;
        configure(&root)?;
        let ring_list = "<CiscoIPPhoneRingList/>\n".repeat(100);
        root.write("/srv/tftp/Ringlist.xml", &ring_list)?;

        let unit = Unit::parse(&root.read("usr/lib/systemd/system/tftp-edge.service")?);
        lay_over(&root, &unit)?;
        output(&mut as_its_unit(&root, &unit, &["tftp-edge", "check"])?)?;

        let word = UnixDatagram::bind(root.at(NOTIFY))?;
        fs::set_permissions(root.at(NOTIFY), fs::Permissions::from_mode(0o777))?;
        // -D: the daemon is the child, the tracer its grandchild.
        let daemon = "strace -f -D -c -o";
        let mut daemon: Vec<_> = daemon.split(' ').collect();
        daemon.extend([CALLS, "tftp-edge", "run"]);
        let mut daemon = as_its_unit(&root, &unit, &daemon)?;
        let log = root.at("/run/log");
        daemon.env("NOTIFY_SOCKET", NOTIFY);
        daemon.stderr(fs::File::create(&log)?);
        let mut daemon = Process::start(&mut daemon)?;
        ready(&word).with_context(|| fs::read_to_string(&log).unwrap_or_default())?;

        is_confined(&daemon)?;
        // Degraded, which is no success, if the interface has no program of ours.
        output(&mut as_its_unit(&root, &unit, &["tftp-edge", "status"])?)?;
        ensure!(fetched(PATIENCE)? == ring_list);
        private(&root)?;

        // A restart: the kernel serves on, with nobody there.
        let [restart] = unit.words("RestartKillSignal")[..] else {
            bail!("no signal for a restart in {unit:?}");
        };
        daemon.end(restart.parse::<Signal>()?)?;
        ensure!(is_linked(&root)?, "not pinned after {restart}");
        ensure!(fetched(PATIENCE)? == ring_list);
        lets_through(&root, &unit)?;

        root.output("dpkg", &["--remove", "tftp-edge"])?;
        ensure!(!is_linked(&root)?, "still pinned");
        let served = fetched(Duration::from_secs(2));
        ensure!(served.is_err(), "served by nobody: {served:?}");
        Ok(())
    });
}

fn configure(root: &Root) -> Result<()> {
    let settings = "/etc/tftp-edge/tftp-edge.toml";
    let mut text = root.read(settings)?;
    // The peer of a veth must run an XDP program too, for it to be used.
    for (default, here) in [
        ("#interfaces = []", "interfaces = [\"edge0\"]"),
        ("#mode = \"auto\"", "mode = \"tc\""),
    ] {
        ensure!(text.contains(default), "{default} is not in {settings}");
        text = text.replace(default, here);
    }
    root.write(settings, &text)
}

/// A veth pair: the edge's end here, the phone's in a network of its own.
fn network() -> Result<()> {
    // `ip` keeps the names of networks here; ours go with this thread.
    fs::create_dir_all("/run/netns")?;
    run("mount", &["-t", "tmpfs", "tmpfs", "/run/netns"])?;
    run("ip", &["netns", "add", FLOOR])?;
    run("ip", &["link", "set", "lo", "up"])?;
    let pair = "link add edge0 type veth peer name phone0 netns floor";
    run("ip", &pair.split(' ').collect::<Vec<_>>())?;
    let [server, phone] = [SERVER, PHONE].map(|address| format!("{address}/24"));
    run("ip", &["address", "add", &server, "dev", "edge0"])?;
    run("ip", &["link", "set", "edge0", "up"])?;
    run(
        "ip",
        &["-n", FLOOR, "address", "add", &phone, "dev", "phone0"],
    )?;
    run("ip", &["-n", FLOOR, "link", "set", "phone0", "up"])
}

/// `TemporaryFileSystem=` and `BindPaths=` of the unit: without them the pins' folder is out of reach.
fn lay_over(root: &Root, unit: &Unit) -> Result<()> {
    let [over] = unit.words("TemporaryFileSystem")[..] else {
        bail!("nothing is laid over in {unit:?}");
    };
    let (over, options) = over.split_once(':').context("no options")?;
    let [kept] = unit.words("BindPaths")[..] else {
        bail!("nothing is kept in {unit:?}");
    };
    let kept = kept.trim_start_matches('-');
    ensure!(kept == PINS && kept.starts_with(over), "{over} and {kept}");
    let aside = root.at("/run/aside");
    fs::create_dir(&aside)?;
    let mount = |arguments: &[&str], at: &std::path::Path| {
        output(Command::new("mount").args(arguments).arg(at)).map(drop)
    };
    let pins = root.at(kept);
    mount(&["--bind", &pins.display().to_string()], &aside)?;
    // Read-only once the folder is in it.
    let writable = options.trim_start_matches("ro,");
    mount(&["-t", "tmpfs", "-o", writable, "tmpfs"], &root.at(over))?;
    fs::create_dir(&pins)?;
    mount(&["--bind", &aside.display().to_string()], &pins)?;
    mount(&["-o", &format!("remount,{options}")], &root.at(over))
}

/// A program in the root with the user and the capabilities of the unit, and nothing else.
fn as_its_unit(root: &Root, unit: &Unit, program: &[&str]) -> Result<Command> {
    let [user] = unit.words("User")[..] else {
        bail!("no user in {unit:?}");
    };
    let names = |key: &str| {
        let names = unit.words(key).into_iter();
        let names = names.map(|name| format!("+{}", name.trim_start_matches("CAP_")));
        names.collect::<Vec<_>>().join(",").to_lowercase()
    };
    let ambient = names("AmbientCapabilities");
    let mut command = root.command("setpriv");
    command
        .args(["--reuid", user, "--regid", user, "--init-groups"])
        .arg(format!("--inh-caps=-all,{ambient}"))
        .arg(format!("--ambient-caps=-all,{ambient}"))
        .arg(format!(
            "--bounding-set=-all,{}",
            names("CapabilityBoundingSet")
        ))
        .arg("--no-new-privs")
        .args(program);
    Ok(command)
}

/// Waits until the daemon tells its service manager that it is ready.
fn ready(word: &UnixDatagram) -> Result<()> {
    word.set_read_timeout(Some(PATIENCE))?;
    let mut datagram = [0; 4096];
    loop {
        let len = match word.recv(&mut datagram) {
            // A receive with a timeout is not taken up again after a signal (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            received => received.context("waiting for READY=1")?,
        };
        let text = String::from_utf8_lossy(&datagram[..len]);
        if text.lines().any(|line| line == "READY=1") {
            return Ok(());
        }
    }
}

/// No root, and no privilege to be had.
fn is_confined(daemon: &Process) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
    let field = |name: &str| {
        let mut lines = status.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
    };
    let uids = field("Uid:").context("no user")?;
    ensure!(!uids.split('\t').any(|uid| uid == "0"), "{status}");
    ensure!(field("NoNewPrivs:").as_deref() == Some("1"), "{status}");
    // NET_BIND_SERVICE 10, NET_ADMIN 12, NET_RAW 13, PERFMON 38, BPF 39: capability.h.
    let all = (1u64 << 10) | (1 << 12) | (1 << 13) | (1 << 38) | (1 << 39);
    let bounding = field("CapBnd:").context("no bounding set")?;
    ensure!(u64::from_str_radix(&bounding, 16)? == all, "{status}");
    Ok(())
}

/// Whether the link to the edge's end is pinned, under the version of whatever layout.
fn is_linked(root: &Root) -> Result<bool> {
    let pinned = root.at(PINS).read_dir()?;
    let links = pinned.map(|version| Ok(version?.path().join("links/edge0-tc").exists()));
    let links: Vec<bool> = links.collect::<Result<_>>()?;
    Ok(links.contains(&true))
}

/// What the phone gets.
fn fetched(within: Duration) -> Result<String> {
    let mut client = Command::new("ip");
    client.args(["netns", "exec", FLOOR, "curl", "--silent", "--show-error"]);
    client.args(["--max-time", &within.as_secs().to_string()]);
    output(client.arg(format!("tftp://{SERVER}/Ringlist.xml")))
}

/// Nobody else reads what phones are told.
fn private(root: &Root) -> Result<()> {
    for (path, mode) in [
        ("/run/tftp-edge/control.sock", "660 tftp-edge:tftp-edge"),
        ("/var/lib/tftp-edge/inventory.db", "640 tftp-edge:tftp-edge"),
    ] {
        let found = root.mode(path)?;
        ensure!(found == mode, "{path}: {found}, not {mode}");
    }
    Ok(())
}

/// All that the daemon asked of the kernel is in the unit's filter.
fn lets_through(root: &Root, unit: &Unit) -> Result<()> {
    // The tracer outlives what it traces, and ends its table with a line for all.
    let began = Instant::now();
    let table = loop {
        let table = root.read(CALLS)?;
        if table.lines().any(|line| line.ends_with(" total")) {
            break table;
        }
        ensure!(began.elapsed() < PATIENCE, "no end in:\n{table}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let rows = table.lines().skip(2);
    let names = rows.filter_map(|row| row.split_whitespace().last());
    let names = names.filter(|name| !name.starts_with('-') && *name != "total");
    let allowed = system_calls(unit)?;
    let names: Vec<_> = names.collect();
    ensure!(names.contains(&"bpf"), "{table}");
    let refused: Vec<_> = names.iter().filter(|it| !allowed.contains(**it)).collect();
    ensure!(refused.is_empty(), "the unit refuses {refused:?}");
    Ok(())
}
