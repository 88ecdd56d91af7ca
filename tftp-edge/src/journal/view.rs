//! What is shown of the journal: on the control socket, on the web page, on the command line. Times
//! are Unix milliseconds; what is not known is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::boot::{Boot, Entry, What};
use super::event::Fact;
use super::phone::Failure;
use super::{Cause, Counts, Gap, Outcome, Stage};
use crate::inventory::{DeviceName, Protocol};

/// Which phones. Everything that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    pub stage: Option<Stage>,
    pub site: Option<String>,
    pub model: Option<String>,
    /// Only those that do not get on.
    pub stuck: bool,
    /// A part of its name, description, site, model, firmware, address or one of its numbers, in
    /// any case.
    pub search: Option<String>,
    /// Leave out so many of those that fit, in the order of names, and give so many at most.
    pub skip: usize,
    pub limit: Option<usize>,
}

/// A part of the phones that fit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Page {
    /// How many fit.
    pub total: u64,
    pub rows: Vec<PhoneRow>,
}

/// One phone in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhoneRow {
    pub device: DeviceName,
    /// Whether the inventory has it.
    pub known: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    pub site: String,
    pub lines: Vec<String>,
    pub stage: Stage,
    /// When it came to this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
    /// What the inventory tells it to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory_load: Option<String>,
    /// How many boots there were.
    pub boots: u32,
    /// Why it does not get on, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Finding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureView {
    pub at_ms: u64,
    pub text: String,
}

/// What is the matter with a phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub cause: Cause,
    pub stage: Stage,
    pub since_ms: u64,
    /// What was seen.
    pub text: String,
    /// What to do.
    pub advice: String,
    /// Events were lost meanwhile: it may be otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_uncertain: bool,
}

/// One phone with all that is known of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhoneView {
    pub phone: PhoneRow,
    /// The present boot last.
    pub boots: Vec<BootView>,
    /// Times in which events were lost: what is missing in them is unknown.
    pub gaps: Vec<Gap>,
    /// The most likely first.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BootView {
    pub number: u32,
    pub began_ms: u64,
    pub last_ms: u64,
    /// The last stage it reached.
    pub stage: Stage,
    pub registered: bool,
    pub entries: Vec<EntryView>,
    /// Entries in the middle that found no room.
    pub left_out: u32,
}

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryView {
    pub at_ms: u64,
    /// The last time, if it happened more often than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<u64>,
    pub times: u32,
    pub stage: Stage,
    #[serde(flatten)]
    pub what: WhatView,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WhatView {
    File {
        name: String,
        /// The class of the file; the label `class` of the metrics.
        class: String,
        /// The generation of the version that was served.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
        /// Who answered: `xdp`, `tc`, `socket`, `http` or `https`.
        path: String,
        len_bytes: u32,
        took_us: u32,
        resends: u32,
        outcome: Outcome,
    },
    Fact {
        /// In words.
        text: String,
        /// Whether something went wrong.
        bad: bool,
        fact: Fact,
    },
}

/// All phones together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Overview {
    pub at_ms: u64,
    /// Devices of the inventory.
    pub expected: u64,
    /// Of these, how many are at which stage; every stage is there.
    pub stages: BTreeMap<Stage, u64>,
    /// How many do not get on, by cause.
    pub stuck: BTreeMap<String, u64>,
    /// In the order of names.
    pub sites: Vec<SiteRow>,
    pub journal: Counts,
}

impl Overview {
    pub fn registered(&self) -> u64 {
        self.stages.get(&Stage::Registered).copied().unwrap_or(0)
    }

