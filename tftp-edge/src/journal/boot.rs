//! One boot of a phone, as it is kept.
//!
//! There are as many as phones, times a few: so an entry has what is shown of it and no more, and
//! what happens again and again is one entry with a number.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tftp_ebpf::stage::Stage as FileStage;

use super::Stage;
use super::event::{Answer, Fact, Outcome, Request};
use crate::stats::Path;

/// How far back the request is looked for that an answer belongs to: phones ask for one file after
/// the other, and a few for two at once.
const PENDING_WITHIN: usize = 8;

/// A request whose end is not told after so long has an end that was lost: asked for again, it is
/// another one. Transfers that stand still are given up long before.
const PENDING_MS: u32 = 120_000;

/// What the kernel program saw is told when its ring is read, some 20 ms later, and later still on a
/// machine that is busy. What is older than this was not told late: the clock was set back.
const LATE_MS: u64 = 5_000;

/// Of a boot with more entries than are kept, the first half stays and so do the last ones: how it
/// began and where it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Boot {
    /// Of this phone, counted from 1; those that are not kept any more count too.
    pub number: u32,
    /// Unix milliseconds.
    pub began_ms: u64,
    pub entries: Vec<Entry>,
    /// Entries that found no room.
    pub left_out: u32,
    /// The last stage it reached.
    pub stage: Stage,
    /// It reached the registration.
    pub has_registered: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds after the boot began, the first and the last time.
    pub first_ms: u32,
    pub last_ms: u32,
    pub times: u32,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    File(File),
    Fact(Fact),
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    #[serde(with = "super::shared_text")]
    pub name: Arc<str>,
    pub generation: Option<u64>,
    pub len_bytes: u32,
    pub took_us: u32,
    pub resends: u32,
    pub outcome: Outcome,
    /// Places in [`FileStage::ALL`] and [`Path::ALL`].
    stage: u8,
    path: u8,
}

/// Whether something of this moment is told after something that is as new, or newer.
pub fn is_late(at_ms: u64, than_ms: u64) -> bool {
    than_ms.checked_sub(at_ms).is_some_and(|it| it <= LATE_MS)
}

fn cut(value: impl TryInto<u32>) -> u32 {
    value.try_into().unwrap_or(u32::MAX)
}

impl File {
    pub fn new(request: &Request) -> Self {
        let path = Path::ALL.iter().position(|it| *it == request.path);
        Self {
            name: Arc::clone(&request.name),
            generation: request.generation,
            len_bytes: cut(request.len_bytes),
            took_us: 0,
            resends: 0,
            outcome: Outcome::Pending,
            stage: request.stage as u8,
            path: path.unwrap_or_default() as u8,
        }
    }

    pub fn stage(&self) -> FileStage {
        FileStage::from_index(self.stage)
    }

    pub fn path(&self) -> Path {
        Path::ALL[usize::from(self.path) % Path::COUNT]
    }

    fn answer(&mut self, request: &Request, answer: &Answer) {
        *self = Self::new(request);
        self.outcome = answer.outcome;
        self.took_us = cut(answer.took.as_micros());
        self.resends = answer.resends;
    }

    /// The same file, with the same end.
    fn is_again(&self, other: &Self) -> bool {
        self.name == other.name
            && self.outcome == other.outcome
            && self.generation == other.generation
            && self.path == other.path
    }
}

impl Entry {
    /// By time. Of one millisecond, a file comes before what is said over the connection that a phone
    /// opens when it has its files: what the kernel program saw is told after it.
    fn is_before(&self, other: &Self) -> bool {
        let is_file = |it: &Self| matches!(it.what, What::File(_));
        self.first_ms < other.first_ms
            || self.first_ms == other.first_ms && is_file(self) && !is_file(other)
    }

    fn is_pending(&self, name: &str) -> bool {
        match &self.what {
            What::File(file) => file.outcome == Outcome::Pending && *file.name == *name,
            What::Fact(_) => false,
        }
    }
}

impl Boot {
    pub fn new(number: u32, began_ms: u64) -> Self {
        Self {
            number,
            began_ms,
            entries: Vec::new(),
            left_out: 0,
            stage: Stage::Dhcp,
            has_registered: false,
        }
    }

    /// When it was last heard of. What a phone says of itself when it starts does not count: it may be
    /// here before the kernel's word of the boot that it is of, and then stands in the boot before.
    pub fn last_ms(&self) -> u64 {
        let of_itself = |it: &Entry| {
            matches!(
                it.what,
                What::Fact(Fact::Alarm { .. } | Fact::TrustLists { .. })
            )
        };
        let entries = self.entries.iter().filter(|it| !of_itself(it));
        let last = entries.map(|entry| entry.last_ms).max();
        self.began_ms + u64::from(last.unwrap_or_default())
    }

    /// Whether this moment is not newer than what is known of the boot: it was told late.
    pub fn is_late(&self, at_ms: u64) -> bool {
        is_late(at_ms, self.last_ms())
    }

    fn after(&self, at_ms: u64) -> u32 {
        cut(at_ms.saturating_sub(self.began_ms))
    }

