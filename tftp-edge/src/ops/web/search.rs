//! Phones, found among all that there are, and one of them with all that is known of it.
//!
//! There may be a hundred thousand: what is sent is a part of what was found, with how many there
//! are.

use std::sync::Arc;

use form_urlencoded::Serializer;
use serde::Serialize;

use super::Parts;
use super::timeline::{Timeline, timelines};
use crate::inventory::{Device, DeviceName};
use crate::journal::{Filter, Finding, PhoneRow, Stage};
use crate::register::export;

/// Phones that are sent at once.
pub(super) const LIMIT: usize = 200;
/// Sites and models to choose from, of each.
const CHOICES: usize = 500;

/// What is looked for. Nothing given is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Query {
    /// A part of anything that is known of a phone.
    pub(super) q: String,
    /// One of [`Stage`].
    pub(super) stage: String,
    pub(super) site: String,
    pub(super) model: String,
    pub(super) stuck: bool,
    /// How many of those found are passed over.
    pub(super) first: usize,
}

/// A part of the phones that were found.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Found {
    pub(super) total: u64,
    pub(super) first: usize,
    /// The most rows there may be.
    limit: usize,
    rows: Vec<Row>,
    /// All sites and models of the inventory, to choose from.
    sites: Vec<String>,
    models: Vec<String>,
}

/// One phone.
#[derive(Clone, Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    phone: PhoneRow,
    state: State,
}

/// How a phone is, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct State {
    words: String,
    /// How that looks: `good`, `busy`, `bad` or `none`.
    mark: &'static str,
}

/// A phone with all that is known of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Detail {
    #[serde(flatten)]
    row: Row,
    /// Why it does not get on: the most likely first.
    findings: Vec<Finding>,
    /// The present boot first.
    boots: Vec<Timeline>,
    /// What the inventory has, without secrets.
    inventory: Option<Device>,
    /// The firmware it is told to run.
    told_load: Option<String>,
    registration: Option<export::Row>,
}

impl Query {
    /// Of the query of a URI; what it does not know it passes over.
    pub(super) fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*key {
                "q" => query.q = value.into_owned(),
                "stage" => query.stage = value.into_owned(),
                "site" => query.site = value.into_owned(),
                "model" => query.model = value.into_owned(),
                "stuck" => query.stuck = !value.is_empty(),
                "first" => query.first = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        query
    }

    /// As the query of a URI.
    pub(super) fn text(&self) -> String {
        let mut text = Serializer::new(String::new());
        for (key, value) in [
            ("q", &self.q),
            ("stage", &self.stage),
            ("site", &self.site),
            ("model", &self.model),
        ] {
            if !value.is_empty() {
                text.append_pair(key, value);
            }
        }
        if self.stuck {
            text.append_pair("stuck", "1");
        }
        if self.first > 0 {
            text.append_pair("first", &self.first.to_string());
        }
        text.finish()
    }

    /// The parts before and behind one, if there are any.
    pub(super) fn neighbours(&self, found: &Found) -> [Option<String>; 2] {
        let at = |first| {
            let other = Self {
                first,
                ..self.clone()
            };
            other.text()
        };
        let behind = found.first.saturating_add(LIMIT);
        let has_more = u64::try_from(behind).is_ok_and(|behind| behind < found.total);
        [
            (found.first > 0).then(|| at(found.first.saturating_sub(LIMIT))),
            has_more.then(|| at(behind)),
        ]
    }

    /// None if there is no such stage, and so no phone at it.
    fn filter(&self) -> Option<Filter> {
        let given = |text: &String| Some(text.clone()).filter(|it| !it.is_empty());
        let stage = match &*self.stage {
            "" => None,
            word => Some(word.parse::<Stage>().ok()?),
        };
        Some(Filter {
            stage,
            site: given(&self.site),
            model: given(&self.model),
            stuck: self.stuck,
            search: given(&self.q),
            skip: self.first,
            limit: Some(LIMIT),
        })
    }
}

impl From<PhoneRow> for Row {
    fn from(phone: PhoneRow) -> Self {
        let stage = phone.stage;
        let (words, mark) = match (&phone.stuck, stage) {
            (Some(_), stage) => (format!("stuck: {stage}"), "bad"),
            (None, Stage::Registered) => (stage.to_string(), "good"),
            (None, Stage::Dhcp) => ("not heard of".to_owned(), "none"),
            (None, stage) => (stage.to_string(), "busy"),
        };
        Self {
            phone,
            state: State { words, mark },
        }
    }
}

/// Looks through all phones: of a hundred thousand, some tenths of a second.
pub(super) fn find(parts: &Parts, query: &Query) -> Found {
    let board = &parts.sources.board;
    let page = query.filter().map(|filter| board.phones(&filter));
    let page = page.unwrap_or_default();
    let sites = board.overview().sites.clone();
    Found {
        total: page.total,
        first: query.first,
        limit: LIMIT,
        rows: page.rows.into_iter().map(Row::from).collect(),
        sites: sites.into_iter().take(CHOICES).map(|it| it.site).collect(),
        models: models(parts),
    }
}

/// The models that there are phones of.
fn models(parts: &Parts) -> Vec<String> {
    let inventory = parts.directory.snapshot();
    let devices = inventory.iter().flat_map(|it| it.devices.values());
    let models: std::collections::BTreeSet<_> = devices.map(|it| it.model.as_str()).collect();
    let models = models.into_iter().take(CHOICES);
    models.map(str::to_owned).collect()
}

/// None if nobody knows it.
pub(super) fn detail(parts: &Parts, name: DeviceName) -> Option<Detail> {
    let view = parts.sources.board.phone(&name)?;
    let inventory = parts.directory.snapshot();
    let device = parts.directory.device(&name);
    let told_load = device.as_ref().and_then(|device| {
        let of_model = || {
            let key = (device.model.clone(), device.protocol);
            inventory.as_ref()?.loads.get(&key).cloned()
        };
        device.load.clone().or_else(of_model)
    });
    Some(Detail {
        row: view.phone.into(),
        findings: view.findings,
        boots: timelines(view.boots, &view.gaps),
        told_load,
        registration: parts.sources.export.device(&name),
        inventory: device.map(Arc::unwrap_or_clone),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_is_written() {
        let query = Query {
            q: "Küche & <b>".to_owned(),
            stage: "config".to_owned(),
            site: "berlin".to_owned(),
            model: "8851".to_owned(),
            stuck: true,
            first: 400,
        };
        assert_eq!(Query::parse(&query.text()), query);
        assert_eq!(Query::parse("first=x&other=1&&"), Query::default());
        assert_eq!(Query::default().text(), "");
    }

    #[test]
    fn there_are_parts_before_and_behind() {
        let query = |first| Query {
            first,
            ..Query::default()
        };
        let found = |first| Found {
            total: 450,
            first,
            ..Found::default()
        };
        let at = |first| query(first).neighbours(&found(first));
        assert_eq!(at(0), [None, Some("first=200".to_owned())]);
        let both = [Some(String::new()), Some("first=400".to_owned())];
        assert_eq!(at(200), both);
        assert_eq!(at(400), [Some("first=200".to_owned()), None]);
        assert_eq!(at(usize::MAX)[1], None);
    }

    #[test]
    fn a_stage_that_is_none_finds_nobody() {
        let filter = |stage: &str| {
            let query = Query {
                stage: stage.to_owned(),
                ..Query::default()
            };
            query.filter()
        };
        assert!(filter("").unwrap().stage.is_none());
        assert_eq!(filter("config").unwrap().stage, Some(Stage::Config));
        assert!(filter("lunch").is_none());
    }
}
