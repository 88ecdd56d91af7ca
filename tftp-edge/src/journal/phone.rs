//! One phone: its last boots, and where it is now.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Stage;
use super::boot::{Boot, allocated, is_late};
use super::event::{Answer, Fact, Happening, Outcome, Request};
use super::settings::Settings;

/// A request after so long a silence begins a boot.
const QUIET_MS: u64 = 300_000;

/// The file that a boot began with, asked for again so long after, begins another one. Below, a
/// phone only asks again because it heard no answer.
const AGAIN_MS: u64 = 10_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phone {
    /// The last ones, the present one at the end.
    pub boots: VecDeque<Boot>,
    /// How many there were altogether.
    pub boots_total: u32,
    pub stage: Stage,
    /// When it came to this stage, and when it was last heard of. Unix milliseconds.
    pub stage_since_ms: u64,
    pub heard_ms: u64,
    pub source: SocketAddr,
    /// Since when it is registered.
    pub registered_ms: Option<u64>,
    /// The firmware it said it runs.
    pub load: Option<Box<str>>,
    /// The last thing that went wrong, and when.
    pub failure: Option<(u64, Failure)>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Failure {
    File(#[serde(with = "super::shared_text")] Arc<str>, Outcome),
    Fact(Fact),
}

impl Phone {
    pub fn new(source: SocketAddr, at_ms: u64) -> Self {
        Self {
            // Most phones have one boot for weeks.
            boots: VecDeque::with_capacity(1),
            boots_total: 0,
            stage: Stage::Dhcp,
            stage_since_ms: at_ms,
            heard_ms: at_ms,
            source,
            registered_ms: None,
            load: None,
            failure: None,
        }
    }

    /// The present boot.
    pub fn boot(&self) -> Option<&Boot> {
        self.boots.back()
    }

    /// Takes an event in. Gives back whether there is anything new to be saved.
    pub fn take(
        &mut self,
        what: &Happening,
        source: SocketAddr,
        at_ms: u64,
        settings: &Settings,
    ) -> bool {
        if at_ms == self.heard_ms || !is_late(at_ms, self.heard_ms) {
            self.source = source;
        }
        self.heard_ms = self.heard_ms.max(at_ms);
        match what {
            Happening::Requested(request) => {
                let room = settings.entries;
                self.boot_for(request, at_ms, settings)
                    .requested(request, at_ms, room);
                self.asked(request, at_ms);
            }
            Happening::Answered(request, answer) => {
                let room = settings.entries;
                let began_ms = at_ms.saturating_sub(answer.took_ms());
                self.boot_for(request, began_ms, settings)
                    .answered(request, answer, at_ms, room);
                self.asked(request, began_ms);
                self.note_answer(request, answer, at_ms);
            }
            Happening::Refreshed => return self.refreshed(at_ms),
            Happening::Fact(fact) => self.fact(fact, at_ms, settings),
        }
        true
    }

    /// It fetched files while it was registered, and never left.
    fn refreshed(&mut self, at_ms: u64) -> bool {
        let is_back = self.registered_ms.is_some() && self.stage != Stage::Registered;
        if is_back {
            self.reach(Stage::Registered, at_ms);
        }
        is_back
    }

    fn reach(&mut self, stage: Stage, at_ms: u64) {
        if self.stage != stage {
            self.stage = stage;
            self.stage_since_ms = at_ms;
        }
        if let Some(boot) = self.boots.back_mut() {
            boot.stage = stage;
            boot.has_registered |= stage == Stage::Registered;
        }
    }

    /// Shared files that a registered phone fetches, such as a ring, change nothing of where it is.
    /// Nor does what is told late: the phone has come further since.
    fn asked(&mut self, request: &Request, at_ms: u64) {
        let Some(stage) = Stage::of_file(request.stage) else {
            return;
        };
        let is_newer = at_ms == self.stage_since_ms && stage > self.stage;
        if is_late(at_ms, self.stage_since_ms) && !is_newer {
            return;
        }
        let is_over = |boot: &Boot| boot.has_registered;
        let is_in_service = self.stage == Stage::Registered && self.boot().is_some_and(is_over);
        // A phone asks for files that it can do without while it registers.
        let is_registering = self.stage == Stage::Register && !stage.begins_a_boot();
        if !is_in_service && !is_registering {
            self.reach(stage, at_ms);
        }
    }

    /// The boot a request belongs to, a new one if it begins one.
    fn boot_for(&mut self, request: &Request, at_ms: u64, settings: &Settings) -> &mut Boot {
        let begins = match self.boots.back() {
            None => true,
            Some(boot) => {
                !boot.waits_for(&request.name, at_ms)
                    && !boot.is_late(at_ms)
                    && begins_anew(boot, request, at_ms)
            }
        };
        if begins {
            self.begin(at_ms, settings);
        }
        self.boots.back_mut().expect("there is one by now")
    }

    fn begin(&mut self, at_ms: u64, settings: &Settings) {
        self.boots_total = self.boots_total.saturating_add(1);
        // Shrunk: what is over does not grow any more.
        if let Some(boot) = self.boots.back_mut() {
            boot.entries.shrink_to_fit();
        }
        self.boots.push_back(Boot::new(self.boots_total, at_ms));
        while self.boots.len() > settings.boots {
            self.boots.pop_front();
        }
        self.stage = Stage::Dhcp;
        self.stage_since_ms = at_ms;
    }

    fn note_answer(&mut self, request: &Request, answer: &Answer, at_ms: u64) {
        let is_trust = Stage::of_file(request.stage) == Some(Stage::Trust);
        let has_failed = match answer.outcome {
            // Hardly any site has trust lists.
            Outcome::Absent => !is_trust,
            Outcome::Refused
            | Outcome::Unheard
            | Outcome::TimedOut
            | Outcome::Aborted
            | Outcome::Unreachable
            | Outcome::Overload => true,
            Outcome::Pending
            | Outcome::Complete
            | Outcome::Unconfirmed
            | Outcome::Superseded
            | Outcome::Probe => false,
        };
        if has_failed {
            let failure = Failure::File(Arc::clone(&request.name), answer.outcome);
            self.failed(at_ms, failure);
        }
    }

    fn failed(&mut self, at_ms: u64, failure: Failure) {
        let before = self.failure.as_ref().map(|(before_ms, _)| *before_ms);
        let has_later = before.is_some_and(|it| it != at_ms && is_late(at_ms, it));
        if !has_later {
            self.failure = Some((at_ms, failure));
        }
    }

    fn fact(&mut self, fact: &Fact, at_ms: u64, settings: &Settings) {
        // One that comes back without asking for a file has its boot too.
        let is_new = match (self.boots.back(), fact) {
            (None, _) => true,
            (Some(boot), Fact::Registering { .. }) => {
                boot.has_registered && self.registered_ms.is_none()
            }
            (Some(_), _) => false,
        };
        if is_new {
            self.begin(at_ms, settings);
        }
        if let Some(boot) = self.boots.back_mut() {
            boot.fact(fact, at_ms, settings.entries);
        }
        match fact {
            Fact::Registering { .. } if self.registered_ms.is_none() => {
                self.reach(Stage::Register, at_ms);
            }
            Fact::Refused { .. } => {
                self.failure = Some((at_ms, Failure::Fact(fact.clone())));
                if self.registered_ms.is_none() {
                    self.reach(Stage::Register, at_ms);
                }
            }
            Fact::Registered { load, .. } => {
                self.registered_ms.get_or_insert(at_ms);
                self.load = load.clone().or_else(|| self.load.take());
                self.reach(Stage::Registered, at_ms);
            }
            Fact::Left(_) => {
                self.registered_ms = None;
                self.failure = Some((at_ms, Failure::Fact(fact.clone())));
                if self.stage == Stage::Registered {
                    self.reach(Stage::Register, at_ms);
                }
            }
            Fact::Seen(seen) => self.seen(*seen, at_ms),
            Fact::Registering { .. }
            | Fact::Alarm { .. }
            | Fact::TrustLists { .. }
            | Fact::Ordered(_) => {}
        }
    }

    fn seen(&mut self, seen: crate::register::front::Stage, at_ms: u64) {
        use crate::register::front::Stage as Seen;
        match seen {
            Seen::Registered => {
                self.registered_ms.get_or_insert(at_ms);
                self.reach(Stage::Registered, at_ms);
            }
            Seen::Asks | Seen::HeldBack | Seen::Waits | Seen::Refused | Seen::Left => {
                if matches!(seen, Seen::Refused | Seen::Left) {
                    self.failure = Some((at_ms, Failure::Fact(Fact::Seen(seen))));
                }
                self.registered_ms = None;
                self.reach(Stage::Register, at_ms);
            }
        }
    }

    /// Roughly what it takes in memory, its place in the tables of phones and of addresses
    /// included: those are a third empty on average.
    pub fn bytes(&self) -> usize {
        const ADDRESS: usize = 128;
        let boots = self.boots.iter().map(Boot::heap_bytes);
        size_of::<Self>() * 3 / 2
            + ADDRESS
            + allocated(self.boots.capacity() * size_of::<Boot>())
            + self.load.as_ref().map_or(0, |it| allocated(it.len()))
            + boots.sum::<usize>()
    }
}

/// Whether a request is the first of another boot.
fn begins_anew(boot: &Boot, request: &Request, at_ms: u64) -> bool {
    let is_first = Stage::of_file(request.stage).is_some_and(Stage::begins_a_boot);
    if !is_first {
        return false;
    }
    let since = at_ms.saturating_sub(boot.last_ms());
    let has_come_far = boot.stage >= Stage::Register || boot.has_registered;
    let since_began = at_ms.saturating_sub(boot.began_ms);
    // One that heard no answer asks again in the same boot.
    let began_with_it = boot.first_file().is_some_and(|it| {
        it.name == request.name && !matches!(it.outcome, Outcome::Pending | Outcome::Unheard)
    });
    since >= QUIET_MS || has_come_far || began_with_it && since_began >= AGAIN_MS && since >= 1_000
}

#[cfg(test)]
mod tests;
