//! DHCP servers and clients as they are, in the lab: the servers with what `tftp-edge dhcp` prints
//! and what their operator adds to it, the clients asking for what a phone asks for.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::lab::{CLIENT_IF, Namespace, Process, SERVER_IF, tool};

/// What a phone of type 7961 says it is (option 60).
const VENDOR_CLASS: &str = "Cisco Systems, Inc. IP Phone CP-7961G";

/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpServer {
    Dnsmasq,
    Kea,
    Isc,
}

impl DhcpServer {
    pub const ALL: [Self; 3] = [Self::Dnsmasq, Self::Kea, Self::Isc];

    /// As `--format` has it.
    pub const fn format(self) -> &'static str {
        match self {
            Self::Dnsmasq => "dnsmasq",
            Self::Kea => "kea",
            Self::Isc => "isc",
        }
    }

    pub const fn program(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Dnsmasq, _) => "dnsmasq",
            (Self::Kea, Family::V4) => "kea-dhcp4",
            (Self::Kea, Family::V6) => "kea-dhcp6",
            (Self::Isc, _) => "dhcpd",
        }
    }

    /// The arguments with which the server reads `config`, or just checks it.
    fn arguments(self, family: Family, config: &Path, check: bool) -> Vec<String> {
        let config = config.display();
        let leases = format!("{config}.leases");
        let version = match family {
            Family::V4 => "-4",
            Family::V6 => "-6",
        };
        let words: Vec<&str> = match (self, check) {
            (Self::Dnsmasq, true) => vec!["--test"],
            (Self::Dnsmasq, false) => vec!["--no-daemon", "--port=0", "--user=root", "--no-ping"],
            (Self::Kea, true) => vec!["-t"],
            (Self::Kea, false) => vec!["-c"],
            (Self::Isc, true) => vec![version, "-t", "-lf", &leases, "-cf"],
            (Self::Isc, false) => vec![version, "-d", "--no-pid", "-lf", &leases, "-cf"],
        };
        let mut arguments: Vec<_> = words.into_iter().map(str::to_owned).collect();
        match self {
            Self::Dnsmasq => arguments.extend([
                format!("--conf-file={config}"),
                format!("--dhcp-leasefile={leases}"),
                "--pid-file".into(),
            ]),
            Self::Kea | Self::Isc => arguments.push(config.to_string()),
        }
        if (self, check) == (Self::Isc, false) {
            arguments.push(SERVER_IF.into());
        }
        arguments
    }

    fn prepare(self, command: &mut Command, family: Family, config: &Path, check: bool) {
        let folder = config.parent().unwrap_or(Path::new("."));
        command
            .args(self.arguments(family, config, check))
            .env("KEA_PIDFILE_DIR", folder)
            .env("KEA_LOCKFILE_DIR", folder);
    }

    /// Has the server read a configuration as it stands, and fails with what it says against it.
    pub fn check(self, program: &Path, family: Family, config: &Path) -> Result<()> {
        // dhcpd reads its leases even then.
        fs::write(format!("{}.leases", config.display()), "")?;
        let mut command = Command::new(program);
        self.prepare(&mut command, family, config, true);
        let output = command.output().context("starting the DHCP server")?;
        ensure!(
            output.status.success(),
            "{} refuses {}: {}{}",
            self.program(family),
            config.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        Ok(())
    }

    /// What is printed, with what its operator has to fill in.
    pub fn filled_in(self, printed: &str, first: IpAddr, last: IpAddr) -> String {
        let filled = printed
            .replace("FIRST", &first.to_string())
            .replace("LAST", &last.to_string());
        match self {
            Self::Dnsmasq => {
                let ours = |line: &&str| line.starts_with("#dhcp-range");
                let ranges: Vec<_> = filled.lines().filter(ours).collect();
                // One file has the ranges of both families; this is the one with such a mask.
                let range = ranges
                    .iter()
                    .find(|range| range.contains(",255.") == first.is_ipv4())
                    .map_or("", |range| range.trim_start_matches('#'));
                format!("{filled}{range}\n")
            }
            Self::Kea => {
                let listen = format!(
                    "\": {{ \"interfaces-config\": {{ \"interfaces\": [ \"{SERVER_IF}\" ] }}, \
                     \"lease-database\": {{ \"type\": \"memfile\", \"persist\": false }},"
                );
                let filled = filled.replace("//\"pools\"", "\"pools\"");
                let mut filled = filled
                    .replace("\"Dhcp4\": {", &format!("\"Dhcp4{listen}"))
                    .replace("\"Dhcp6\": {", &format!("\"Dhcp6{listen}"));
                if first.is_ipv6() {
                    // A subnet is that of the link only if it says so; and the server's own identity
                    // is not to be kept on this machine.
                    filled = filled
                        .replace(
                            "\"user-context\"",
                            &format!("\"interface\": \"{SERVER_IF}\", \"user-context\""),
                        )
                        .replace(
                            "\"interfaces-config\"",
                            "\"server-id\": { \"type\": \"LLT\", \"persist\": false }, \
                             \"interfaces-config\"",
                        );
                }
                filled
            }
            Self::Isc => filled.replace("#range", "range"),
        }
    }

    pub fn start(
        self,
        place: &Namespace,
        program: &Path,
        family: Family,
        config: &Path,
    ) -> Result<Process> {
        fs::write(format!("{}.leases", config.display()), "")?;
        let mut command = place.command(program);
        self.prepare(&mut command, family, config, false);
        let log = config.with_extension("log");
        Process::start(self.program(family), command, &log)
    }
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub address: IpAddr,
    /// Option 150, or Cisco's option over IPv6.
    pub tftp_servers: Vec<IpAddr>,
    /// Option 66.
    pub server_name: Option<String>,
    /// Option 42.
    pub ntp: Option<String>,
}

