//! What `/metrics` says.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: String,
    value: f64,
}

impl Metrics {
    /// Scrapes `address`; the calling thread must be in its namespace.
    pub fn get(address: &str) -> Result<Self> {
        Ok(Self::parse(&page(address, "/metrics")?))
    }

    /// Reads the text format; lines it cannot read are left out.
    pub fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                Some(Sample {
                    name: name.to_owned(),
                    labels: labels.trim_end_matches('}').to_owned(),
                    value: value.parse().ok()?,
                })
            })
            .collect();
        Self { samples }
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The sum of all series with this name and these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        self.samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter(|sample| {
                // None of our labels' values holds a comma.
                wanted
                    .iter()
                    .all(|label| sample.labels.split(',').any(|has| has == label))
            })
            .map(|sample| sample.value)
            .sum()
    }

    /// How much that sum has grown since `before`.
    pub fn grown(&self, before: &Self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum(name, labels) - before.sum(name, labels)
    }

    /// Whether there is any series with this name.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }
}

/// A page over HTTP; the calling thread must be in the namespace of `address`.
pub fn page(address: &str, path: &str) -> Result<String> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer without an end of its headers")?;
    ensure!(head.contains(" 200 "), "{path} says {head}");
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    const TEXT: &str = "\
# TYPE a_total counter
a_total{class=\"config\",path=\"xdp\"} 3
a_total{class=\"config\",path=\"tc\"} 4
a_total{class=\"trust\",path=\"tc\"} 5
b 1
";

    #[test]
    fn series_are_summed_over_the_labels_that_are_not_asked_for() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.sum("a_total", &[]), 12.0);
        assert_eq!(metrics.sum("a_total", &[("path", "tc")]), 9.0);
        assert_eq!(
            metrics.sum("a_total", &[("path", "tc"), ("class", "trust")]),
            5.0
        );
        assert_eq!(metrics.sum("b", &[]), 1.0);
        assert!(!metrics.has("c"));
    }
}
