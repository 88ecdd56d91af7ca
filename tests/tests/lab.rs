//! The lab keeps its promises: shown with a server that is not ours.
//!
//! All of it needs root. Without, each test says that it was skipped and why.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tftp_edge_tests::client::{Fault, Outcome, RealClient, Request, Retry, get, get_with};
use tftp_edge_tests::lab::{
    CLIENT_IF, CLIENT_V4, CLIENT_V6, Capture, Findings, Impairment, Lab, LabOptions, LabPrograms,
    Process, SERVER_IF, SERVER_V4, SERVER_V6, Side, Tags, run, with_root,
};
use tftp_edge_tests::server::{Place, Server};

const SIZES: [usize; 8] = [0, 1, 511, 512, 513, 1024, 1428, 40_000];

/// A lab with dnsmasq in it, serving one file for each size.
struct Bench {
    // Dropped in this order: the server, the lab, the files.
    _server: Process,
    lab: Lab,
    files: TempDir,
}

impl Bench {
    fn new() -> Result<Self> {
        let lab = Lab::new(LabOptions::default())?;
        let files = tempfile::tempdir()?;
        let root = files.path().join("root");
        fs::create_dir(&root)?;
        for size in SIZES {
            fs::write(root.join(name(size)), content(size))?;
        }
        let log = files.path().join("dnsmasq.log");
        let server = Server::Dnsmasq { root }.start(Place::Namespace(&lab.server), 69, &log)?;
        Ok(Self {
            _server: server,
            lab,
            files,
        })
    }

    fn capture(&self) -> Result<Capture> {
        let file = self.files.path().join("capture.pcap");
        Capture::start(&self.lab.client, CLIENT_IF, &file)
    }

    fn get(&self, size: usize, blksize: u16) -> Result<Vec<u8>> {
        let request = if blksize == 0 {
            Request::plain(name(size))
        } else {
            Request::sized(name(size), blksize)
        };
        let fetched = self
            .lab
            .client
            .enter(|| get(CLIENT_V4.into(), server_v4(), request, Retry::default()))?;
        anyhow::ensure!(fetched.outcome == Outcome::Complete, "{fetched:?}");
        Ok(fetched.bytes)
    }
}

fn server_v4() -> SocketAddr {
    (SERVER_V4, 69).into()
}

