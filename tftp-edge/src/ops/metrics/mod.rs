//! `/metrics`: the only place that names the `prometheus` crate.
//!
//! Nothing is counted here. One collector reads all [`Sources`] when it is asked and writes the
//! families from that one reading, so that two families of a scrape never disagree. Label sets are
//! closed, every combination is there from the start (a rate begins at 0, not at nothing), and no
//! label holds what a client chose.

mod admission;
mod classified;
mod content;
mod family;
mod registrations;
mod sccp;
mod sip;
mod stuck;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::{Reason, Rung, Verdict};

use self::family::{Bounds, Family};
use super::sources::{Reading, Sources};
use crate::alarms::AlarmKind;
use crate::http::{Refusal, Scheme};
use crate::kernel::Mode;
use crate::stats::{Path, StageCounter};

/// Transfers: 256 µs to 67 s.
const TRANSFER: Bounds = Bounds {
    exponents: 8..=26,
    units_per_second: 1e6,
};
/// One run of the kernel program: 64 ns to 1 ms.
const PROGRAM: Bounds = Bounds {
    exponents: 6..=20,
    units_per_second: 1e9,
};

/// Writes the metrics of one daemon.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The media type of [`Metrics::text`].
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;

    pub fn new(sources: Arc<Sources>) -> Self {
        let registry = Registry::new();
        for collector in [
            Box::new(Edge::new(sources)) as Box<dyn Collector>,
            Box::new(ProcessCollector::for_self()),
        ] {
            registry
                .register(collector)
                .expect("two collectors without a name in common");
        }
        Self { registry }
    }

    /// The exposition in Prometheus' text format.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

struct Edge {
    sources: Arc<Sources>,
    descriptions: Vec<Desc>,
}

impl Edge {
    fn new(sources: Arc<Sources>) -> Self {
        let descriptions = families(&Sources::default().read())
            .iter()
            .map(|family| {
                let labels = family.get_metric().first().map_or(Vec::new(), |metric| {
                    let names = metric
                        .get_label()
                        .iter()
                        .map(|label| label.name().to_owned());
                    names.collect()
                });
                Desc::new(
                    family.name().to_owned(),
                    family.help().to_owned(),
                    labels,
                    HashMap::new(),
                )
                .expect("names and labels are constants in Prometheus' alphabet")
            })
            .collect();
        Self {
            sources,
            descriptions,
        }
    }
}

impl Collector for Edge {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        families(&self.sources.read())
    }
}

fn families(reading: &Reading) -> Vec<MetricFamily> {
    let mut families = process(reading);
    families.extend(served(reading));
    families.extend(tftp(reading));
    families.extend(http(reading));
    families.extend(kernel(reading));
    families.extend(classified::families(reading));
    families.extend(content::families(reading));
    families.extend(admission::families(reading));
    families.extend(registrations::families(reading));
    families.extend(sccp::families(reading));
    families.extend(sip::families(reading));
    families.push(stuck::family(reading));
    families.push(alarms(reading));
    families
        .into_iter()
        .filter_map(Family::into_proto)
        .collect()
}

fn alarms(reading: &Reading) -> Family {
    let mut family = Family::gauge("alarms", "What needs a person now, by kind.");
    for kind in AlarmKind::ALL {
        let count = reading.alarms.count(kind);
        family.add(&[("kind", kind.as_str())], count as f64);
    }
    family
}

fn process(reading: &Reading) -> Vec<Family> {
    let commit = option_env!("TFTP_EDGE_COMMIT").unwrap_or("unknown");
    let configured = reading
        .configured
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    vec![
        Family::gauge("build_info", "Always 1; the labels tell the build.").with(
            &[("version", env!("CARGO_PKG_VERSION")), ("commit", commit)],
            1.0,
        ),
        Family::gauge(
            "ready",
            "1 when the content is complete and sockets are bound.",
        )
        .with(&[], f64::from(u8::from(reading.not_ready().is_empty()))),
        Family::gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration in use was read, in Unix time.",
        )
        .with(&[], configured.as_secs_f64()),
    ]
}

/// What is counted alike for TFTP and HTTP. The names are older than HTTP here.
fn served(reading: &Reading) -> Vec<Family> {
    let mut requests = Family::counter(
        "tftp_requests_total",
        "Read requests, repeats not counted; over HTTP, GET and HEAD. Write requests are refused \
         before they have a class: see tftp_packets_total and http_refused_total.",
    );
    let mut responses = Family::counter(
        "tftp_responses_total",
        "Ends of requests: the last block acknowledged, ERROR 1, or a transfer given up; over HTTP \
         the last byte handed to the system, 404, or a connection that broke or 503.",
    );
    let mut durations = Family::histogram(
        "tftp_transfer_duration_seconds",
        "Time from the request to the acknowledgement of the last block; over HTTP to the last byte \
         handed to the system.",
    );
    let mut bytes = Family::counter("tftp_sent_bytes_total", "Payload sent, resends included.");
    for path in Path::ALL {
        let tally = reading.served(path);
        let path = ("path", path.as_str());
        for stage in Stage::ALL {
            let class = ("class", stage.as_str());
            let count = |counter| tally.stage(stage, counter) as f64;
            requests.add(
                &[("op", "read"), class, path],
                count(StageCounter::Requests),
            );
            for (result, counter) in [
                ("complete", StageCounter::Complete),
                ("not_found", StageCounter::NotFound),
                ("failed", StageCounter::Failed),
            ] {
                responses.add(&[class, ("result", result), path], count(counter));
            }
            durations.add_log2(
                &[class, path],
                &TRANSFER,
                &tally.transfer_us[stage as usize],
                Some(tally.transfer_us_sum[stage as usize]),
            );
            bytes.add(&[class, path], count(StageCounter::Bytes));
        }
    }
    vec![requests, responses, durations, bytes]
}