    /// Those that have begun, and are not there yet.
    pub fn booting(&self) -> u64 {
        let begun = self.stages.iter();
        let begun = begun.filter(|(stage, _)| !matches!(stage, Stage::Dhcp | Stage::Registered));
        begun.map(|(_, count)| count).sum()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRow {
    pub site: String,
    pub expected: u64,
    pub booting: u64,
    pub registered: u64,
    pub stuck: u64,
}

impl BootView {
    pub fn new(boot: &Boot) -> Self {
        let mut stage = Stage::Dhcp;
        let entries = boot.entries.iter().map(|entry| {
            stage = stage_of(entry).unwrap_or(stage);
            EntryView::new(entry, boot.began_ms, stage)
        });
        Self {
            number: boot.number,
            began_ms: boot.began_ms,
            last_ms: boot.last_ms(),
            stage: boot.stage,
            registered: boot.has_registered,
            entries: entries.collect(),
            left_out: boot.left_out,
        }
    }
}

/// The stage that an entry says the phone is at; nothing if it says nothing.
pub(super) fn stage_of(entry: &Entry) -> Option<Stage> {
    match &entry.what {
        What::File(file) => Stage::of_file(file.stage()),
        What::Fact(Fact::Registered { .. }) => Some(Stage::Registered),
        What::Fact(Fact::Registering { .. } | Fact::Refused { .. } | Fact::Left(_)) => {
            Some(Stage::Register)
        }
        What::Fact(_) => None,
    }
}

impl EntryView {
    fn new(entry: &Entry, began_ms: u64, stage: Stage) -> Self {
        let what = match &entry.what {
            What::File(file) => WhatView::File {
                name: file.name.to_string(),
                class: file.stage().as_str().to_owned(),
                version: file.generation,
                path: file.path().as_str().to_owned(),
                len_bytes: file.len_bytes,
                took_us: file.took_us,
                resends: file.resends,
                outcome: file.outcome,
            },
            What::Fact(fact) => WhatView::Fact {
                text: fact_text(fact),
                bad: matches!(fact, Fact::Refused { .. } | Fact::Left(_)),
                fact: fact.clone(),
            },
        };
        Self {
            at_ms: began_ms + u64::from(entry.first_ms),
            last_ms: (entry.times > 1).then_some(began_ms + u64::from(entry.last_ms)),
            times: entry.times,
            stage,
            what,
        }
    }
}

/// A fact in words.
pub fn fact_text(fact: &Fact) -> String {
    let spaced = |word: &str| word.replace('_', " ");
    match fact {
        Fact::Registering {
            protocol,
            transport,
        } => format!("asks to register over {protocol}, {transport}"),
        Fact::Refused {
            refusal,
            wait_s,
            detail,
            ..
        } => {
            let mut text = format!("refused: {}", spaced(refusal.as_str()));
            if let Some(detail) = detail {
                text += &format!(" ({detail})");
            }
            if let Some(wait) = wait_s {
                text += &format!(", told to come again in {wait} s");
            }
            text
        }
        Fact::Registered {
            protocol,
            transport,
            load,
        } => match load {
            Some(load) => format!("registered over {protocol}, {transport}; runs {load}"),
            None => format!("registered over {protocol}, {transport}"),
        },
        Fact::Left(why) => format!("left: {}", spaced(why.as_str())),
        Fact::Alarm { code, text } => match code {
            Some(code) => format!("the phone says: {text} (alarm {code})"),
            None => format!("the phone says: {text}"),
        },
        Fact::TrustLists { ctl, itl } => {
            let list = |it: &Option<Box<str>>| it.as_deref().unwrap_or("none").to_owned();
            format!("has trust lists: CTL {}, ITL {}", list(ctl), list(itl))
        }
        Fact::Ordered(order) => format!("told to {}", order.as_str()),
        Fact::Seen(stage) => format!("seen: {}", spaced(stage.as_str())),
    }
}

impl FailureView {
    pub fn new(at_ms: u64, failure: &Failure) -> Self {
        let text = match failure {
            Failure::File(name, outcome) => {
                format!("{name}: {}", outcome.as_str().replace('_', " "))
            }
            Failure::Fact(fact) => fact_text(fact),
        };
        Self { at_ms, text }
    }
}
