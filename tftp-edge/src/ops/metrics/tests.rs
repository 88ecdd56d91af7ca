mod cardinality;
mod contrib;
mod dashboard;
mod document;
mod fixed;
mod rules;

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::{Reason, Rung};

use self::fixed::{fixed, upstream_servers, whole};
use super::*;
use crate::content::Cause;
use crate::http::{Refusal, Scheme};
use crate::kernel::BoundedMap;
use crate::register::Refusal as Refused;
use crate::register::bans::Offence;
use crate::register::sip::{Bad, End};
use crate::register::storm::Told;
use crate::stats::Path;

/// Prometheus' own tool, as `PROMTOOL` names it, on the path, or as `cargo xtask setup` has it. Says
/// what is left out without it.
fn promtool(what: &str) -> Option<Command> {
    let named = std::env::var_os("PROMTOOL").map(PathBuf::from);
    let of_setup = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/tools/bin/promtool"
    ));
    let candidates = [named, Some("promtool".into()), Some(of_setup)];
    let found = candidates.into_iter().flatten().find(|program| {
        let asked = Command::new(program).arg("--version").output();
        asked.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        // Not by a macro: what those write is shown of failed tests alone.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: there is no promtool");
    }
    found.map(Command::new)
}

/// Fails unless Prometheus can read all of these.
fn ensure_promql(expressions: impl Iterator<Item = String>) {
    let Some(mut promtool) = promtool("whether expressions are PromQL") else {
        return;
    };
    let mut rules = "groups:\n  - name: all\n    rules:\n".to_owned();
    for (number, expression) in expressions.enumerate() {
        let expression = serde_json::Value::String(expression);
        rules += &format!("      - record: expression_{number}\n        expr: {expression}\n");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, rules).unwrap();
    let output = promtool.args(["check", "rules"]).arg(file.path());
    let output = output.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

/// All that there can be, the process included.
fn whole_text() -> String {
    Metrics::new(Arc::new(whole())).text().unwrap()
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

/// Without the samples that are 0: what they are is the rule of the next test. Of the process only
/// the names: its figures are of this machine.
#[test]
fn the_exposition_of_a_fixed_daemon() {
    let text = whole_text()
        .replace(env!("CARGO_PKG_VERSION"), "VERSION")
        .replace(env!("TFTP_EDGE_RUSTC"), "RUSTC");
    let lines = text
        .lines()
        .filter(|line| !line.ends_with(" 0") && !line.starts_with("process_"));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_combination_of_labels_is_there_before_anything_happened() {
    let text = edge_text(Sources::default());
    let (stages, rungs, paths) = (Stage::COUNT, Rung::COUNT, Path::COUNT);
    for (family, series) in [
        ("tftp_requests_total", stages * paths),
        ("tftp_responses_total", stages * (5 * paths - 2)),
        ("tftp_first_byte_seconds_count", stages * (paths - 2)),
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
        ("blocks", Offence::ALL.len()),
        ("blocks_added_total", Offence::ALL.len()),
        ("regenerations_total", Cause::COUNT),
        ("regenerated_files_total", stages),
        ("store_dropped_total", 4),
        ("xdp_interfaces_wanted", 3),
        ("xdp_map_entries", BoundedMap::COUNT),
        ("xdp_map_capacity", BoundedMap::COUNT),
        ("http_requests_in_progress", Scheme::COUNT),
        ("registration_newcomers_total", 5),
        ("registrations", 2),
        ("registration_events_total", 2 * 3),
        ("registration_departures_total", 2 * 16),
        ("store_operations_total", 4),
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
        let found: HashSet<_> = text
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
    let text = whole_text();
    let Some(mut promtool) = promtool("the check of the metrics") else {
        return;
    };
    let mut child = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn upstream_servers_are_told_one_by_one_and_only_if_there_are_any() {
    assert!(!edge_text(fixed()).contains("upstream_"));
    let text = edge_text(Sources {
        upstream: Arc::new(upstream_servers),
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