fn tftp(reading: &Reading) -> Vec<Family> {
    let mut blocks = Family::counter(
        "tftp_sent_blocks_total",
        "DATA packets sent, resends included.",
    );
    let mut resent = Family::counter(
        "tftp_retransmitted_blocks_total",
        "DATA and OACK packets sent again.",
    );
    let mut packets = Family::counter(
        "tftp_packets_total",
        "Packets looked at, by what was done and why; what one path passes on, the next counts again.",
    );
    for rung in Rung::ALL {
        let tally = reading.tally(rung);
        let path = ("path", rung.as_str());
        for stage in Stage::ALL {
            let class = ("class", stage.as_str());
            let count = |counter| tally.stage(stage, counter) as f64;
            blocks.add(&[class, path], count(StageCounter::Blocks));
            resent.add(&[class, path], count(StageCounter::Resent));
        }
        for reason in Reason::ALL {
            let action = match reason.verdict() {
                Verdict::Answer => "answer",
                Verdict::Pass => "pass",
                Verdict::Drop => "drop",
                Verdict::Classify => "classify",
            };
            packets.add(
                &[path, ("action", action), ("reason", reason.as_str())],
                tally.reason(reason) as f64,
            );
        }
    }
    let (kernel, sockets) = (&reading.kernel, &reading.sockets);
    let sip = &reading.register.sip.traffic;
    let by_place = |family: Family, in_kernel: u64, in_daemon: u64| {
        family
            .with(&[("path", "kernel")], in_kernel as f64)
            .with(&[("path", "socket")], in_daemon as f64)
    };
    vec![
        blocks,
        resent,
        packets,
        by_place(
            Family::gauge("tftp_sessions", "Transfers under way."),
            kernel.transfers,
            sockets.transfers,
        ),
        by_place(
            Family::gauge("tftp_sessions_limit", "Most transfers there may be."),
            kernel.transfers_limit,
            sockets.transfers_limit,
        ),
        Family::counter(
            "udp_receive_errors_total",
            "Datagrams the system dropped because a socket's buffer was full.",
        )
        .with(&[("socket", "tftp")], sockets.receive_errors as f64)
        .with(&[("socket", "sip")], sip.receive_overflows as f64),
    ]
}

fn http(reading: &Reading) -> Vec<Family> {
    let http = &reading.http;
    let mut connections = Family::gauge("http_connections", "Connections that are open.");
    let mut refused = Family::counter(
        "http_refused_total",
        "Connections ended and requests refused, by reason.",
    );
    for scheme in Scheme::ALL {
        let traffic = &http.traffic[scheme as usize];
        let path = ("path", scheme.path().as_str());
        connections.add(&[path], traffic.connections as f64);
        for reason in Refusal::ALL {
            refused.add(
                &[path, ("reason", reason.as_str())],
                traffic.refused(reason) as f64,
            );
        }
    }
    vec![
        connections,
        Family::gauge(
            "http_connections_limit",
            "Most connections there may be, HTTPS included.",
        )
        .with(&[], http.connections_limit as f64),
        refused,
    ]
}

fn kernel(reading: &Reading) -> Vec<Family> {
    let kernel = &reading.kernel;
    let mut attached = Family::gauge(
        "xdp_attached",
        "1 for the mode an interface is served in: xdp, tc, or off for sockets alone.",
    );
    for interface in &kernel.interfaces {
        for mode in Mode::ALL {
            attached.add(
                &[("interface", &interface.name), ("mode", mode.as_str())],
                f64::from(u8::from(interface.mode == mode)),
            );
        }
    }
    let mut program = Family::histogram(
        "xdp_program_seconds",
        "Time in the kernel program, sampled; the sum is estimated from the buckets.",
    );
    for (rung, buckets) in [Rung::Xdp, Rung::Tc].iter().zip(&kernel.latency_ns) {
        program.add_log2(&[("path", rung.as_str())], &PROGRAM, buckets, None);
    }
    let gauge = |name, help, value: u64| Family::gauge(name, help).with(&[], value as f64);
    let counter = |name, help, value: u64| Family::counter(name, help).with(&[], value as f64);
    vec![
        attached,
        program,
        gauge(
            "xdp_map_bytes",
            "Memory of all maps, as the kernel accounts it.",
            kernel.map_bytes,
        ),
        gauge(
            "xdp_slab_bytes",
            "Memory for content in the kernel.",
            kernel.slab_bytes,
        ),
        gauge(
            "xdp_slab_limit_bytes",
            "Most memory for content in the kernel.",
            kernel.slab_bytes_limit,
        ),
        gauge(
            "xdp_content_bytes",
            "Payload of the files in the kernel.",
            kernel.content_bytes,
        ),
        gauge(
            "xdp_names",
            "Names in the kernel's directory, absent ones included.",
            kernel.names,
        ),
        gauge(
            "xdp_files",
            "Files in the kernel's directory.",
            kernel.files,
        ),
        counter(
            "xdp_evicted_files_total",
            "Files taken out of the kernel to make room.",
            kernel.evicted,
        ),
        counter(
            "xdp_refused_files_total",
            "Files that found no room in the kernel.",
            kernel.refused,
        ),
        counter(
            "xdp_events_lost_total",
            "Events for which the ring buffer had no room.",
            kernel.events_lost,
        ),
    ]
}