/// Asks as a phone does, with BusyBox's client over IPv4 and ISC's over IPv6. `folder` is for its
/// files.
pub fn ask(phone: &Namespace, family: Family, client: &Path, folder: &Path) -> Result<Told> {
    let told = folder.join("told");
    let _ = fs::remove_file(&told);
    let script = hook(folder, &told)?;
    let command = match family {
        Family::V4 => {
            let mut command = phone.command(client);
            command
                .args([
                    "udhcpc", "-i", CLIENT_IF, "-f", "-q", "-n", "-t", "10", "-T", "1",
                ])
                .args([
                    "-V",
                    VENDOR_CLASS,
                    "-O",
                    "150",
                    "-O",
                    "tftp",
                    "-O",
                    "ntpsrv",
                    "-s",
                ])
                .arg(&script);
            command
        }
        Family::V6 => {
            settle(phone, CLIENT_IF)?;
            let config = folder.join("dhclient.conf");
            fs::write(
                &config,
                "option space cisco code width 2 length width 2;\n\
                 option cisco.tftp-servers code 1 = array of ip6-address;\n\
                 option vsio.cisco code 9 = encapsulate cisco;\n\
                 request dhcp6.vendor-opts;\n",
            )?;
            let leases = folder.join("dhclient.leases");
            fs::write(&leases, "")?;
            let mut command = phone.command(client);
            command
                .args(["-6", "-1", "-d", "--no-pid", "-cf"])
                .arg(config)
                .arg("-lf")
                .arg(leases)
                .arg("-sf")
                .arg(&script)
                .arg(CLIENT_IF);
            command
        }
    };
    let mut process = Process::start("the DHCP client", command, &folder.join("client.log"))?;
    process.wait_until(PATIENCE, || told.exists())?;
    process.stop()?;
    read(&told, family)
}

/// A script for the client to call once it is bound: it writes down what it was given, in one step.
fn hook(folder: &Path, told: &Path) -> Result<PathBuf> {
    let script = folder.join("bound.sh");
    let told = told.display();
    fs::write(
        &script,
        format!(
            "#!/bin/sh\n\
             case \"$1$reason\" in\n\
             bound|BOUND6) env > {told}.new && mv {told}.new {told} ;;\n\
             esac\n"
        ),
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

fn read(told: &Path, family: Family) -> Result<Told> {
    let text = fs::read_to_string(told)?;
    let variables: HashMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let get = |name: &str| variables.get(name).map(|&value| value.to_owned());
    let (address, tftp_servers) = match family {
        Family::V4 => (
            get("ip"),
            get("opt150").map_or(Ok(Vec::new()), |hex| addresses(&hex))?,
        ),
        Family::V6 => {
            let servers = get("new_cisco_tftp_servers").unwrap_or_default();
            let servers = servers.split_whitespace().map(str::parse);
            (get("new_ip6_address"), servers.collect::<Result<_, _>>()?)
        }
    };
    Ok(Told {
        address: address
            .context("a client was bound to no address")?
            .parse()?,
        tftp_servers,
        server_name: get("tftp"),
        ntp: get("ntpsrv"),
    })
}

/// udhcpc does not know option 150, and shows its bytes.
fn addresses(hex: &str) -> Result<Vec<IpAddr>> {
    ensure!(
        !hex.is_empty() && hex.len().is_multiple_of(8),
        "{hex:?} is no list of addresses"
    );
    let quads = (0..hex.len()).step_by(8).map(|at| &hex[at..at + 8]);
    quads
        .map(|quad| Ok(Ipv4Addr::from(u32::from_str_radix(quad, 16)?).into()))
        .collect()
}

/// Waits until the link-local address of an interface is known to be nobody else's.
pub fn settle(namespace: &Namespace, interface: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let link_local = ["-6", "addr", "show", "dev", interface, "scope", "link"];
    loop {
        let shown = namespace.output("ip", link_local)?;
        if shown.contains("inet6") && !shown.contains("tentative") {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{interface} has no link-local address: {shown}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The program, or why a test that needs it is left out.
pub fn found(program: &str) -> Result<PathBuf, String> {
    tool(program).ok_or_else(|| format!("{program} is missing; `cargo xtask setup` unpacks it"))
}
