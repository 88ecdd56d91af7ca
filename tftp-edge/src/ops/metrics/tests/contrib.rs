//! What is in `contrib/` for Prometheus and Grafana speaks of metrics that there are: every name, and
//! every label and value that is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::*;

/// A file of `contrib/`, by its name there.
pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib")).join(name)
}

pub(super) fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of each label of each series, by the names samples have.
pub(super) struct Exposition(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Exposition {
    pub(super) fn new() -> Self {
        let mut samples: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
        for line in whole_text().lines().filter(|line| !line.starts_with('#')) {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let of_name = samples.entry(name.to_owned()).or_default();
            for (label, _, value) in matchers(labels) {
                of_name.entry(label).or_default().insert(value);
            }
        }
        Self(samples)
    }

    /// Fails if a selector of an expression asks for what is not there. `also` are names that are no
    /// metric of the daemon's: recorded ones, and `up`.
    pub(super) fn ensure_has(&self, expression: &str, also: &BTreeSet<String>) {
        for (name, labels) in selectors(expression) {
            if also.contains(&name) {
                continue;
            }
            let is_ours = name.starts_with("tftp_edge_") || name.starts_with("process_");
            if !is_ours {
                assert!(!name.contains(':'), "{name} is not recorded: {expression}");
                continue;
            }
            let Some(known) = self.0.get(&name) else {
                panic!("there is no {name}: {expression}");
            };
            for (label, operator, value) in matchers(&labels) {
                // Those that Prometheus adds to what it scrapes, and names of the operator's.
                if ["job", "instance", "interface", "server"].contains(&label.as_str()) {
                    continue;
                }
                let Some(values) = known.get(&label) else {
                    panic!("{name} has no label {label}: {expression}");
                };
                let asked = match operator {
                    "=" | "!=" => vec![value.as_str()],
                    _ => value.split('|').collect(),
                };
                for value in asked {
                    assert!(
                        values.contains(value) || value.contains('$'),
                        "{name} has no {label}=\"{value}\", but {values:?}: {expression}"
                    );
                }
            }
        }
    }
}

/// Names with what stands in braces behind them; functions and keywords are among them.
fn selectors(expression: &str) -> Vec<(String, String)> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(|it: char| is_name(it) || it == '"') {
        rest = &rest[at..];
        if let Some(text) = rest.strip_prefix('"') {
            // A string that is no matcher, as in label_replace.
            rest = text.split_once('"').map_or("", |(_, behind)| behind);
            continue;
        }
        let end = rest.find(|it| !is_name(it)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let (labels, behind) = match behind.strip_prefix('{') {
            Some(inside) => inside.split_once('}').expect("a selector has an end"),
            None => ("", behind),
        };
        found.push((name.to_owned(), labels.to_owned()));
        rest = behind;
    }
    found
}

/// Label, operator and value of each matcher. No value of ours has a quote or a comma.
fn matchers(labels: &str) -> Vec<(String, &str, String)> {
    let labels = labels.trim_end_matches('}').split(',').map(str::trim);
    labels
        .filter(|matcher| !matcher.is_empty())
        .map(|matcher| {
            let (left, value) = matcher.split_once('"').expect("a matcher has a value");
            let label = left.trim_end_matches(['=', '!', '~']);
            let operator = &left[label.len()..];
            (
                label.to_owned(),
                operator,
                value.trim_end_matches('"').to_owned(),
            )
        })
        .collect()
}

#[test]
fn selectors_are_found_in_expressions() {
    let found =
        selectors("sum by (a) (rate(x_total{b=~\"c|d\", e!=\"f\"}[5m])) / on (g) i:y:sum > 0.5");
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.contains(&"x_total") && names.contains(&"i:y:sum"),
        "{names:?}"
    );
    let (_, labels) = found.iter().find(|(name, _)| name == "x_total").unwrap();
    let wanted = [("b", "=~", "c|d"), ("e", "!=", "f")].map(|(a, b, c)| (a.into(), b, c.into()));
    assert_eq!(matchers(labels), wanted);
}

#[test]
#[should_panic(expected = "has no result=\"failed\"")]
fn a_value_that_is_not_there_is_found() {
    let expression = "tftp_edge_tftp_responses_total{result=\"failed\"}";
    Exposition::new().ensure_has(expression, &BTreeSet::new());
}
