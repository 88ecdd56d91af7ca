//! Nothing is answered on an interface that is not in use. On a host it is the member of a bond in
//! reserve; here the map tells the programs that it is one.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map};
use tftp_ebpf::abi::Interface;
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_edge_tests::client::Request;
use tftp_edge_tests::lab::{CLIENT_V4, SERVER_IF};
use tftp_edge_tests::rig::{OVER_V4, Rig, answers, content, run, wait_for};

use crate::absence::is_absent;
use crate::restart::Pinned;

#[test]
fn nothing_is_answered_on_an_interface_in_reserve() {
    for rung in [Rung::Xdp, Rung::Tc] {
        run(rung, nothing_is_answered);
    }
}

fn nothing_is_answered(rig: &mut Rig<'_>) -> Result<()> {
    let pinned = Pinned::new(rig)?;
    rig.put("file.bin", &content(2_000))?;
    rig.start()?;
    let path = format!("/sys/class/net/{SERVER_IF}/ifindex");
    let index: u32 = rig.lab.server.output("cat", [&*path])?.trim().parse()?;
    let map = Map::HashMap(pinned.map("INTERFACES")?);
    let mut interfaces = HashMap::<_, u32, Interface>::try_from(map)?;
    let in_use = interfaces.get(&index, 0)?;
    ensure!(in_use.enabled == 1);
    let mut set = |enabled| interfaces.insert(index, Interface { enabled, ..in_use }, 0);

    let exchange = rig.exchange(CLIENT_V4)?;
    exchange.send(OVER_V4, b"\0\x01file.bin\0octet\0")?;
    let first = exchange.receive(Duration::from_secs(5))?;
    let (port, _) = first.context("the first block has not come")?;
    let second = [0, 3, 0, 2];

    set(0)?;
    let before = rig.metrics()?;
    exchange.send(port, &[0, 4, 0, 1])?;
    let passed = rig.grown(&before, rig.first_path(), Reason::NotReady, 1)?;
    ensure!(passed == 1, "{passed} packets were passed on");
    ensure!(is_absent(&rig.get(OVER_V4, Request::plain("no-such.xml"))?));
    ensure!(rig.get_all("file.bin")? == content(2_000));
    let after = rig.metrics()?;
    for rung in Rung::ALL {
        let answered = answers(&before, &after, rung) > 0.0;
        ensure!(answered == (rung == Rung::Socket), "{}", rung.as_str());
    }

    // It is in use again, and so is the transfer: the first block may have been sent again meanwhile.
    set(1)?;
    wait_for("the second block", || {
        let sent = exchange.send(port, &[0, 4, 0, 1]);
        let next = exchange.receive(Duration::from_millis(100));
        sent.is_ok() && matches!(next, Ok(Some((_, data))) if data.starts_with(&second))
    })?;
    rig.stop()
}
