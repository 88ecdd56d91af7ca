//! Interfaces come late, go, come back, change their names and their MTU, and carry programs of
//! others: the daemon follows without a restart, and says what is in the way.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::{Fault, Fetched, Outcome, Request, Retry, get, get_with};
use tftp_edge_tests::lab::{Attached, LabPrograms, SERVER_IF, attached_to, known_interfaces};
use tftp_edge_tests::rig::{Rig, answers, content, run, wait_for};

/// A second wire, which is made and taken away while the daemon runs.
pub const LATE_IF: &str = "late0";
const LATE_CLIENT_IF: &str = "late1";
const LATE_SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const LATE_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

const NAME: &str = "file.bin";
const SIZE: usize = 40_000;

#[test]
fn interfaces_come_and_go_under_xdp() {
    run(Rung::Xdp, interfaces_come_and_go);
}

#[test]
fn interfaces_come_and_go_under_tc() {
    run(Rung::Tc, interfaces_come_and_go);
}

#[test]
fn what_is_in_the_way_of_xdp_is_told_and_tc_serves_until_it_is_gone() {
    run(Rung::Xdp, what_is_in_the_way_is_told);
}

/// The daemon is to serve these interfaces.
pub fn serve(rig: &Rig<'_>, interfaces: &[&str]) -> Result<()> {
    let config = fs::read_to_string(rig.edge.config())?;
    let one = format!("interfaces = [\"{SERVER_IF}\"]");
    ensure!(config.contains(&one), "{config}");
    let all = format!("interfaces = {interfaces:?}");
    fs::write(rig.edge.config(), config.replace(&one, &all))?;
    rig.put(NAME, &content(SIZE))
}

/// What `tftp-edge status` says of an interface, and how it ends.
pub fn status(rig: &Rig<'_>, interface: &str) -> Result<(Value, i32)> {
    let output = rig.edge.output(&["status", "--json"])?;
    let status: Value = serde_json::from_slice(&output.stdout)?;
    let interfaces = status["kernel"]["interfaces"].as_array();
    let mut found = interfaces.into_iter().flatten();
    let found = found.find(|it| it["name"] == interface).cloned();
    let code = output.status.code().unwrap_or(-1);
    Ok((
        found.with_context(|| format!("{interface} is not in {status}"))?,
        code,
    ))
}

fn text<'value>(status: &'value Value, key: &str) -> &'value str {
    status[key].as_str().unwrap_or_default()
}

/// Returns what the status says of an interface when it is served so.
pub fn wait_for_mode(rig: &Rig<'_>, interface: &str, mode: &str) -> Result<Value> {
    let mut last = None;
    let what = format!("{interface} to be served by {mode}");
    let waited = wait_for(&what, || {
        last = status(rig, interface).ok().map(|(status, _)| status);
        last.as_ref().is_some_and(|status| {
            status["mode"] == mode && status["absent_seconds"].is_null() == (mode != "off")
        })
    });
    waited.with_context(|| format!("{last:?}"))?;
    last.context("no status")
}

/// The index of one of the server's interfaces.
fn index(rig: &Rig<'_>, interface: &str) -> Result<u32> {
    let path = format!("/sys/class/net/{interface}/ifindex");
    let index = rig.lab.server.output("cat", [path.as_str()])?;
    Ok(index.trim().parse()?)
}

/// Puts the second wire there. With XDP its client end makes veth like hardware, as on the first.
pub fn make_late(rig: &Rig<'_>, mtu: u32) -> Result<()> {
    let (server, client) = (&rig.lab.server, &rig.lab.client);
    let mtu = mtu.to_string();
    client.ip(&[
        "link",
        "add",
        LATE_CLIENT_IF,
        "mtu",
        &mtu,
        "type",
        "veth",
        "peer",
        "name",
        LATE_IF,
        "mtu",
        &mtu,
        "netns",
        server.name(),
    ])?;
    let ends = [
        (server, LATE_IF, LATE_SERVER),
        (client, LATE_CLIENT_IF, LATE_CLIENT),
    ];
    for (namespace, interface, address) in ends {
        let off = [
            "-K", interface, "tx", "off", "gro", "off", "tso", "off", "gso", "off",
        ];
        namespace.run("ethtool", off)?;
        namespace.ip(&["addr", "add", &format!("{address}/24"), "dev", interface])?;
        namespace.ip(&["link", "set", interface, "up"])?;
    }
    Ok(())
}

