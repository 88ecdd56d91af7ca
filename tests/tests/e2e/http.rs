//! HTTP beside TFTP: the same files, and neither hurts the other.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::{Outcome, Request};
use tftp_edge_tests::demo::Metrics;
use tftp_edge_tests::phones::{Expected, Oracle as _, PhoneSpec, Progress};
use tftp_edge_tests::rig::{
    HTTP_V4, HTTP_V6, OVER_V4, Rig, content, ensure_all_booted, run, wait_for,
};
use tftp_edge_tests::site::{Site, SiteOptions};

const RESPONSES: &str = "tftp_edge_tftp_responses_total";

on_every_rung!(every_name_is_the_same_over_http_and_tftp);

fn site(phones: usize) -> Site {
    Site::new(&SiteOptions {
        phones,
        firmware_divisor: 256,
        upgrade_one_in: 10,
        ..SiteOptions::default()
    })
}

/// The phones that ask over HTTP first.
fn newer(site: &Site) -> Vec<PhoneSpec> {
    let phones = site.phones.iter().filter(|phone| phone.family.knows_http());
    phones.cloned().collect()
}

/// Fails unless a count over HTTP has grown by so much, a moment after the last byte has come.
fn ensure_over_http(
    rig: &Rig<'_>,
    before: &Metrics,
    family: &str,
    labels: &[(&str, &str)],
    wanted: f64,
) -> Result<()> {
    let grown = |after: &Metrics| over_http(after, before, family, labels);
    let after = rig.scrape_until(|after| grown(after) >= wanted)?;
    let grown = grown(&after);
    ensure!(
        grown == wanted,
        "{family} {labels:?} has grown by {grown}, not {wanted}"
    );
    Ok(())
}

fn over_http(metrics: &Metrics, before: &Metrics, family: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<_> = [("path", "http")]
        .into_iter()
        .chain(labels.iter().copied())
        .collect();
    metrics.grown(before, family, &labels)
}

fn every_name_is_the_same_over_http_and_tftp(rig: &mut Rig<'_>) -> Result<()> {
    let mut site = site(40);
    rig.host(&mut site)?;
    rig.start()?;
    let before = rig.metrics()?;
    let (mut present, mut absent) = (0, 0);
    for name in site.names() {
        let tftp = rig.get(OVER_V4, Request::sized(&*name, 1428))?;
        for server in [HTTP_V4, HTTP_V6] {
            let (outcome, bytes) = rig
                .http_get(server, &name)?
                .with_context(|| format!("{name}: sent elsewhere by {server}"))?;
            match site.oracle.expected(&name) {
                Expected::Bytes(expected) => ensure!(
                    (&outcome, &tftp.outcome) == (&Outcome::Complete, &Outcome::Complete)
                        && bytes == expected
                        && tftp.bytes == expected,
                    "{name}: {outcome:?} with {} bytes over HTTP, {:?} with {} over TFTP",
                    bytes.len(),
                    tftp.outcome,
                    tftp.bytes.len()
                ),
                Expected::Absent => {
                    let is_absent =
                        |outcome: &Outcome| matches!(outcome, Outcome::Refused { code: 1, .. });
                    ensure!(
                        is_absent(&outcome) && is_absent(&tftp.outcome),
                        "{name}: {outcome:?} over HTTP, {:?} over TFTP",
                        tftp.outcome
                    );
                }
                Expected::Judged => anyhow::bail!("{name}: nobody knows its bytes"),
            }
        }
        match tftp.outcome {
            Outcome::Complete => present += 1,
            _ => absent += 1,
        }
    }
    ensure!(
        present > 60 && absent > 60,
        "{present} files, {absent} absent"
    );
    rig.ensure_alone(&before)?;
    for (result, names) in [("complete", present), ("not_found", absent)] {
        let labels = [("result", result)];
        let wanted = f64::from(names * 2);
        ensure_over_http(rig, &before, RESPONSES, &labels, wanted)?;
    }
    Ok(())
}

#[test]
fn newer_phones_boot_over_http_and_older_ones_over_tftp() {
    run(Rung::Tc, |rig| {
        let mut site = site(300);
        rig.host(&mut site)?;
        rig.start()?;
        let before = rig.metrics()?;
        let report = rig.boot(&site, &site.phones, &Progress::default(), |options| {
            options.http = Some(HTTP_V4);
        })?;
        ensure_all_booted(&report)?;
        let of_newer = report.files_over_http();
        ensure!(of_newer > 1000, "{of_newer} files over HTTP");
        let requests = "tftp_edge_tftp_requests_total";
        ensure_over_http(rig, &before, requests, &[], of_newer as f64)?;
        let after = rig.metrics()?;
        let sent = over_http(&after, &before, "tftp_edge_tftp_sent_bytes_total", &[]);
        ensure!(sent > 1e6, "{sent} bytes");
        Ok(())
    });
}

