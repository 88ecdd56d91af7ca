//! What is served, and what is fetched from other servers for it.

use super::family::Family;
use crate::ops::sources::Reading;

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let mut families = content(reading);
    families.extend(upstream(reading));
    families
}

fn content(reading: &Reading) -> Vec<Family> {
    let content = &reading.content;
    let gauge = |name, help, value: f64| Family::gauge(name, help).with(&[], value);
    vec![
        Family::gauge("content_files", "Files that can be served.")
            .with(&[("origin", "disk")], content.on_disk as f64)
            .with(&[("origin", "generated")], content.generated as f64),
        gauge(
            "content_absent_names",
            "Names that are known to be absent.",
            content.absent as f64,
        ),
        gauge(
            "content_refused_names",
            "Names on disk that must not be served.",
            content.refused as f64,
        ),
        gauge(
            "content_clashing_files",
            "Files left out because their name differs from another one's only in case.",
            content.clashes as f64,
        ),
        gauge(
            "content_memory_bytes",
            "Payload held in the daemon's memory.",
            content.memory_bytes as f64,
        ),
        gauge(
            "content_memory_limit_bytes",
            "Most payload held in the daemon's memory.",
            content.memory_limit_bytes as f64,
        ),
        Family::counter(
            "content_evicted_files_total",
            "Files dropped from the daemon's memory to make room.",
        )
        .with(&[], content.evicted as f64),
        gauge(
            "regeneration_last_duration_seconds",
            "Time the last regeneration took.",
            content.last_regeneration.as_secs_f64(),
        ),
        gauge(
            "regeneration_last_files",
            "Files the last regeneration changed.",
            content.last_regeneration_files as f64,
        ),
        Family::gauge("inventory_devices", "Devices in the inventory.")
            .with(&[("protocol", "sip")], reading.devices.sip as f64)
            .with(&[("protocol", "sccp")], reading.devices.sccp as f64),
        gauge(
            "unknown_devices",
            "Devices that asked for their files and that nobody knows.",
            reading.devices.unknown as f64,
        ),
        Family::counter(
            "unknown_devices_forgotten_total",
            "Unknown devices that were too many to be remembered.",
        )
        .with(&[], reading.devices.forgotten as f64),
        gauge(
            "provisioning_windows_open",
            "Devices whose window is open; 0 too if windows are not in use.",
            reading.devices.windows_open.unwrap_or(0) as f64,
        ),
    ]
}

/// Nothing without upstream servers. Their addresses come from the configuration: three at most.
fn upstream(reading: &Reading) -> Vec<Family> {
    let upstream = &reading.upstream;
    if upstream.servers.is_empty() {
        return Vec::new();
    }
    let mut up = Family::gauge(
        "upstream_up",
        "1 while the server answers, 0 while it is left alone or tried again.",
    );
    let mut fetches = Family::counter(
        "upstream_fetches_total",
        "Files asked for, by server and what came of it.",
    );
    for server in &upstream.servers {
        let label = ("server", server.server.as_str());
        up.add(&[label], f64::from(u8::from(server.is_up)));
        for (outcome, count) in &server.fetches {
            fetches.add(&[label, ("outcome", outcome)], *count as f64);
        }
    }
    let gauge = |name, help, value: u64| Family::gauge(name, help).with(&[], value as f64);
    vec![
        up,
        fetches,
        gauge(
            "upstream_fetches_in_flight",
            "Files being asked for.",
            upstream.in_flight,
        ),
        gauge(
            "upstream_cached_files",
            "Files from upstream in memory.",
            upstream.files,
        ),
        gauge(
            "upstream_cached_bytes",
            "Payload of the files from upstream in memory.",
            upstream.bytes,
        ),
        gauge(
            "upstream_cached_limit_bytes",
            "Most payload of files from upstream in memory.",
            upstream.bytes_limit,
        ),
        gauge(
            "upstream_absent_names",
            "Names that were not found upstream lately.",
            upstream.absent,
        ),
        Family::counter(
            "upstream_cache_hits_total",
            "Requests the daemon answered with a file from upstream in memory. Those that the \
             kernel answers are not among them.",
        )
        .with(
            &[("age", "fresh")],
            upstream.hits.saturating_sub(upstream.stale_hits) as f64,
        )
        .with(&[("age", "stale")], upstream.stale_hits as f64),
        Family::counter(
            "upstream_over_budget_total",
            "Requests not asked on, since too many names were nowhere: of all clients, or of one \
             source.",
        )
        .with(&[("budget", "all")], upstream.over_budget as f64)
        .with(&[("budget", "source")], upstream.over_source_budget as f64),
    ]
}
