//! One metric family, built sample by sample.

use std::ops::RangeInclusive;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::stats::LOG2_BUCKETS;

const PREFIX: &str = "tftp_edge_";

/// A label and its value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// Which of the log2 buckets become Prometheus buckets; the others are counted in the next one.
pub(super) struct Bounds {
    /// Bucket `n` ends at `2^n` units.
    pub(super) exponents: RangeInclusive<usize>,
    pub(super) units_per_second: f64,
}

pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    metrics: Vec<Metric>,
}

impl Family {
    fn new(kind: MetricType, name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind,
            metrics: Vec::new(),
        }
    }

    pub(super) fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(MetricType::COUNTER, name, help)
    }

    pub(super) fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(MetricType::GAUGE, name, help)
    }

    pub(super) fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(MetricType::HISTOGRAM, name, help)
    }

    pub(super) fn with(mut self, labels: &[Label<'_>], value: f64) -> Self {
        self.add(labels, value);
        self
    }

    pub(super) fn add(&mut self, labels: &[Label<'_>], value: f64) {
        let mut metric = Metric::from_label(pairs(labels));
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// Adds a log2 histogram. Without a `sum` (in units) it is estimated: each value is taken to
    /// lie in the middle of its bucket.
    pub(super) fn add_log2(
        &mut self,
        labels: &[Label<'_>],
        bounds: &Bounds,
        buckets: &[u64; LOG2_BUCKETS],
        sum: Option<u64>,
    ) {
        let mut below = 0;
        let mut cumulative = Vec::new();
        for (exponent, count) in buckets.iter().enumerate() {
            below += count;
            if bounds.exponents.contains(&exponent) {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound((1_u64 << exponent) as f64 / bounds.units_per_second);
                bucket.set_cumulative_count(below);
                cumulative.push(bucket);
            }
        }
        let units = sum.map_or_else(|| estimated_sum(buckets), |sum| sum as f64);
        let mut histogram = Histogram::default();
        histogram.set_bucket(cumulative);
        histogram.set_sample_count(below);
        histogram.set_sample_sum(units / bounds.units_per_second);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    /// Nothing for a family without a sample: the text format has no way to write one.
    pub(super) fn into_proto(self) -> Option<MetricFamily> {
        if self.metrics.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(format!("{PREFIX}{}", self.name));
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.metrics);
        Some(family)
    }
}

/// Bucket `n` holds values from `2^(n-1)` to `2^n`; bucket 0 holds zeros.
fn estimated_sum(buckets: &[u64; LOG2_BUCKETS]) -> f64 {
    buckets
        .iter()
        .enumerate()
        .skip(1)
        .map(|(exponent, &count)| count as f64 * 0.75 * (1_u64 << exponent) as f64)
        .sum()
}

fn pairs(labels: &[Label<'_>]) -> Vec<LabelPair> {
    labels
        .iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        })
        .collect()
}
