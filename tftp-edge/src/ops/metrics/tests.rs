use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tftp_ebpf::classify::{Class, Decision};

use super::*;
use crate::content::upstream;
use crate::http::{self, Traffic};
use crate::inventory::Protocol;
use crate::kernel::{GateStatus, InterfaceStatus, Registrations, Snapshot};
use crate::misses::Rate;
use crate::ops::sources::{Content, Devices, Sockets};
use crate::register;
use crate::register::bans::Offence;
use crate::register::sip::message::Method;
use crate::register::sip::{self, Bad, End};
use crate::register::storm::{self, Applicant, Storm, Told};
use crate::register::{Refusal as Refused, Transport};
use crate::stats::{Counters, LOG2_BUCKETS};

fn socket_counters() -> Counters {
    let counters = Counters::default();
    counters.count(Reason::FirstData);
    counters.count(Reason::Refused);
    counters.add(Stage::Config, StageCounter::Requests, 3);
    counters.add(Stage::Config, StageCounter::Blocks, 36);
    counters.add(Stage::Config, StageCounter::Bytes, 18_000);
    counters.add(Stage::Trust, StageCounter::NotFound, 2);
    counters.completed(Stage::Config, Duration::from_micros(100));
    counters.completed(Stage::Config, Duration::from_micros(300));
    counters.completed(Stage::Config, Duration::from_secs(3_600));
    counters
}

fn registrations() -> Registrations {
    let mut seen = Registrations {
        gate: GateStatus {
            budget: Some(Rate::new(200, 50)),
            sources: 900,
            sources_limit: 131_072,
            overflow: 1,
        },
        samples_skipped: 6,
        samples_lost: 4,
        ..Registrations::default()
    };
    let xdp = &mut seen.packets[0].packets;
    xdp[Class::Syn as usize][Decision::Pass as usize] = 40;
    xdp[Class::Syn as usize][Decision::Drop as usize] = 7;
    let tc = &mut seen.packets[1].packets;
    tc[Class::SipRegister as usize][Decision::WouldDrop as usize] = 2;
    seen
}

fn snapshot() -> Snapshot {
    let swept = Counters::default();
    swept.count(Reason::TimedOut);
    swept.add(Stage::Firmware, StageCounter::Failed, 1);
    let mut latency_ns = [[0; LOG2_BUCKETS]; 2];
    latency_ns[0][8] = 1_000;
    latency_ns[1][LOG2_BUCKETS - 1] = 1;
    Snapshot {
        interfaces: vec![
            InterfaceStatus {
                name: "eth0".to_owned(),
                mode: Mode::Xdp,
                problem: None,
            },
            InterfaceStatus {
                name: "br0".to_owned(),
                mode: Mode::Tc,
                problem: Some("no native XDP".to_owned()),
            },
        ],
        sweeper: swept.tally(),
        latency_ns,
        names: 7,
        files: 5,
        content_bytes: 30_000,
        slab_bytes: 65_536,
        slab_bytes_limit: 1_048_576,
        map_bytes: 2_000_000,
        transfers: 12,
        transfers_limit: 65_536,
        evicted: 1,
        refused: 2,
        events_lost: 3,
        registrations: registrations(),
        ..Snapshot::default()
    }
}

fn fixed() -> Sources {
    let counters = socket_counters();
    Sources {
        configured: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
        socket: Arc::new(move || counters.tally()),
        kernel: Arc::new(snapshot),
        sockets: Arc::new(|| Sockets {
            bound: vec![([127, 0, 0, 1], 69).into()],
            transfers: 4,
            transfers_limit: 20_000,
            receive_errors: 9,
            ..Sockets::default()
        }),
        http: Arc::new(|| {
            let counters = Counters::default();
            counters.add(Stage::Config, StageCounter::Requests, 4);
            counters.add(Stage::Config, StageCounter::Bytes, 24_000);
            counters.completed(Stage::Config, Duration::from_micros(500));
            let mut refused = [0; Refusal::COUNT];
            refused[Refusal::SlowReader as usize] = 2;
            let plain = Traffic {
                tally: counters.tally(),
                refused,
                connections: 3,
            };
            http::Snapshot {
                traffic: [plain, Traffic::default()],
                connections_limit: 4_096,
                ..http::Snapshot::default()
            }
        }),
        content: Arc::new(|| Content {
            settled: true,
            on_disk: 20,
            generated: 15,
            absent: 11,
            refused: 2,
            clashes: 1,
            memory_bytes: 123_456,
            memory_limit_bytes: 1_073_741_824,
            evicted: 3,
            last_regeneration: Duration::from_millis(250),
            last_regeneration_files: 10,
            ..Content::default()
        }),
        devices: Arc::new(|| Devices {
            sip: 8,
            sccp: 6,
            unknown: 3,
            forgotten: 1,
            windows_open: Some(2),
        }),
        register: Arc::new(registering),
        ..Sources::default()
    }
}

