//! lldpd, with what `tftp-edge lldp` prints, tells a phone its voice VLAN.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tftp_edge_tests::demo::{Edge, Mode};
use tftp_edge_tests::dhcp::found;
use tftp_edge_tests::lab::{
    CLIENT_IF, Capture, Lab, LabOptions, Namespace, Process, SERVER_IF, output, skipped, with_root,
};
use tftp_edge_tests::rig::daemon_under_test;
use tftp_edge_tests::server::Place;

/// As classes of LLDP-MED (ANSI/TIA-1057 4.2) are written for lldpd.
const SWITCH: &str = "4";
const PHONE: &str = "3";

#[test]
fn a_phone_learns_its_voice_vlan_from_lldpd() {
    with_root(false, || match (found("lldpd"), found("lldpcli")) {
        (Ok(lldpd), Ok(lldpcli)) => learn(&lldpd, &lldpcli),
        (Err(why), _) | (_, Err(why)) => {
            skipped(&why);
            Ok(())
        }
    });
}

fn learn(lldpd: &Path, lldpcli: &Path) -> Result<()> {
    let lab = Lab::new(LabOptions::default())?;
    let folder = tempfile::tempdir()?;
    let place = Place::Namespace(&lab.server);
    let edge = Edge::new(&daemon_under_test()?, folder.path(), place, Mode::Off, 10)?;
    edge.command(&["inventory", "site", "set", "lab", "voice_vlan=120"])?;
    let printed = edge.command(&["lldp", "--ports", SERVER_IF])?;
    let switch = folder.path().join("switch.conf");
    fs::write(&switch, printed)?;
    let phone = folder.path().join("phone.conf");
    fs::write(&phone, "")?;

    let capture = Capture::start(&lab.client, CLIENT_IF, &folder.path().join("lldp.pcap"))?;
    let start = |namespace, class, config| start(namespace, lldpd, lldpcli, class, config);
    let mut switch = start(&lab.server, SWITCH, &switch)?;
    let mut process = start(&lab.client, PHONE, &phone)?;
    let mut policies = Vec::new();
    let heard = process.wait_until(Duration::from_secs(30), || {
        policies =
            policies_of_neighbours(lldpcli, &phone.with_extension("sock")).unwrap_or_default();
        policies.len() == 2
    });
    heard.with_context(|| format!("{policies:?}; the switch said:\n{}", switch.log_tail()))?;
    process.stop()?;
    switch.stop()?;
    let wanted = ["Voice 120 5 46", "Voice Signaling 120 3 24"];
    ensure!(policies == wanted, "{policies:?}");

    let findings = capture.finish()?;
    let tagged = findings.fields(
        "lldp.media.app_type == 1 && lldp.media.vlan_id == 120",
        "lldp.media.tag_flag",
    )?;
    ensure!(
        !tagged.is_empty()
            && tagged
                .iter()
                .all(|tags| tags.split(',').all(|tag| tag == "1" || tag == "True")),
        "the voice VLAN is to be tagged: {tagged:?}"
    );
    Ok(())
}

/// lldpd gives up its rights to a user of its own and goes to a folder of its own. `ip netns exec`
/// has made us a mount namespace, so both can be there without being on this machine.
fn start(
    namespace: &Namespace,
    lldpd: &Path,
    lldpcli: &Path,
    class: &str,
    config: &Path,
) -> Result<Process> {
    for (file, entry) in [
        (
            "passwd",
            "_lldpd:x:64242:64242::/run/lldpd:/usr/sbin/nologin\n",
        ),
        ("group", "_lldpd:x:64242:\n"),
    ] {
        let users = fs::read_to_string(Path::new("/etc").join(file))?;
        let entry = if users.contains("_lldpd:") { "" } else { entry };
        fs::write(config.with_extension(file), format!("{users}{entry}"))?;
    }
    let mut command = namespace.command("sh");
    command
        .arg("-c")
        .arg(
            "mount --bind \"$1.passwd\" /etc/passwd && mount --bind \"$1.group\" /etc/group && \
             mount -t tmpfs none /run && mkdir /run/lldpd && \
             exec \"$2\" -d -M \"$3\" -L \"$4\" -O \"$1.conf\" -u \"$1.sock\"",
        )
        .arg("sh")
        .arg(config.with_extension(""))
        .arg(lldpd)
        .arg(class)
        .arg(lldpcli);
    Process::start("lldpd", command, &config.with_extension("log"))
}

/// Application, VLAN, priority and DSCP of each policy that was heard.
fn policies_of_neighbours(lldpcli: &Path, socket: &Path) -> Result<Vec<String>> {
    let program = lldpcli.to_string_lossy();
    let socket = socket.to_string_lossy();
    let arguments = ["-u", &socket, "-f", "json0", "show", "neighbors", "details"];
    let shown: Value = serde_json::from_str(&output(&program, arguments)?)?;
    let policies = shown
        .pointer("/lldp/0/interface/0/lldp-med/0/policy")
        .and_then(Value::as_array)
        .context("no policy was heard")?;
    let field = |policy: &Value, path: &str| {
        let value = policy.pointer(path).and_then(Value::as_str);
        value.unwrap_or("?").to_owned()
    };
    let told = |policy| {
        ["/apptype", "/vlan/0/vid", "/pcp/0/value", "/dscp/0/value"]
            .map(|path| field(policy, path))
            .join(" ")
    };
    Ok(policies.iter().map(told).collect())
}
