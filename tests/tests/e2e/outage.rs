//! The daemon ends, in order or not, and comes back.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::Retry;
use tftp_edge_tests::lab::{SERVER_IF, attached_to};
use tftp_edge_tests::phones::Progress;
use tftp_edge_tests::rig::{Rig, ensure_all_booted};
use tftp_edge_tests::site::{Site, SiteOptions};

on_every_rung!(
    phones_finish_when_a_killed_daemon_is_back,
    an_orderly_end_leaves_nothing_behind,
);

/// Ports that somebody else has reserved, and those of the kernel's transfers.
const OTHERS: &str = "8080,9148-9150";
const OURS: &str = "57344-65535";

fn phones_finish_when_a_killed_daemon_is_back(rig: &mut Rig<'_>) -> Result<()> {
    const PHONES: usize = 300;
    let mut site = Site::new(&SiteOptions {
        phones: PHONES,
        firmware_divisor: 1024,
        ..SiteOptions::default()
    });
    rig.host(&mut site)?;
    rig.start()?;
    let mut daemon = rig.take_daemon()?;
    let progress = Progress::default();
    let (shared, watched) = (&*rig, &progress);
    let (report, daemon) = thread::scope(|scope| -> Result<_> {
        let boot = scope.spawn(|| {
            shared.boot(&site, &site.phones, watched, |options| {
                options.ramp = Duration::from_secs(2);
                // They ask more often than real phones, or the test would take as long as those do,
                // and are as patient: on a busy machine a daemon starts in some seconds.
                options.retry = Retry {
                    first: Duration::from_millis(200),
                    longest: Duration::from_secs(1),
                    sends: 20,
                };
                options.limit = Duration::from_secs(60);
            })
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        while Progress::read(&watched.booted) < PHONES as u64 / 5 {
            ensure!(Instant::now() < deadline, "the storm does not begin");
            thread::sleep(Duration::from_millis(1));
        }
        daemon.end(Signal::SIGKILL)?;
        let booted = Progress::read(&watched.booted);
        ensure!(
            booted < PHONES as u64,
            "{booted} had booted: not in mid-storm"
        );
        thread::sleep(Duration::from_millis(300));
        let daemon = shared.edge.start()?;
        let report = boot
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((report, daemon))
    })?;
    rig.give_daemon(daemon);
    ensure_all_booted(&report)?;
    ensure!(report.resends() > 0, "nobody has noticed");
    rig.stop()?;
    ensure_nothing_attached(rig)
}

fn an_orderly_end_leaves_nothing_behind(rig: &mut Rig<'_>) -> Result<()> {
    rig.lab
        .server
        .set_sysctl("net/ipv4/ip_local_reserved_ports", OTHERS)?;
    ensure_nothing_attached(rig)?;
    rig.put("f.bin", b"content")?;
    rig.start()?;
    let attached = attached_to(&rig.lab.server, SERVER_IF)?;
    // TC is behind XDP, too.
    let wanted = [rig.rung != Rung::Socket, rig.rung == Rung::Xdp];
    ensure!(
        ["tftp_edge_tc", "xdp"].map(|name| attached.contains(name)) == wanted,
        "attached: {attached:?}"
    );
    let expected = match rig.rung {
        Rung::Socket => OTHERS.to_owned(),
        Rung::Xdp | Rung::Tc => format!("{OTHERS},{OURS}"),
    };
    ensure!(reserved(rig)? == expected, "reserved: {}", reserved(rig)?);
    ensure!(rig.get_all("f.bin")? == b"content");

    rig.stop()?;
    ensure_nothing_attached(rig)?;
    ensure!(reserved(rig)? == OTHERS, "reserved: {}", reserved(rig)?);
    // And what was killed leaves nothing in the way of the next.
    rig.start()?;
    rig.kill()?;
    ensure_nothing_attached(rig)?;
    rig.start()?;
    ensure!(rig.get_all("f.bin")? == b"content");
    rig.stop()?;
    ensure_nothing_attached(rig)?;
    // Without pins there is no record of whose they are, and nobody else's are taken off.
    ensure!(reserved(rig)? == expected, "reserved: {}", reserved(rig)?);
    Ok(())
}

fn ensure_nothing_attached(rig: &Rig<'_>) -> Result<()> {
    let attached = attached_to(&rig.lab.server, SERVER_IF)?;
    ensure!(
        !attached.contains("tftp_edge") && !attached.contains("xdp"),
        "still attached: {attached}"
    );
    Ok(())
}

fn reserved(rig: &Rig<'_>) -> Result<String> {
    let file = "/proc/sys/net/ipv4/ip_local_reserved_ports";
    let list = rig
        .lab
        .server
        .enter(|| std::fs::read_to_string(file).context("reading the reserved ports"))?;
    Ok(list.trim().to_owned())
}
