//! The history of changes: what is remembered, for how long, and how it is asked.

use super::*;
use crate::inventory::{ImportMode, Protocol, Table};

fn history(store: &mut SqliteStore) -> Vec<Entry> {
    store.history(&HistoryQuery::default()).unwrap()
}

#[test]
fn every_change_is_remembered_with_who_did_it_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let site = |settings: &[(&str, &str)]| {
        let settings = settings.iter();
        let settings = settings.map(|(key, value)| ((*key).into(), (*value).into()));
        Record::Site("hq".into(), settings.collect())
    };
    let (one, two) = (
        site(&[("ntp", "10.0.0.1"), ("ssh_password", "hush")]),
        site(&[("ntp", "10.0.0.2"), ("ssh_password", "hush, hush")]),
    );
    for change in [
        Change::Added(one.clone()),
        Change::Changed {
            before: one,
            after: two.clone(),
        },
        Change::Removed(two),
    ] {
        store
            .edit(Scope::Everything, &origin(), &mut |_| vec![change.clone()])
            .unwrap();
    }
    let entries = history(&mut store);
    let fields: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.done.as_str(),
                serde_json::to_value(&entry.fields).unwrap(),
            )
        })
        .collect();
    let secret = || serde_json::json!({ "column": "ssh_password", "secret": true });
    assert_eq!(
        fields,
        [
            (
                "added",
                serde_json::json!([{ "column": "ntp", "after": "10.0.0.1" }, secret()])
            ),
            (
                "changed",
                serde_json::json!([
                    { "column": "ntp", "before": "10.0.0.1", "after": "10.0.0.2" },
                    secret()
                ])
            ),
            (
                "removed",
                serde_json::json!([{ "column": "ntp", "before": "10.0.0.2" }, secret()])
            ),
        ]
    );
    for entry in &entries {
        assert_eq!((&*entry.who, &*entry.how), ("alice", "test"));
        assert_eq!((entry.table, &*entry.key), (Table::Sites, "hq"));
        assert!(entry.at > 1_700_000_000, "{}", entry.at);
    }
}

#[test]
fn the_history_is_bounded_by_number_and_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder).keeping(HistorySettings {
        entries: 3,
        days: 10,
    });
    let two = devices(TWO);
    for _ in 0..4 {
        store.import(&two, ImportMode::Upsert, false).unwrap();
        store.import(&[], ImportMode::Replace, false).unwrap();
    }
    let done: Vec<_> = history(&mut store)
        .into_iter()
        .map(|entry| entry.done)
        .collect();
    assert_eq!(done, ["added", "removed", "removed"], "the latest three");

    let age = "UPDATE history SET at = at - 11 * 86400 WHERE id < (SELECT max(id) FROM history)";
    store.connection.execute(age, []).unwrap();
    store.import(&two[..1], ImportMode::Upsert, false).unwrap();
    let done: Vec<_> = history(&mut store)
        .into_iter()
        .map(|entry| entry.done)
        .collect();
    assert_eq!(done, ["removed", "added"], "older ones are forgotten");
}

#[test]
fn the_history_is_asked_by_record_by_time_and_for_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let two = devices(TWO);
    store.import(&two, ImportMode::Upsert, false).unwrap();
    store
        .set_load("7941", Protocol::Sccp, Some("SCCP41.9"))
        .unwrap();
    let mut keys = |query: HistoryQuery| -> Vec<String> {
        let entries = store.history(&query).unwrap();
        entries.into_iter().map(|entry| entry.key).collect()
    };
    let all = || HistoryQuery::default();
    let first = two[0].name.to_string();
    assert_eq!(
        keys(HistoryQuery {
            table: Some(Table::Devices),
            key: Some(first.clone()),
            ..all()
        }),
        [first]
    );
    assert_eq!(
        keys(HistoryQuery {
            last: Some(1),
            ..all()
        }),
        ["7941/sccp"]
    );
    assert_eq!(
        keys(HistoryQuery {
            since: Some(u64::MAX >> 1),
            ..all()
        }),
        [""; 0]
    );
    assert_eq!(
        keys(HistoryQuery {
            since: Some(1),
            ..all()
        })
        .len(),
        3
    );
}