fn name(size: usize) -> String {
    format!("file-{size}.bin")
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

#[test]
fn a_lab_leaves_nothing_behind_even_on_panic() {
    with_root(false, || {
        let mut names = Vec::new();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let lab = Lab::new(LabOptions::default()).expect("a lab");
            names = vec![lab.server.name().to_owned(), lab.client.name().to_owned()];
            assert!(names.iter().all(|name| exists(name)));
            let mut sleeper = lab.server.command("sleep");
            sleeper
                .arg("600")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            #[expect(clippy::zombie_processes, reason = "the lab is to end it")]
            let _child = sleeper.spawn().expect("a process that nobody ends");
            while lab.server.pids().expect("its processes").is_empty() {
                std::thread::sleep(Duration::from_millis(10));
            }
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_eq!(names.len(), 2);
        assert!(!names.iter().any(|name| exists(name)));
        Ok(())
    });
}

#[test]
fn what_a_killed_run_left_behind_is_swept_up() {
    with_root(false, || {
        // No process has a number this high (the kernel's limit is 2^22).
        let stale = "tftplab-99999999-0-srv";
        run("ip", ["netns", "add", stale])?;
        assert!(exists(stale));
        let lab = Lab::new(LabOptions::default())?;
        assert!(!exists(stale));
        assert!(exists(lab.server.name()));
        Ok(())
    });
}

#[test]
fn our_client_gets_every_size_with_and_without_options() {
    with_root(false, || {
        let bench = Bench::new()?;
        for size in SIZES {
            for blksize in [0, 512, 1428] {
                assert_eq!(
                    bench.get(size, blksize)?,
                    content(size),
                    "{size} by {blksize}"
                );
            }
        }
        Ok(())
    });
}

#[test]
fn real_clients_get_every_size_and_the_capture_is_sound() {
    with_root(false, || {
        let bench = Bench::new()?;
        let capture = bench.capture()?;
        for client in RealClient::ALL {
            for size in SIZES {
                if size == 0 && !client.takes_empty_files() {
                    continue;
                }
                let blksize = if client.has_blksize() { 1024 } else { 0 };
                let server = SERVER_V4.into();
                let got = client.get(&bench.lab.client, server, &name(size), blksize)?;
                assert_eq!((got.exit, &got.bytes), (0, &content(size)), "{got:?}");
            }
        }
        capture.finish()?.ensure_sound()
    });
}

#[test]
fn ipv6_works_as_ipv4_does() {
    with_root(false, || {
        let bench = Bench::new()?;
        let capture = bench.capture()?;
        let server = (SERVER_V6, 69).into();
        let request = Request::sized(name(40_000), 1024);
        let fetched = bench
            .lab
            .client
            .enter(|| get(CLIENT_V6.into(), server, request, Retry::default()))?;
        assert_eq!(fetched.outcome, Outcome::Complete);
        assert_eq!(fetched.bytes, content(40_000));
        let findings = capture.finish()?;
        assert_eq!(findings.fields("tftp && ip", "frame.number")?.len(), 0);
        findings.ensure_sound()
    });
}

#[test]
fn every_phone_has_an_address_of_its_own() {
    with_root(false, || {
        let bench = Bench::new()?;
        let capture = bench.capture()?;
        let phones: [(IpAddr, SocketAddr); 3] = [
            (Ipv4Addr::new(10, 80, 0, 1).into(), server_v4()),
            (Ipv4Addr::new(10, 95, 200, 7).into(), server_v4()),
            (
                Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 9).into(),
                (SERVER_V6, 69).into(),
            ),
        ];
        for (phone, server) in phones {
            let request = Request::plain(name(513));
            let fetched = bench
                .lab
                .client
                .enter(|| get(phone, server, request, Retry::default()))?;
            assert_eq!(fetched.bytes, content(513), "{phone}");
        }
        let findings = capture.finish()?;
        let seen: BTreeSet<String> = findings
            .fields("tftp.opcode == 1", "ip.src")?
            .into_iter()
            .filter(|source| !source.is_empty())
            .collect();
        let expected = ["10.80.0.1", "10.95.200.7"].map(str::to_owned);
        assert_eq!(seen, BTreeSet::from(expected));
        findings.ensure_sound()
    });
}

#[test]
fn a_lost_datagram_is_asked_for_again() {
    with_root(false, || {
        let bench = Bench::new()?;
        let mut count = 0;
        let fetched = bench.lab.client.enter(|| {
            let request = Request::plain(name(1024));
            get_with(
                CLIENT_V4.into(),
                server_v4(),
                request,
                Retry::default(),
                |_, _| {
                    count += 1;
                    if count == 4 { Fault::Lose } else { Fault::None }
                },
            )
        })?;
        assert_eq!(fetched.outcome, Outcome::Complete);
        assert_eq!(fetched.bytes, content(1024));
        assert!(fetched.tally.resends + fetched.tally.duplicates > 0);
        Ok(())
    });
}