/// In the middle of a storm.
fn registering() -> register::Snapshot {
    let start = Instant::now();
    let settings = storm::Settings {
        max_registrations_per_second: 2,
        ..storm::Settings::default()
    };
    let storm = Storm::new(&settings);
    for number in 0..6 {
        let device = format!("SEP{number:012X}").parse().unwrap();
        let applicant = Applicant {
            device: &device,
            protocol: Protocol::Sip,
            is_refresh: number == 0,
            arrived: start,
        };
        storm.ask(&applicant, start + Duration::from_millis(1));
    }
    let mut register = register::Snapshot {
        mode: register::Mode::Registrar,
        storm: storm.snapshot(start),
        store: register::store::Snapshot {
            pending: 3,
            oldest_pending: Duration::from_millis(1_500),
            flushes: 40,
            rows: 900,
            failures: 1,
            dropped: 2,
            ..register::store::Snapshot::default()
        },
        orders: register::pacer::Snapshot {
            waiting: 5,
            limit: 200_000,
            sent: [1, 2, 3],
            superseded: 4,
            failed: 6,
            no_room: 7,
        },
        table: register::Table::default().counts(),
        ..register::Snapshot::default()
    };
    // What depends on the clock of this machine.
    register.storm.arrivals_per_second = 0.0;
    register.storm.longest_wait = Duration::from_secs(2);
    register.storm.state = storm::State::Storm;
    register.storm.storms = 1;
    register.storm.kernel_budget = Some(50);
    register.bans.bans[Offence::Guess as usize] = 3;
    register.bans.limit = 4_096;
    register.newcomers.taken_in = 7;
    register.sccp.received[0] = 11;
    register.sip = sip();
    register.sccp.refused[Refused::Storm as usize] = 3;
    register
}

fn sip() -> sip::Snapshot {
    let mut sip = sip::Snapshot {
        connections_limit: 50_000,
        buffered_bytes: 700,
        buffered_bytes_limit: 67_108_864,
        transactions: 2,
        transactions_limit: 65_536,
        ..sip::Snapshot::default()
    };
    let (udp, tcp) = (Transport::Udp as usize, Transport::Tcp as usize);
    let (register, notify) = (Method::Register as usize, Method::Notify as usize);
    sip.traffic.requests[udp][register] = 40;
    sip.traffic.requests[tcp][register] = 30;
    sip.traffic.responses[register] = [0, 35, 0, 30, 5, 0];
    sip.traffic.sent[notify] = 4;
    sip.traffic.answers[1] = 3;
    sip.traffic.bad[udp][Bad::NotSip as usize] = 6;
    sip.traffic.ends[End::Idle as usize] = 8;
    sip.traffic.connections[tcp] = 25;
    sip.traffic.receive_overflows = 12;
    sip.traffic.resent = 1;
    sip.counts.events[sip::Event::Challenged as usize] = 28;
    sip.counts.refusals[Refused::Storm as usize] = 5;
    sip.counts.defects[0] = 2;
    sip
}

fn edge_text(sources: Sources) -> String {
    let families = Edge::new(Arc::new(sources)).collect();
    TextEncoder::new().encode_to_string(&families).unwrap()
}

/// Samples by name and labels, as they are written.
fn sample(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}"))
        .parse()
        .unwrap()
}

