//! What a daemon has left in the kernel, and the next one does not want, is taken off; what is wanted
//! comes first. What others have stays.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::lab::{SERVER_IF, identities};
use tftp_edge_tests::rig::{Rig, run};

use crate::interfaces::{LATE_IF, make_late, page_sized, serve, wait_for_mode};
use crate::restart::Pinned;

/// Changes a line of the daemon's configuration.
fn change(rig: &Rig<'_>, from: &str, to: &str) -> Result<()> {
    let config = fs::read_to_string(rig.edge.config())?;
    ensure!(config.contains(from), "no {from} in {config}");
    fs::write(rig.edge.config(), config.replace(from, to))?;
    Ok(())
}

/// The daemon is killed, and the next one is there.
fn replace(rig: &mut Rig<'_>) -> Result<()> {
    rig.kill()?;
    let daemon = rig.edge.start()?;
    rig.give_daemon(daemon);
    Ok(())
}

#[test]
fn links_that_are_not_wanted_any_more_are_taken_off_behind_those_that_are() {
    run(Rung::Xdp, |rig| {
        let pinned = Pinned::new(rig)?;
        make_late(rig, 1500)?;
        let _end = page_sized(rig)?;
        serve(rig, &[SERVER_IF, LATE_IF])?;
        let daemon = rig.edge.start()?;
        rig.give_daemon(daemon);
        for interface in [SERVER_IF, LATE_IF] {
            wait_for_mode(rig, interface, "xdp")?;
        }
        let links = ["late0-tc", "late0-xdp", "srv0-tc", "srv0-xdp"];
        ensure!(pinned.names("links")? == links);

        // One interface is not served any more, the other by TC alone.
        let all = format!("interfaces = {:?}", [SERVER_IF, LATE_IF]);
        change(rig, &all, &format!("interfaces = {:?}", [SERVER_IF]))?;
        change(rig, r#"mode = "xdp""#, r#"mode = "tc""#)?;
        replace(rig)?;
        wait_for_mode(rig, SERVER_IF, "tc")?;
        ensure!(pinned.names("links")? == ["srv0-tc"]);
        let server = &rig.lab.server;
        ensure!(identities(server, LATE_IF)?.is_empty());
        let left = identities(server, SERVER_IF)?;
        ensure!(
            left.lines().count() == 1 && left.contains("tftp_edge_tc"),
            "{left}"
        );

        // What is served is never without a program: the others go when its own has the new one.
        let log = rig.daemon_mut()?.log();
        let lines: Vec<_> = log.lines().collect();
        let at = |event: &str| lines.iter().rposition(|line| line.contains(event));
        let attached = at("kernel.attached").context("nothing was attached")?;
        let removed = lines.iter().enumerate().skip(attached);
        let removed = removed.filter(|(_, line)| line.contains("kernel.pins_removed"));
        ensure!(removed.count() == 3, "{log}");

        // A link whose interface has another name now is nobody's.
        let links = pinned.version().join("links");
        rig.kill()?;
        fs::rename(links.join("srv0-tc"), links.join("late0-tc"))?;
        change(rig, &format!("interfaces = {:?}", [SERVER_IF]), &all)?;
        let daemon = rig.edge.start()?;
        rig.give_daemon(daemon);
        wait_for_mode(rig, LATE_IF, "tc")?;
        ensure!(pinned.names("links")? == ["late0-tc", "srv0-tc"]);
        for interface in [SERVER_IF, LATE_IF] {
            let attached = identities(&rig.lab.server, interface)?;
            ensure!(attached.lines().count() == 1, "{attached}");
        }
        rig.stop()
    });
}

/// `net.ipv4.ip_local_reserved_ports` of the server's namespace.
fn reserved(rig: &Rig<'_>) -> Result<String> {
    let list = rig.lab.server.output("cat", [RESERVED])?;
    Ok(list.trim().to_owned())
}

const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

#[test]
fn reserved_ports_are_given_back_and_those_of_others_stay() {
    run(Rung::Tc, |rig| {
        let _pinned = Pinned::new(rig)?;
        // Somebody has two ports, one of them in the range.
        let set = format!("echo 8080,57400 > {RESERVED}");
        rig.lab.server.run("sh", ["-c", &set])?;
        rig.start()?;
        ensure!(reserved(rig)? == "8080,57344-65535", "{}", reserved(rig)?);
        rig.stop()?;
        ensure!(reserved(rig)? == "8080,57400", "{}", reserved(rig)?);

        // A daemon is killed, and the next one has other ports.
        rig.start()?;
        rig.edge.amend("kernel", r#"tid_ports = "58000-58999""#)?;
        replace(rig)?;
        let now = "8080,57400,58000-58999";
        ensure!(reserved(rig)? == now, "{}", reserved(rig)?);
        // One that is killed and comes back with the same ports knows them for its own.
        replace(rig)?;
        ensure!(reserved(rig)? == now, "{}", reserved(rig)?);

        // It is killed, and cleaned up after by hand.
        rig.kill()?;
        ensure!(reserved(rig)? == now, "{}", reserved(rig)?);
        let told = String::from_utf8(rig.edge.command(&["detach"])?)?;
        ensure!(
            told.contains("gave back the reserved ports 58000-58999\n"),
            "{told}"
        );
        ensure!(reserved(rig)? == "8080,57400", "{}", reserved(rig)?);
        Ok(())
    });
}
