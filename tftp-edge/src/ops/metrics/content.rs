//! What is served, and what is fetched from other servers for it.

use tftp_ebpf::stage::Stage;

use super::family::{Bounds, Family};
use crate::content::{Cause, Regenerations};
use crate::ops::sources::Reading;

/// Regenerations: 256 µs to 67 s.
const RENDER: Bounds = Bounds {
    exponents: 8..=26,
    units_per_second: 1e6,
};

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let mut families = content(reading);
    families.extend(regenerations(&reading.content.regenerations));
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

fn regenerations(all: &Regenerations) -> Vec<Family> {
    let mut runs = Family::counter(
        "regenerations_total",
        "Times that files were generated anew, by what was seen to have changed.",
    );
    for cause in Cause::ALL {
        let count = all.runs[cause as usize];
        runs.add(&[("cause", cause.as_str())], count as f64);
    }
    let mut files = Family::counter(
        "regenerated_files_total",
        "Names whose generated content became another one.",
    );
    let mut last = Family::gauge(
        "regeneration_last_files",
        "Names whose content the last regeneration made another one.",
    );
    for stage in Stage::ALL {
        let class = [("class", stage.as_str())];
        files.add(&class, all.files[stage as usize] as f64);
        last.add(&class, all.last_files[stage as usize] as f64);
    }
    let mut took = Family::histogram(
        "render_duration_seconds",
        "Time of a regeneration, from hearing of a change to the last part of the daemon having \
         taken over all files.",
    );
    took.add_log2(&[], &RENDER, &all.took_us, Some(all.took_us_sum));
    vec![runs, files, last, took]
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