/// Every byte of some thousands of answers, over connections that are kept.
#[test]
fn a_storm_over_kept_connections_gets_every_byte() {
    run(Rung::Socket, |rig| {
        let mut site = site(400);
        rig.host(&mut site)?;
        rig.start()?;
        let configurations: Vec<_> = site.configurations_only();
        let names: Vec<_> = configurations
            .iter()
            .map(|phone| phone.files[0].clone())
            .collect();
        let mut phones = newer(&site);
        phones.truncate(100);
        for (index, phone) in phones.iter_mut().enumerate() {
            phone.files = names
                .iter()
                .cycle()
                .skip(index * 7)
                .take(50)
                .cloned()
                .collect();
        }
        let before = rig.metrics()?;
        let report = rig.boot(&site, &phones, &Progress::default(), |options| {
            options.http = Some(HTTP_V4);
        })?;
        ensure_all_booted(&report)?;
        ensure!(
            report.files_over_http() == 5000,
            "{}",
            report.files_over_http()
        );
        ensure!(report.stage(Stage::Config).bytes > 20_000_000);
        ensure_over_http(rig, &before, RESPONSES, &[("result", "complete")], 5000.0)
    });
}

#[test]
fn phones_fall_back_to_tftp_while_http_is_held_by_others() {
    run(Rung::Tc, |rig| {
        let mut site = site(60);
        rig.host(&mut site)?;
        rig.edge
            .amend("http", "max_connections = 20\nrequest_timeout_s = 60")?;
        rig.start()?;
        let held = rig.as_client(|| {
            (0..20)
                .map(|_| slow_loris(HTTP_V4))
                .collect::<Result<Vec<_>>>()
        })?;
        let before = rig.metrics()?;
        let report = rig.boot(&site, &site.phones, &Progress::default(), |options| {
            options.http = Some(HTTP_V4);
        })?;
        ensure_all_booted(&report)?;
        ensure!(
            report.files_over_http() == 0,
            "{}",
            report.files_over_http()
        );
        let after = rig.metrics()?;
        let turned_away = over_http(
            &after,
            &before,
            "tftp_edge_http_refused_total",
            &[("reason", "connections")],
        );
        ensure!(
            turned_away >= newer(&site).len() as f64,
            "{turned_away} turned away"
        );
        wait_for("those who hold the connections to be alone", || {
            rig.metrics().is_ok_and(|metrics| {
                metrics.sum("tftp_edge_http_connections", &[("path", "http")]) == 20.0
            })
        })?;
        drop(held);
        Ok(())
    });
}

/// A connection whose request never ends.
fn slow_loris(server: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(20))?;
    stream.write_all(b"GET /SEP001B54000000.cnf.xml HTTP/1.1\r\nHost: ")?;
    Ok(stream)
}

#[test]
fn phones_boot_over_tftp_where_there_is_no_http() {
    run(Rung::Tc, |rig| {
        let mut site = site(40);
        rig.host(&mut site)?;
        rig.edge.amend("http", "enabled = false")?;
        rig.start()?;
        let report = rig.boot(&site, &site.phones, &Progress::default(), |options| {
            options.http = Some(HTTP_V4);
        })?;
        ensure_all_booted(&report)?;
        ensure!(report.files_over_http() == 0);
        Ok(())
    });
}

#[test]
fn a_change_in_the_middle_of_a_download_does_not_reach_it() {
    run(Rung::Socket, |rig| {
        let old = content(6 << 20);
        rig.put("image.sbn", &old)?;
        rig.start()?;
        // Read into memory by the first who asks.
        ensure!(
            rig.http_get(HTTP_V4, "image.sbn")?
                .is_some_and(|(_, bytes)| bytes == old)
        );
        let new = vec![7; 6 << 20];
        std::thread::scope(|scope| {
            let rig = &*rig;
            let readers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| rig.http_get(HTTP_V4, "image.sbn")))
                .collect();
            rig.replace("image.sbn", &new)?;
            for reader in readers {
                let got = reader.join().expect("a reader does not panic")?;
                let (_, bytes) = got.context("sent elsewhere")?;
                ensure!(bytes == old || bytes == new, "two versions in one download");
            }
            Ok(())
        })
    });
}
