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
mod journal;
mod kernel;
mod operators;
mod registrations;
mod sccp;
mod served;
mod sip;
mod store;
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

use self::family::Family;
use super::sources::{Reading, Sources};
use crate::alarms::AlarmKind;

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
    families.extend(served::families(reading));
    families.extend(kernel::families(reading));
    families.extend(classified::families(reading));
    families.extend(content::families(reading));
    families.extend(admission::families(reading));
    families.extend(registrations::families(reading));
    families.extend(store::families(reading));
    families.extend(sccp::families(reading));
    families.extend(sip::families(reading));
    families.extend(journal::families(reading));
    families.push(stuck::family(reading));
    families.push(operators::family(reading));
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
    let configuration = &reading.configuration;
    let configured = configuration
        .loaded
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    vec![
        Family::gauge("build_info", "Always 1; the labels tell the build.").with(
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("commit", commit),
                ("rustc", env!("TFTP_EDGE_RUSTC")),
            ],
            1.0,
        ),
        Family::gauge(
            "ready",
            "1 when the content is complete and sockets are bound.",
        )
        .with(&[], f64::from(u8::from(reading.not_ready().is_empty()))),
        Family::counter(
            "config_reloads_total",
            "Reloads of the configuration. After a failure the settings before stay in force.",
        )
        .with(&[("result", "success")], configuration.successes as f64)
        .with(&[("result", "failure")], configuration.failures as f64),
        Family::gauge(
            "config_last_reload_successful",
            "1 unless the last reload was refused.",
        )
        .with(&[], f64::from(u8::from(configuration.refused.is_none()))),
        Family::gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration in use was read, in Unix time: at the start, or with a reload.",
        )
        .with(&[], configured.as_secs_f64()),
        Family::gauge(
            "config_waiting_settings",
            "Settings that were changed and take effect with a restart.",
        )
        .with(&[], configuration.waiting.len() as f64),
    ]
}