/// Without the samples that are 0: what they are is the rule of the next test.
#[test]
fn the_exposition_of_a_fixed_daemon() {
    let text = edge_text(fixed()).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let lines = text.lines().filter(|line| !line.ends_with(" 0"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_combination_of_labels_is_there_before_anything_happened() {
    let text = edge_text(Sources::default());
    let (stages, rungs, paths) = (Stage::COUNT, Rung::COUNT, Path::COUNT);
    for (family, series) in [
        ("tftp_requests_total", stages * paths),
        ("tftp_responses_total", stages * 3 * paths),
        ("tftp_transfer_duration_seconds_count", stages * paths),
        ("tftp_transfer_duration_seconds_bucket", stages * paths * 20),
        ("tftp_sent_bytes_total", stages * paths),
        ("tftp_sent_blocks_total", stages * rungs),
        ("tftp_retransmitted_blocks_total", stages * rungs),
        ("tftp_packets_total", Reason::COUNT * rungs),
        ("http_connections", Scheme::COUNT),
        ("http_refused_total", Scheme::COUNT * Refusal::COUNT),
        ("tftp_sessions", 2),
        ("tftp_sessions_limit", 2),
        ("xdp_program_seconds_count", 2),
        ("inventory_devices", 2),
        ("admission_decisions_total", 2 * Told::COUNT),
        ("admission_queue_wait_seconds_count", 2),
        ("retry_after_seconds_bucket", 2 * 9),
        ("registration_bans_total", Offence::ALL.len()),
        ("registration_newcomers_total", 5),
        ("registrations", 2),
        ("registration_events_total", 2 * 3),
        ("registration_departures_total", 2 * 16),
        ("store_operations_total", 2),
        ("orders_sent_total", 3),
        ("orders_unsent_total", 3),
        ("registration_refusals_total", 2 * Refused::ALL.len()),
        ("sip_requests_total", 3 * 15),
        ("sip_responses_total", 6 * 15),
        ("sip_bad_messages_total", 3 * Bad::COUNT),
        ("sip_connections", 2),
        ("sip_connections_ended_total", End::COUNT),
        ("udp_receive_errors_total", 2),
    ] {
        let start = format!("tftp_edge_{family}{{");
        let found: std::collections::HashSet<_> = text
            .lines()
            .filter(|line| line.starts_with(&start))
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect();
        assert_eq!(found.len(), series, "{family}");
    }
    // But for the interfaces, which are not known before the kernel side runs.
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix("# TYPE ").map(str::to_owned))
            .filter(|line| !line.contains("xdp_attached"))
            .collect()
    };
    assert_eq!(names(&text), names(&edge_text(fixed())));
}

#[test]
fn buckets_are_cumulative_and_in_seconds() {
    let text = edge_text(fixed());
    let bucket = |le: &str| {
        sample(
            &text,
            &format!(
                "tftp_edge_tftp_transfer_duration_seconds_bucket\
                 {{class=\"config\",path=\"socket\",le=\"{le}\"}}"
            ),
        )
    };
    // 100 µs and 300 µs; the hour is above the last bound.
    assert_eq!(bucket("0.000256"), 1.0);
    assert_eq!(bucket("0.000512"), 2.0);
    assert_eq!(bucket("67.108864"), 2.0);
    assert_eq!(bucket("+Inf"), 3.0);
    let of = |suffix: &str| {
        let name = "tftp_edge_tftp_transfer_duration_seconds";
        sample(
            &text,
            &format!("{name}_{suffix}{{class=\"config\",path=\"socket\"}}"),
        )
    };
    assert_eq!(of("count"), 3.0);
    assert!((of("sum") - 3600.0004).abs() < 1e-9);
}

#[test]
fn the_estimated_sum_of_the_program_times_is_the_middle_of_the_buckets() {
    let text = edge_text(fixed());
    let sum = sample(&text, "tftp_edge_xdp_program_seconds_sum{path=\"xdp\"}");
    assert!((sum - 1_000.0 * 192e-9).abs() < 1e-12, "{sum}");
}

#[test]
fn the_action_of_a_packet_is_the_verdict_of_its_reason() {
    let text = edge_text(fixed());
    for (series, value) in [
        (
            "{path=\"socket\",action=\"answer\",reason=\"first_data\"}",
            1.0,
        ),
        ("{path=\"xdp\",action=\"drop\",reason=\"timed_out\"}", 1.0),
        ("{path=\"tc\",action=\"pass\",reason=\"unknown_name\"}", 0.0),
    ] {
        let series = format!("tftp_edge_tftp_packets_total{series}");
        assert_eq!(sample(&text, &series), value, "{series}");
    }
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let promtool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let child = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            // Not by a macro: what those write is shown of failed tests alone.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: the check of the metrics by promtool: {promtool}: {error}"
            );
            return;
        }
    };
    let text = Metrics::new(Arc::new(fixed())).text().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn upstream_servers_are_told_one_by_one_and_only_if_there_are_any() {
    assert!(!edge_text(fixed()).contains("upstream_"));
    let server = |server: &str, is_up, found| upstream::ServerSnapshot {
        server: server.to_owned(),
        is_up,
        problem: None,
        fetches: [("found".to_owned(), found)].into(),
    };
    let text = edge_text(Sources {
        upstream: Arc::new(move || upstream::Snapshot {
            servers: vec![
                server("http://10.1.1.10:6970", true, 7),
                server("tftp://10.1.1.11:69", false, 0),
            ],
            hits: 5,
            stale_hits: 2,
            bytes: 70_000,
            ..upstream::Snapshot::default()
        }),
        ..fixed()
    });
    for (series, value) in [
        ("upstream_up{server=\"http://10.1.1.10:6970\"}", 1.0),
        ("upstream_up{server=\"tftp://10.1.1.11:69\"}", 0.0),
        (
            "upstream_fetches_total{server=\"http://10.1.1.10:6970\",outcome=\"found\"}",
            7.0,
        ),
        ("upstream_cache_hits_total{age=\"fresh\"}", 3.0),
        ("upstream_cache_hits_total{age=\"stale\"}", 2.0),
        ("upstream_cached_bytes", 70_000.0),
    ] {
        assert_eq!(
            sample(&text, &format!("tftp_edge_{series}")),
            value,
            "{series}"
        );
    }
}
