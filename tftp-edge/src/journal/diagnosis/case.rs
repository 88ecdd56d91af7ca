//! All that a rule may look at: one phone, what it was told, and what there is around it.

use std::net::{IpAddr, Ipv4Addr};

use super::super::view::stage_of;
use super::served::Served;
use crate::inventory::{Device, DeviceName, Snapshot};
use crate::journal::{Boot, Entry, Fact, File, Finding, Gap, Phone, Stage, What};
use crate::register::Mode;
use crate::register::storm::Turn;

use super::Cause;

/// A phone at one moment.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub name: DeviceName,
    pub phone: Option<&'a Phone>,
    pub inventory: Option<&'a Snapshot>,
    /// None: nobody knows it.
    pub device: Option<&'a Device>,
    pub site: &'a str,
    pub served: &'a dyn Served,
    pub mode: Mode,
    pub is_registered: bool,
    /// The table of registrations has it, though it has begun to fetch files since: it may have
    /// left, or read its configuration anew without leaving.
    pub has_registration: bool,
    /// It may not have its configuration at the moment.
    pub is_shut_out: bool,
    /// Why its configuration cannot be made.
    pub not_rendered: Option<&'a str>,
    /// Phones of its site that were heard of, and since when; none before the first.
    pub neighbours_heard: Option<Heard>,
    /// Its address, if this host has its Ethernet address.
    pub neighbour: Option<IpAddr>,
    /// Whether an address is this host's.
    pub is_ours: fn(IpAddr) -> bool,
    /// When it is its turn in a storm.
    pub turn: Option<Turn>,
    pub gaps: &'a [Gap],
    /// How long a phone of its model may stay where it is, and how long one with a fault may.
    pub patience_ms: u64,
    pub fault_patience_ms: u64,
    pub silence_ms: u64,
    /// When the daemon started, and now. Unix milliseconds.
    pub started_ms: u64,
    pub now_ms: u64,
}

/// The phones of a site that were heard of since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub phones: u64,
    /// When the first of them was.
    pub since_ms: u64,
}

/// How sure a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likelihood {
    /// Phones do stop for this, and it is so.
    Certain,
    Likely,
    /// It fits, and so do other things.
    Possible,
}

/// A finding before it is compared with others.
#[derive(Clone, Debug)]
pub struct Found {
    pub likelihood: Likelihood,
    pub finding: Finding,
}

/// An entry with the boot it is in.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub boot: &'a Boot,
    pub entry: &'a Entry,
}

impl<'a> Step<'a> {
    pub fn first_ms(self) -> u64 {
        self.boot.began_ms + u64::from(self.entry.first_ms)
    }

    pub fn last_ms(self) -> u64 {
        self.boot.began_ms + u64::from(self.entry.last_ms)
    }

    pub fn file(self) -> Option<&'a File> {
        match &self.entry.what {
            What::File(file) => Some(file),
            What::Fact(_) => None,
        }
    }

    pub fn fact(self) -> Option<&'a Fact> {
        match &self.entry.what {
            What::Fact(fact) => Some(fact),
            What::File(_) => None,
        }
    }

    pub fn stage(self) -> Option<Stage> {
        stage_of(self.entry)
    }
}

impl<'a> Case<'a> {
    pub fn stage(&self) -> Stage {
        self.phone.map_or(Stage::Dhcp, |phone| phone.stage)
    }

    pub fn since_ms(&self) -> u64 {
        self.phone.map_or(self.started_ms, |it| it.stage_since_ms)
    }

    /// It has been where it is for longer than others take.
    pub fn is_late(&self) -> bool {
        self.now_ms.saturating_sub(self.since_ms()) >= self.patience_ms
    }

    /// It has not got over a fault that it had first at this time: it is no passing one.
    pub fn has_lasted(&self, since_ms: u64) -> bool {
        self.now_ms.saturating_sub(since_ms) >= self.fault_patience_ms
    }

    /// What it did since it was last registered: in this boot, and in those before it that did not
    /// come so far either.
    pub fn trouble(&self) -> Vec<Step<'a>> {
        let Some(phone) = self.phone else {
            return Vec::new();
        };
        let boots = phone.boots.iter();
        let last_good = boots.clone().rposition(|boot| boot.has_registered);
        let steps = |boot: &'a Boot| {
            let begin = boot.entries.iter().rposition(is_registered);
            let entries = &boot.entries[begin.map_or(0, |at| at + 1)..];
            entries.iter().map(move |entry| Step { boot, entry })
        };
        boots
            .skip(last_good.unwrap_or_default())
            .flat_map(steps)
            .collect()
    }

    /// The part of [`Self::trouble`] in the present boot.
    pub fn present(&self) -> Vec<Step<'a>> {
        let number = self.boot().map(|boot| boot.number);
        let mut steps = self.trouble();
        steps.retain(|step| Some(step.boot.number) == number);
        steps
    }

    pub fn boot(&self) -> Option<&'a Boot> {
        self.phone?.boot()
    }

    pub fn address(&self) -> Option<IpAddr> {
        Some(self.phone?.source.ip().to_canonical())
    }

    /// Who asks, for the catalog.
    pub fn client(&self) -> IpAddr {
        self.address().unwrap_or(Ipv4Addr::UNSPECIFIED.into())
    }

    pub fn found(
        &self,
        likelihood: Likelihood,
        cause: Cause,
        since_ms: u64,
        text: String,
        advice: String,
    ) -> Found {
        Found {
            likelihood,
            finding: Finding {
                cause,
                stage: self.stage(),
                since_ms,
                text,
                advice,
                is_uncertain: self.events_lost() > 0,
            },
        }
    }

    /// Events that were lost since the trouble began: what is missing may have been among them.
    pub fn events_lost(&self) -> u64 {
        let began = self.trouble().first().map(|step| step.boot.began_ms);
        let Some(began) = began else {
            return 0;
        };
        let gaps = self.gaps.iter().filter(|gap| gap.until_ms >= began);
        gaps.map(|gap| gap.events).sum()
    }
}

fn is_registered(entry: &Entry) -> bool {
    matches!(entry.what, What::Fact(Fact::Registered { .. }))
}

/// `3 times`, `once`.
pub fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// `a, b and 3 more`.
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