    /// Where this moment is in the boot, which begins with it if it was told late.
    fn place(&mut self, at_ms: u64) -> u32 {
        if at_ms < self.began_ms && is_late(at_ms, self.began_ms) {
            let earlier = cut(self.began_ms - at_ms);
            for entry in &mut self.entries {
                entry.first_ms = entry.first_ms.saturating_add(earlier);
                entry.last_ms = entry.last_ms.saturating_add(earlier);
            }
            self.began_ms = at_ms;
        }
        self.after(at_ms)
    }

    /// The first file that was asked for.
    pub fn first_file(&self) -> Option<&File> {
        self.entries.iter().find_map(|entry| match &entry.what {
            What::File(file) => Some(file),
            What::Fact(_) => None,
        })
    }

    pub fn requested(&mut self, request: &Request, at_ms: u64, room: usize) {
        let after = self.place(at_ms);
        let pending = self.pending(&request.name);
        if let Some(entry) = pending.and_then(|it| self.entries.get_mut(it))
            && after.saturating_sub(entry.last_ms) <= PENDING_MS
        {
            entry.times = entry.times.saturating_add(1);
            entry.last_ms = entry.last_ms.max(after);
            return;
        }
        self.insert(What::File(File::new(request)), after, room);
    }

    pub fn answered(&mut self, request: &Request, answer: &Answer, at_ms: u64, room: usize) {
        let Some(pending) = self.pending(&request.name) else {
            let mut file = File::new(request);
            file.answer(request, answer);
            let began = self.place(at_ms.saturating_sub(answer.took_ms()));
            return self.insert(What::File(file), began, room);
        };
        let after = self.place(at_ms);
        let entry = &mut self.entries[pending];
        if let What::File(file) = &mut entry.what {
            file.answer(request, answer);
        }
        entry.last_ms = entry.last_ms.max(after);
        self.join_around(pending);
    }

    /// Facts are told in the order in which they happened, by clocks that differ a little.
    pub fn fact(&mut self, fact: &Fact, at_ms: u64, room: usize) {
        let after = self.place(at_ms);
        let is_fact = |entry: &&Entry| matches!(entry.what, What::Fact(_));
        let last = self.entries.iter().rfind(is_fact);
        let after = last.map_or(after, |last| after.max(last.first_ms));
        self.insert(What::Fact(fact.clone()), after, room);
    }

    /// Whether a request for the file has no answer yet, and may get one.
    pub fn waits_for(&self, name: &str, at_ms: u64) -> bool {
        let after = self.after(at_ms);
        let mut last = self.entries.iter().rev().take(PENDING_WITHIN);
        last.any(|entry| {
            entry.is_pending(name) && after.saturating_sub(entry.last_ms) <= PENDING_MS
        })
    }

    fn pending(&self, name: &str) -> Option<usize> {
        let all = self.entries.iter().enumerate().rev();
        let mut last = all.take(PENDING_WITHIN);
        Some(last.find(|(_, entry)| entry.is_pending(name))?.0)
    }

    fn insert(&mut self, what: What, after: u32, room: usize) {
        let entry = Entry {
            first_ms: after,
            last_ms: after,
            times: 1,
            what,
        };
        let before = self.entries.iter().rposition(|it| !entry.is_before(it));
        let at = before.map_or(0, |before| before + 1);
        self.entries.insert(at, entry);
        self.join_around(at);
        if self.entries.len() > room {
            self.entries.remove(room / 2);
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// An entry becomes one with its neighbours where they are the same again.
    fn join_around(&mut self, at: usize) {
        self.join(at);
        if let Some(before) = at.checked_sub(1) {
            self.join(before);
        }
    }

    /// An entry becomes one with the next if that is the same again.
    fn join(&mut self, at: usize) {
        let Some([this, next]) = self.entries.get_mut(at..at + 2) else {
            return;
        };
        let is_again = match (&this.what, &next.what) {
            (What::File(this), What::File(next)) => {
                next.outcome != Outcome::Pending && this.is_again(next)
            }
            (What::Fact(this), What::Fact(next)) => this == next,
            _ => false,
        };
        if !is_again {
            return;
        }
        if let (What::File(this), What::File(next)) = (&mut this.what, &next.what) {
            this.took_us = next.took_us;
            this.resends = this.resends.saturating_add(next.resends);
        }
        this.last_ms = this.last_ms.max(next.last_ms);
        this.times = this.times.saturating_add(next.times);
        self.entries.remove(at + 1);
    }

    /// Roughly what it has on the heap, and not less: most names of files are shared with the
    /// library, and count as if they were not.
    pub fn heap_bytes(&self) -> usize {
        let texts = self.entries.iter().map(|entry| match &entry.what {
            What::File(file) => allocated(file.name.len() + 16),
            What::Fact(
                Fact::Alarm { text, .. }
                | Fact::Refused {
                    detail: Some(text), ..
                }
                | Fact::Registered {
                    load: Some(text), ..
                },
            ) => allocated(text.len()),
            What::Fact(Fact::TrustLists { .. }) => 2 * allocated(40),
            What::Fact(_) => 0,
        });
        allocated(self.entries.capacity() * size_of::<Entry>()) + texts.sum::<usize>()
    }
}

/// What an allocation takes of the heap, with what glibc adds.
pub(super) const fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16)
}

#[cfg(test)]
mod tests;
