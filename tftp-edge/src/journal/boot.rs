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

    /// When it was last heard of.
    pub fn last_ms(&self) -> u64 {
        let last = self.entries.iter().map(|entry| entry.last_ms).max();
        self.began_ms + u64::from(last.unwrap_or_default())
    }

    fn after(&self, at_ms: u64) -> u32 {
        cut(at_ms.saturating_sub(self.began_ms))
    }

    /// The first file that was asked for.
    pub fn first_file(&self) -> Option<&File> {
        self.entries.iter().find_map(|entry| match &entry.what {
            What::File(file) => Some(file),
            What::Fact(_) => None,
        })
    }

    pub fn requested(&mut self, request: &Request, at_ms: u64, room: usize) {
        let after = self.after(at_ms);
        if let Some(entry) = self.pending(&request.name)
            && after.saturating_sub(entry.last_ms) <= PENDING_MS
        {
            entry.times = entry.times.saturating_add(1);
            entry.last_ms = after;
            return;
        }
        self.push(What::File(File::new(request)), after, room);
    }

    pub fn answered(&mut self, request: &Request, answer: &Answer, at_ms: u64, room: usize) {
        let after = self.after(at_ms);
        let Some(entry) = self.pending(&request.name) else {
            let mut file = File::new(request);
            file.answer(request, answer);
            let began = after.saturating_sub(file.took_us / 1000);
            return self.push(What::File(file), began, room);
        };
        if let What::File(file) = &mut entry.what {
            file.answer(request, answer);
        }
        entry.last_ms = after;
        self.join_last();
    }

    pub fn fact(&mut self, fact: &Fact, at_ms: u64, room: usize) {
        let after = self.after(at_ms);
        self.push(What::Fact(fact.clone()), after, room);
    }

    /// Whether a request for the file has no answer yet, and may get one.
    pub fn waits_for(&self, name: &str, at_ms: u64) -> bool {
        let after = self.after(at_ms);
        let mut last = self.entries.iter().rev().take(PENDING_WITHIN);
        last.any(|entry| {
            entry.is_pending(name) && after.saturating_sub(entry.last_ms) <= PENDING_MS
        })
    }

    fn pending(&mut self, name: &str) -> Option<&mut Entry> {
        let mut last = self.entries.iter_mut().rev().take(PENDING_WITHIN);
        last.find(|entry| entry.is_pending(name))
    }

    fn push(&mut self, what: What, after: u32, room: usize) {
        self.entries.push(Entry {
            first_ms: after,
            last_ms: after,
            times: 1,
            what,
        });
        self.join_last();
        if self.entries.len() > room {
            self.entries.remove(room / 2);
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// The last entry becomes one with the one before if it is the same again.
    fn join_last(&mut self) {
        let [.., before, last] = &mut self.entries[..] else {
            return;
        };
        let is_again = match (&before.what, &last.what) {
            (What::File(before), What::File(last)) => {
                last.outcome != Outcome::Pending && before.is_again(last)
            }
            (What::Fact(before), What::Fact(last)) => before == last,
            _ => false,
        };
        if !is_again {
            return;
        }
        if let (What::File(before), What::File(last)) = (&mut before.what, &last.what) {
            before.took_us = last.took_us;
            before.resends = before.resends.saturating_add(last.resends);
        }
        before.last_ms = last.last_ms;
        before.times = before.times.saturating_add(last.times);
        self.entries.pop();
    }

    /// Roughly what it takes in memory, and not less: most names of files are shared with the
    /// library, and count as if they were not.
    pub fn bytes(&self) -> usize {
        let texts = self.entries.iter().map(|entry| match &entry.what {
            What::File(file) => file.name.len() + 16,
            What::Fact(Fact::Alarm { text, .. }) => text.len(),
            What::Fact(Fact::Refused {
                detail: Some(text), ..
            }) => text.len(),
            What::Fact(Fact::TrustLists { .. }) => 80,
            _ => 0,
        });
        size_of::<Self>() + self.entries.capacity() * size_of::<Entry>() + texts.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tftp_ebpf::verdict::Rung;

    fn request(name: &str) -> Request {
        Request {
            name: name.into(),
            stage: FileStage::of_name(name.as_bytes()),
            path: Path::Rung(Rung::Xdp),
            generation: Some(7),
            len_bytes: 6_000,
        }
    }

    fn answer(outcome: Outcome) -> Answer {
        Answer {
            outcome,
            took: Duration::from_millis(3),
            resends: 1,
        }
    }

    #[test]
    fn an_answer_completes_its_request() {
        let mut boot = Boot::new(1, 10_000);
        let asked = request("sep001122334455.cnf.xml");
        boot.requested(&asked, 10_100, 64);
        boot.requested(&asked, 10_600, 64);
        boot.answered(&asked, &answer(Outcome::Complete), 10_700, 64);
        let [entry] = &boot.entries[..] else {
            panic!("{boot:?}")
        };
        assert_eq!((entry.first_ms, entry.last_ms, entry.times), (100, 700, 2));
        let What::File(file) = &entry.what else {
            panic!("{entry:?}")
        };
        assert_eq!((file.outcome, file.took_us), (Outcome::Complete, 3_000));
        assert_eq!(file.path(), Path::Rung(Rung::Xdp));
        assert_eq!(boot.last_ms(), 10_700);
    }

    #[test]
    fn an_answer_without_its_request_is_kept_all_the_same() {
        let mut boot = Boot::new(1, 0);
        boot.answered(&request("a.loads"), &answer(Outcome::Absent), 50, 64);
        assert_eq!(boot.entries[0].first_ms, 47);
    }

    #[test]
    fn what_happens_again_is_counted_in_one_entry() {
        let mut boot = Boot::new(1, 0);
        for at in 0..5 {
            let asked = request("sep001122334455.cnf.xml");
            boot.requested(&asked, at * 100, 64);
            boot.answered(&asked, &answer(Outcome::Absent), at * 100 + 1, 64);
        }
        assert_eq!((boot.entries.len(), boot.entries[0].times), (1, 5));
        boot.requested(&request("xmldefault.cnf.xml"), 600, 64);
        assert_eq!(boot.entries.len(), 2);
    }

    #[test]
    fn a_long_boot_keeps_its_beginning_and_its_end() {
        let mut boot = Boot::new(1, 0);
        for at in 0..100 {
            let asked = request(&format!("ring{at}.raw"));
            boot.answered(&asked, &answer(Outcome::Complete), at, 20);
        }
        assert_eq!((boot.entries.len(), boot.left_out), (20, 80));
        let name = |entry: &Entry| match &entry.what {
            What::File(file) => file.name.to_string(),
            What::Fact(_) => String::new(),
        };
        assert_eq!(name(&boot.entries[0]), "ring0.raw");
        assert_eq!(name(&boot.entries[19]), "ring99.raw");
    }
}
