//! `contrib/metrics.md` has each metric of the golden exposition, and no other.

use std::collections::BTreeMap;

use super::contrib::{Exposition, read};
use super::*;

const DOCUMENT: &str = "metrics.md";
const GOLDEN: &str = include_str!(
    "../snapshots/tftp_edge__ops__metrics__tests__the_exposition_of_a_fixed_daemon.snap"
);

/// The cells of a table's row, without the quotes of code.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells = row.split(" | ").map(|cell| cell.trim().replace('`', ""));
    Some(cells.collect())
}

/// Type and labels by name.
fn described(document: &str) -> BTreeMap<String, (String, String)> {
    let (_, reference) = document
        .split_once("## All metrics")
        .expect("the document has a reference");
    let rows = reference.lines().filter_map(cells);
    let rows = rows.filter(|cells| cells.len() == 5 && cells[0] != "metric");
    rows.map(|cells| (cells[0].clone(), (cells[1].clone(), cells[3].clone())))
        .collect()
}

/// The same, as they are published.
fn published(text: &str) -> BTreeMap<String, (String, String)> {
    let types = text.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let samples = text.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            let rest = ["_bucket", "_sum", "_count"]
                .into_iter()
                .find_map(|suffix| rest.strip_prefix(suffix))
                .unwrap_or(rest);
            match rest.chars().next() {
                Some('{') => rest[1..].split_once('}').map(|(labels, _)| labels),
                Some(' ') => Some(""),
                _ => None,
            }
        });
        let labels = samples.unwrap_or_default().split(',');
        let labels: Vec<_> = labels
            .filter_map(|label| Some(label.split_once('=')?.0))
            .filter(|&label| label != "le")
            .collect();
        Some((name.to_owned(), (kind.to_owned(), labels.join(", "))))
    });
    types.collect()
}

#[test]
fn every_metric_is_in_the_document_as_it_is_and_the_other_way_round() {
    let (described, published) = (described(&read(DOCUMENT)), published(&whole_text()));
    for (name, is) in &published {
        assert_eq!(described.get(name), Some(is), "{name} in {DOCUMENT}");
    }
    for name in described.keys() {
        assert!(published.contains_key(name), "{name} is not published");
    }
    let golden: Vec<_> = GOLDEN
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(golden.len(), described.len());
    assert!(golden.iter().all(|&name| described.contains_key(name)));
}

/// Each row: the counters, in one cell, and an expression in code or the reason why there is none.
#[test]
fn every_counter_of_cucm_has_an_equivalent_or_a_reason() {
    let document = read(DOCUMENT);
    let (_, table) = document.split_once("## From CUCM").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows: Vec<_> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").collect::<Vec<_>>())
        .collect();
    let exposition = Exposition::new();
    let mut counters = BTreeSet::new();
    for row in &rows {
        let [names, _, answer] = row[..] else {
            panic!("not three cells: {row:?}");
        };
        counters.extend(names.split(',').map(|name| name.trim().trim_matches('`')));
        let expressions = answer.split('`').skip(1).step_by(2);
        let expressions = expressions.map(|it| it.replace("\\|", "|"));
        let count = expressions
            .inspect(|it| exposition.ensure_has(it, &BTreeSet::from(["up".to_owned()])))
            .count();
        assert!(count > 0 || answer.trim().starts_with("none:"), "{row:?}");
    }
    let wanted = [
        "BuildCount",
        "BuildAbortCount",
        "BuildDuration",
        "BuildDeviceCount",
        "BuildUnitCount",
        "BuildSoftKeyCount",
        "BuildDialruleCount",
        "BuildSignCount",
        "EncryptCount",
        "ChangeNotifications",
        "DeviceChangeNotifications",
        "UnitChangeNotifications",
        "SoftkeyChangeNotifications",
        "DialruleChangeNotifications",
        "HttpConnectRequests",
        "HttpRequests",
        "HttpRequestsProcessed",
        "HttpRequestsNotFound",
        "HttpRequestsOverflow",
        "HttpRequestsAborted",
        "HttpRequestsInProgress",
        "HttpServedFromDisk",
        "Requests",
        "RequestsProcessed",
        "RequestsNotFound",
        "RequestsOverflow",
        "RequestsAborted",
        "RequestsInProgress",
        "SegmentsSent",
        "SegmentsAcknowledged",
        "SegmentsFromDisk",
        "SEPFoundCount",
        "SEPNotFoundCount",
        "SIPFoundCount",
        "SIPNotFoundCount",
        "GKFoundCount",
        "GKNotFoundCount",
        "LDFoundCount",
        "LDNotFoundCount",
        "MaxServingCount",
        "HeartBeat",
    ];
    assert_eq!(counters, BTreeSet::from(wanted));
}

/// Those expressions are PromQL, as Prometheus itself reads it.
#[test]
fn the_expressions_for_the_counters_of_cucm_are_promql() {
    let document = read(DOCUMENT);
    let (_, table) = document.split_once("## From CUCM").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let expressions = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.trim_matches('|').rsplit(" | ").next())
        .flat_map(|answer| answer.split('`').skip(1).step_by(2))
        .map(|expression| expression.replace("\\|", "|"));
    ensure_promql(expressions);
}