pub fn page_sized(rig: &Rig<'_>) -> Result<Option<Attached>> {
    match rig.rung {
        Rung::Xdp => LabPrograms::page_sized(&rig.lab.client, LATE_CLIENT_IF).map(Some),
        Rung::Tc | Rung::Socket => Ok(None),
    }
}

/// Fetches over the second wire; the rung under test, and no other, must have served it.
fn fetch_late(rig: &Rig<'_>, request: Request) -> Result<Fetched> {
    let before = rig.metrics()?;
    let server = SocketAddr::from((LATE_SERVER, 69));
    let fetched = rig.as_client(|| get(LATE_CLIENT.into(), server, request, Retry::default()))?;
    ensure_whole(&fetched)?;
    rig.ensure_alone(&before)?;
    Ok(fetched)
}

fn ensure_whole(fetched: &Fetched) -> Result<()> {
    ensure!(
        fetched.outcome == Outcome::Complete && fetched.bytes == content(SIZE),
        "{:?} after {} bytes",
        fetched.outcome,
        fetched.bytes.len()
    );
    Ok(())
}

fn interfaces_come_and_go(rig: &mut Rig<'_>) -> Result<()> {
    serve(rig, &[SERVER_IF, LATE_IF])?;
    let daemon = rig.edge.start()?;
    rig.give_daemon(daemon);
    let (rung, server) = (rig.rung.as_str(), &rig.lab.server);

    // One is there, one is not.
    wait_for_mode(rig, SERVER_IF, rung)?;
    let (late, code) = status(rig, LATE_IF)?;
    ensure!(
        late["mode"] == "off" && late["absent_seconds"].is_u64(),
        "{late}"
    );
    ensure!(
        text(&late, "problem").contains("no such interface"),
        "{late}"
    );
    ensure!(code == 1, "status ended with {code}");
    ensure!(rig.get_all(NAME)? == content(SIZE));

    // It comes, while a trace runs that is to see what it serves.
    let client = LATE_CLIENT.to_string();
    let arguments = ["trace", &client, "--json", "--seconds", "60"];
    let trace = rig
        .edge
        .spawn("tftp-edge trace", &arguments, &rig.file("trace.json"))?;
    wait_for("the trace to begin", || trace.log().contains("watching"))?;
    make_late(rig, 1500)?;
    let first_end = page_sized(rig)?;
    wait_for_mode(rig, LATE_IF, rung)?;
    fetch_late(rig, Request::plain(NAME))?;
    ensure!(rig.get_all(NAME)? == content(SIZE));
    let (_, code) = status(rig, LATE_IF)?;
    ensure!(code == 0, "status ended with {code}");
    let told = format!("\"rung\":\"{rung}\"");
    wait_for("the trace to tell what was served", || {
        trace.log().contains(&told)
    })?;
    drop(trace);
    // The programs that trace hand on to others, and know no map of these.
    wait_for("the trace to end", || {
        known_interfaces(server, SERVER_IF).is_ok()
    })?;
    let first = index(rig, LATE_IF)?;
    let known = known_interfaces(server, SERVER_IF)?;
    ensure!(known == [index(rig, SERVER_IF)?, first].into(), "{known:?}");

    // It goes, and comes back as another.
    drop(first_end);
    server.ip(&["link", "del", LATE_IF])?;
    wait_for_mode(rig, LATE_IF, "off")?;
    wait_for("its index to be forgotten", || {
        known_interfaces(server, SERVER_IF).is_ok_and(|known| !known.contains(&first))
    })?;
    make_late(rig, 1500)?;
    let _second_end = page_sized(rig)?;
    wait_for_mode(rig, LATE_IF, rung)?;
    let second = index(rig, LATE_IF)?;
    let known = known_interfaces(server, SERVER_IF)?;
    ensure!(
        known.contains(&second) && known.len() == 2,
        "{known:?} and {second}"
    );
    fetch_late(rig, Request::plain(NAME))?;

    // What the link carries decides what is granted. Under XDP the lab's padded frames are full,
    // and would not pass a smaller link.
    if rig.rung == Rung::Tc {
        let granted = fetch_late(rig, Request::sized(NAME, 1428))?.blksize;
        ensure!(granted == 1428, "{granted} bytes granted at an MTU of 1500");
        server.ip(&["link", "set", LATE_IF, "mtu", "900"])?;
        wait_for("a smaller block to be granted", || {
            fetch_late(rig, Request::sized(NAME, 1428)).is_ok_and(|it| it.blksize == 900 - 32)
        })?;
    }

    down_and_up_in_a_transfer(rig)?;

    // Another name is another interface.
    for (from, to, mode) in [(LATE_IF, "other0", "off"), ("other0", LATE_IF, rung)] {
        server.ip(&["link", "set", from, "down"])?;
        server.ip(&["link", "set", from, "name", to])?;
        server.ip(&["link", "set", to, "up"])?;
        wait_for_mode(rig, LATE_IF, mode)?;
        if mode == "off" {
            let left = attached_to(server, to)?;
            ensure!(
                !left.contains("tftp_edge") && !left.contains("xdp"),
                "{left}"
            );
        }
    }
    fetch_late(rig, Request::plain(NAME))?;
    rig.stop()
}

