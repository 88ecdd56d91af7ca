//! In front of other people's servers: what comes from them is answered by the kernel in the end.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_ebpf::wire::tftp::Options;
use tftp_edge_tests::client::{Exchange, Failure, Fetched, Outcome, Request, Retry, get};
use tftp_edge_tests::lab::{CLIENT_V4, Process};
use tftp_edge_tests::rig::{OVER_V4, PATIENT, Rig, content, run, wait_for};

use crate::faults::{problems, wait_for_no_alarm};

on_every_rung!(a_file_from_upstream_is_answered_by_the_kernel_once_it_is_hot);

/// A phone: whoever asks from the address of a server upstream is one.
const PHONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 80, 1, 7));

/// busybox over HTTP, and behind it dnsmasq over TFTP, both among the clients.
fn upstream(rig: &Rig<'_>) -> Result<[Process; 2]> {
    let [pages, tree] = ["pages", "tree"].map(|name| rig.file(name));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&tree)?;
    fs::write(pages.join("over-http.bin"), content(70_000))?;
    fs::write(tree.join("over-tftp.bin"), content(90_000))?;
    let config =
        format!("\n[upstream]\nservers = [\"http://{CLIENT_V4}\", \"tftp://{CLIENT_V4}\"]\n");
    File::options()
        .append(true)
        .open(rig.edge.config())?
        .write_all(config.as_bytes())?;
    serve_upstream(rig)
}

fn serve_upstream(rig: &Rig<'_>) -> Result<[Process; 2]> {
    let [pages, tree] = ["pages", "tree"].map(|name| rig.file(name));
    let mut httpd = rig.lab.client.command("busybox");
    httpd
        .args(["httpd", "-f", "-p"])
        .arg(format!("{CLIENT_V4}:6970"))
        .arg("-h")
        .arg(&pages);
    let mut dnsmasq = rig.lab.client.command("dnsmasq");
    dnsmasq
        .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0"])
        .args([
            "--user=root",
            "--log-facility=-",
            "--enable-tftp",
            "--pid-file",
        ])
        .arg(format!("--tftp-root={}", tree.display()));
    let start = |name, command: Command| {
        let log = rig.file(&format!("{name}.log"));
        Process::start(name, command, &log)
    };
    let httpd = start("httpd", httpd)?;
    let mut dnsmasq = start("dnsmasq", dnsmasq)?;
    dnsmasq.wait_until(Duration::from_secs(20), || {
        let asked = rig.as_client(|| {
            let exchange = Exchange::new(CLIENT_V4.into(), 0)?;
            exchange.send((CLIENT_V4, 69).into(), b"\0\x01nothing\0octet\0")?;
            exchange.receive(Duration::from_millis(200))
        });
        matches!(asked, Ok(Some(_)))
    })?;
    Ok([httpd, dnsmasq])
}

fn a_file_from_upstream_is_answered_by_the_kernel_once_it_is_hot(rig: &mut Rig<'_>) -> Result<()> {
    let servers = upstream(rig)?;
    rig.start()?;
    for (name, len) in [("over-http.bin", 70_000), ("Over-TFTP.bin", 90_000)] {
        // The server tells upper from lower case.
        let real = name.to_lowercase();
        let started = rig.metrics()?;
        ensure!(fetch(rig, &real)? == content(len), "{real}");
        // The first is the daemon's to answer.
        rig.until_counted(&started, &[("socket", Reason::FirstData, 1)])?;
        // The second makes it hot.
        ensure!(fetch(rig, name)? == content(len), "{name}");
        until_in_kernel(rig, &real)?;
        let before = rig.metrics()?;
        ensure!(fetch(rig, name)? == content(len), "{name}");
        rig.ensure_alone(&before)?;
    }
    let metrics = rig.metrics()?;
    let asked = |outcome| metrics.sum("tftp_edge_upstream_fetches_total", &[("outcome", outcome)]);
    ensure!(
        asked("found") == 2.0,
        "each is fetched once: {}",
        asked("found")
    );
    ensure!(metrics.sum("tftp_edge_upstream_cached_bytes", &[]) == 160_000.0);

    // Another edge is not given a copy of a copy: it asks in a way that the kernel passes on.
    let forwarded = Request {
        options: Options {
            windowsize: 16,
            ..Options::default()
        },
        tail: b"cdn-loop\0tftp-edge\0",
        ..Request::plain("over-tftp.bin")
    };
    let got = rig.as_client(|| get(PHONE, OVER_V4, forwarded, PATIENT))?;
    ensure!(
        matches!(got.outcome, Outcome::Refused { code: 1, .. }),
        "{:?}",
        got.outcome
    );

    // And without its upstream it goes on.
    drop(servers);
    let before = rig.metrics()?;
    ensure!(fetch(rig, "over-tftp.bin")? == content(90_000));
    rig.ensure_alone(&before)
}

#[test]
fn an_upstream_that_is_gone_is_told_and_asked_again_when_it_is_back() {
    run(Rung::Socket, |rig| {
        let servers = upstream(rig)?;
        rig.start()?;
        ensure!(fetch(rig, "over-http.bin")? == content(70_000));
        drop(servers);
        // What is there was never asked for; whoever asks is not told that there is none.
        let quick = Retry {
            first: Duration::from_millis(500),
            longest: Duration::from_millis(500),
            sends: 2,
        };
        let ask = || {
            let asked = Request::plain("over-tftp.bin");
            rig.as_client(|| get(PHONE, OVER_V4, asked, quick))
        };
        let got = ask()?;
        let is_silent = matches!(got.outcome, Outcome::Failed(Failure::Timeout { .. }));
        ensure!(is_silent, "{:?}", got.outcome);
        wait_for("an alarm for each server", || {
            problems(rig, "upstream").len() == 2
        })?;
        ensure!(fetch(rig, "over-http.bin")? == content(70_000));

        let _servers = serve_upstream(rig)?;
        wait_for("the file to come", || {
            let got = ask();
            got.is_ok_and(|it| it.bytes == content(90_000))
        })?;
        wait_for_no_alarm(rig, "upstream")
    });
}

fn fetch(rig: &Rig<'_>, name: &str) -> Result<Vec<u8>> {
    let Fetched { outcome, bytes, .. } =
        rig.as_client(|| get(PHONE, OVER_V4, Request::plain(name), PATIENT))?;
    ensure!(outcome == Outcome::Complete, "{name}: {outcome:?}");
    Ok(bytes)
}

/// Asks until the rung under test answers alone.
fn until_in_kernel(rig: &Rig<'_>, name: &str) -> Result<()> {
    wait_for(&format!("{name} to be in the kernel"), || {
        let alone = || -> Result<bool> {
            let before = rig.metrics()?;
            fetch(rig, name)?;
            rig.was_alone(&before)
        };
        alone().is_ok_and(|alone| alone)
    })
}