#[test]
fn impair_loses_and_repeats_the_share_it_was_told() {
    with_root(true, || {
        let bench = Bench::new()?;
        let client = &bench.lab.client;
        let impairment = Impairment::percent(5.0, 5.0);
        let out = LabPrograms::impair(client, CLIENT_IF, Side::Egress, impairment)?;
        let back = LabPrograms::impair(client, CLIENT_IF, Side::Ingress, impairment)?;
        let capture = bench.capture()?;
        // Enough small blocks for the law of large numbers; each loss costs half a second or more,
        // so several clients run at once.
        let mut duplicates = 0;
        let fetched = std::thread::scope(|scope| -> Result<Vec<_>> {
            let clients: Vec<_> = (0..24)
                .map(|_| {
                    scope.spawn(|| {
                        client.enter(|| {
                            let request = Request::plain(name(40_000));
                            get(CLIENT_V4.into(), server_v4(), request, Retry::default())
                        })
                    })
                })
                .collect();
            clients
                .into_iter()
                .map(|client| client.join().expect("a client's thread"))
                .collect()
        })?;
        for one in &fetched {
            assert_eq!(one.outcome, Outcome::Complete);
            assert_eq!(one.bytes, content(40_000));
            duplicates += one.tally.duplicates;
        }
        assert!(duplicates > 0);
        capture.finish()?.ensure_sound()?;
        for impairs in [out.impairs()?, back.impairs()?] {
            assert!(impairs.seen > 1000, "{impairs:?}");
            // Expected is 5 % of n; the bounds are more than five standard deviations away.
            let bounds = impairs.seen / 100..impairs.seen / 10;
            assert!(bounds.contains(&impairs.dropped), "{impairs:?}");
            assert!(bounds.contains(&impairs.duplicated), "{impairs:?}");
        }
        Ok(())
    });
}

#[test]
fn an_impairment_ends_with_its_guard() {
    with_root(true, || {
        let bench = Bench::new()?;
        let all = Impairment::percent(100.0, 0.0);
        let guard = LabPrograms::impair(&bench.lab.client, CLIENT_IF, Side::Egress, all)?;
        let once = Retry {
            sends: 1,
            ..Retry::default()
        };
        let ask = || {
            bench
                .lab
                .client
                .enter(|| get(CLIENT_V4.into(), server_v4(), Request::plain(name(1)), once))
        };
        assert!(matches!(ask()?.outcome, Outcome::Failed(_)));
        drop(guard);
        assert_eq!(ask()?.outcome, Outcome::Complete);
        Ok(())
    });
}

/// What a capture shows of clients behind `tags`, and the VLAN ids of each TFTP frame.
fn tagged(tags: Tags) -> Result<(Findings, Vec<String>)> {
    let bench = Bench::new()?;
    let _client = LabPrograms::tag(&bench.lab.client, CLIENT_IF, tags)?;
    let _server = LabPrograms::tag(&bench.lab.server, SERVER_IF, tags)?;
    let capture = bench.capture()?;
    for size in SIZES {
        assert_eq!(bench.get(size, 0)?, content(size));
    }
    let findings = capture.finish()?;
    findings.ensure_sound()?;
    let ids = findings.fields("tftp", "vlan.id")?;
    Ok((findings, ids))
}

#[test]
fn clients_behind_a_tag_speak_tagged() {
    with_root(true, || {
        let (findings, ids) = tagged(Tags {
            inner: 110,
            outer: 0,
        })?;
        assert_eq!(findings.tagged, findings.tftp);
        assert_eq!(findings.double_tagged, 0);
        assert!(ids.iter().all(|id| id == "110"), "{ids:?}");
        Ok(())
    });
}

#[test]
fn clients_behind_two_tags_speak_double_tagged() {
    with_root(true, || {
        let (findings, ids) = tagged(Tags {
            inner: 110,
            outer: 200,
        })?;
        assert_eq!(findings.double_tagged, findings.tftp);
        assert!(ids.iter().all(|id| id == "200,110"), "{ids:?}");
        Ok(())
    });
}

#[test]
fn padded_frames_are_full_and_still_understood() {
    with_root(true, || {
        let bench = Bench::new()?;
        let _padding = LabPrograms::page_sized(&bench.lab.client, CLIENT_IF)?;
        let capture = bench.capture()?;
        for size in SIZES {
            assert_eq!(bench.get(size, 0)?, content(size));
        }
        let findings = capture.finish()?;
        let lens = findings.fields("tftp.opcode == 1 || tftp.opcode == 4", "frame.len")?;
        assert!(lens.iter().all(|len| len == "1514"), "{lens:?}");
        findings.ensure_sound()
    });
}