/// The link fails in the middle, and is there again before the client has given up.
fn down_and_up_in_a_transfer(rig: &Rig<'_>) -> Result<()> {
    let server = SocketAddr::from((LATE_SERVER, 69));
    let set = |state| rig.lab.server.ip(&["link", "set", LATE_IF, state]);
    let before = rig.metrics()?;
    let (mut sent, mut failed) = (0, Ok(()));
    let fetched = rig.as_client(|| {
        get_with(
            LATE_CLIENT.into(),
            server,
            Request::plain(NAME),
            Retry::default(),
            |is_ours, _| {
                sent += u32::from(is_ours);
                match (is_ours, sent) {
                    (true, 20) => failed = set("down"),
                    // The one before was lost on a link that was down.
                    (true, 21) => failed = set("up"),
                    _ => {}
                }
                Fault::None
            },
        )
    })?;
    failed?;
    ensure_whole(&fetched)?;
    ensure!(
        fetched.tally.resends > 0,
        "nothing was lost: {:?}",
        fetched.tally
    );
    ensure!(
        answers(&before, &rig.metrics()?, Rung::Socket) == 0.0,
        "the kernel path was lost with the link"
    );
    Ok(())
}

fn what_is_in_the_way_is_told(rig: &mut Rig<'_>) -> Result<()> {
    serve(rig, &[SERVER_IF, LATE_IF, "br0"])?;
    let server = &rig.lab.server;
    let theirs = LabPrograms::pass(server, SERVER_IF)?;
    make_late(rig, 9000)?;
    server.ip(&["link", "add", "br0", "type", "bridge"])?;
    let daemon = rig.edge.start()?;
    rig.give_daemon(daemon);

    let attached = wait_for_mode(rig, SERVER_IF, "tc")?;
    let named = format!("pass (id {})", theirs.id("pass")?);
    ensure!(text(&attached, "problem").contains(&named), "{attached}");
    let oversized = wait_for_mode(rig, LATE_IF, "tc")?;
    let problem = text(&oversized, "problem");
    ensure!(problem.contains("its MTU is 9000 bytes"), "{oversized}");
    let bridge = wait_for_mode(rig, "br0", "tc")?;
    ensure!(
        text(&bridge, "problem").contains("not on a bridge"),
        "{bridge}"
    );

    let before = rig.metrics()?;
    ensure!(rig.get_all(NAME)? == content(SIZE));
    ensure!(
        answers(&before, &rig.metrics()?, Rung::Tc) > 0.0,
        "TC has not served"
    );
    ensure!(status(rig, SERVER_IF)?.1 == 1);

    // Each is climbed anew when that is gone.
    drop(theirs);
    let attached = wait_for_mode(rig, SERVER_IF, "xdp")?;
    ensure!(attached["problem"].is_null(), "{attached}");
    ensure!(rig.get_all(NAME)? == content(SIZE));
    rig.lab
        .client
        .ip(&["link", "set", LATE_CLIENT_IF, "mtu", "1500"])?;
    // Nobody is told what the other end of a veth carries: ours last.
    server.ip(&["link", "set", LATE_IF, "mtu", "1500"])?;
    let _end = page_sized(rig)?;
    wait_for_mode(rig, LATE_IF, "xdp")?;
    fetch_late(rig, Request::plain(NAME))?;
    rig.stop()
}
