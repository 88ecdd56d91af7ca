//! What upstream servers have said, and how long it holds. Without a clock: the curator, which is
//! the one who writes it, brings the time.
//!
//! Files are kept by normalised name, whoever asked in whatever spelling. That a name is nowhere
//! holds for one spelling alone: upstream servers tell upper from lower case, and a client that
//! asks for `RINGLIST.xml` must not hide `Ringlist.xml` from all others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::outcome::Answer;
use super::settings::Settings;
use crate::live::Live;

/// How long nobody is asked again for a name after no server has answered; and how long an old
/// version is served until the next attempt.
const RETRY: Duration = Duration::from_secs(10);

/// Names that are nowhere, and their spellings, at most. The budget of misses keeps well below.
const MAX_MISSED: usize = 65_536;
const MAX_SPELLINGS: usize = 8;

/// What is known of one name.
#[derive(Debug, Default)]
pub(in crate::content) struct Known {
    pub(in crate::content) copy: Option<Copy>,
    pub(in crate::content) misses: Vec<Miss>,
}

/// A file as it was fetched.
#[derive(Debug)]
pub(in crate::content) struct Copy {
    pub(in crate::content) bytes: Bytes,
    /// By which it was found.
    pub(in crate::content) spelling: Arc<[u8]>,
    pub(in crate::content) is_fresh: bool,
    /// It was asked for again within its lifetime.
    pub(in crate::content) is_hot: bool,
    fresh_until: Instant,
    /// Not served past this, whatever happens upstream.
    gone_at: Instant,
}

/// A name that was not found.
#[derive(Clone, Debug)]
pub(in crate::content) struct Miss {
    pub(in crate::content) spelling: Arc<[u8]>,
    pub(in crate::content) is: Missing,
    until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::content) enum Missing {
    /// No server has it.
    Absent,
    /// Those that answered do not have it.
    Doubtful,
    /// No server has answered.
    Unknown,
}

#[derive(Default)]
pub(in crate::content) struct Cache {
    settings: Live<Settings>,
    known: HashMap<Arc<str>, Known>,
    /// When to look at which name next.
    due: BTreeSet<(Instant, Arc<str>)>,
    bytes: u64,
    files: u64,
}

impl Cache {
    pub(in crate::content) fn new(settings: impl Into<Live<Settings>>) -> Self {
        Self {
            settings: settings.into(),
            known: HashMap::new(),
            due: BTreeSet::new(),
            bytes: 0,
            files: 0,
        }
    }

    pub(in crate::content) fn get(&self, name: &str) -> Option<&Known> {
        self.known.get(name)
    }

    pub(in crate::content) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is room for this file, in the place of what the name has now.
    pub(in crate::content) fn fits(&self, name: &str, len: u64) -> bool {
        let own = self.known.get(name).and_then(|known| known.copy.as_ref());
        let own_len = own.map_or(0, |copy| copy.bytes.len() as u64);
        self.bytes - own_len + len <= self.settings.get().memory_limit.0
    }

    pub(in crate::content) const fn files(&self) -> u64 {
        self.files
    }

    /// Names without a file.
    pub(in crate::content) fn missed(&self) -> u64 {
        self.known.len() as u64 - self.files
    }

    /// All names, with a file or without.
    pub(in crate::content) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.known.keys()
    }

    /// Names of all files.
    pub(in crate::content) fn copies(&self) -> impl Iterator<Item = (&Arc<str>, &Copy)> {
        self.known
            .iter()
            .filter_map(|(name, known)| Some((name, known.copy.as_ref()?)))
    }

    /// Takes in what was said to a name that was asked for in this spelling.
    pub(in crate::content) fn store(
        &mut self,
        name: &Arc<str>,
        spelling: &Arc<[u8]>,
        answer: Answer,
        now: Instant,
    ) {
        let settings = self.settings.take();
        let mut known = self.take(name);
        let (is, lasts) = match answer {
            Answer::Content(bytes) => {
                let fresh_until = now + settings.lifetime();
                let is_hot = known.copy.is_some_and(|copy| copy.is_hot);
                known.copy = Some(Copy {
                    bytes,
                    spelling: spelling.clone(),
                    is_fresh: true,
                    is_hot,
                    fresh_until,
                    gone_at: fresh_until + settings.stale(),
                });
                known.misses.clear();
                return self.put(name, known);
            }
            Answer::Absent => {
                known.copy = None;
                (Missing::Absent, settings.negative_lifetime())
            }
            Answer::Doubtful => (Missing::Doubtful, RETRY.min(settings.negative_lifetime())),
            Answer::Unknown => (Missing::Unknown, RETRY),
        };
        match &mut known.copy {
            // Better old than nothing.
            Some(copy) if now < copy.gone_at => {
                copy.is_fresh = true;
                copy.fresh_until = (now + RETRY).min(copy.gone_at);
            }
            _ => {
                known.copy = None;
                known.misses.retain(|miss| miss.spelling != *spelling);
                if known.misses.len() >= MAX_SPELLINGS {
                    known.misses.remove(0);
                }
                if self.known.len() < MAX_MISSED || !known.misses.is_empty() {
                    known.misses.push(Miss {
                        spelling: spelling.clone(),
                        is,
                        until: now + lasts,
                    });
                }
            }
        }
        self.put(name, known);
    }

    /// A file was asked for again; whether that is news.
    pub(in crate::content) fn heat(&mut self, name: &str) -> bool {
        let copy = self
            .known
            .get_mut(name)
            .and_then(|known| known.copy.as_mut());
        copy.is_some_and(|copy| !std::mem::replace(&mut copy.is_hot, true))
    }

    /// Drops a file to make room.
    pub(in crate::content) fn evict(&mut self, name: &Arc<str>) {
        let mut known = self.take(name);
        known.copy = None;
        self.put(name, known);
    }

    /// Drops all that is known of a name.
    pub(in crate::content) fn forget(&mut self, name: &Arc<str>) {
        self.take(name);
    }

    /// When something ends next.
    pub(in crate::content) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Ends what has had its time; returns the names of it.
    pub(in crate::content) fn expire(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        while self.due().is_some_and(|at| at <= now) {
            let Some((_, name)) = self.due.pop_first() else {
                break;
            };
            let mut known = self.take(&name);
            known.misses.retain(|miss| miss.until > now);
            if known.copy.as_ref().is_some_and(|copy| copy.gone_at <= now) {
                known.copy = None;
            }
            if let Some(copy) = &mut known.copy {
                copy.is_fresh &= copy.fresh_until > now;
            }
            self.put(&name, known);
            names.push(name);
        }
        names
    }

    fn take(&mut self, name: &Arc<str>) -> Known {
        let known = self.known.remove(name).unwrap_or_default();
        if let Some(at) = known.due() {
            self.due.remove(&(at, name.clone()));
        }
        if let Some(copy) = &known.copy {
            self.bytes -= copy.bytes.len() as u64;
            self.files -= 1;
        }
        known
    }

    fn put(&mut self, name: &Arc<str>, known: Known) {
        let Some(at) = known.due() else {
            return;
        };
        self.due.insert((at, name.clone()));
        if let Some(copy) = &known.copy {
            self.bytes += copy.bytes.len() as u64;
            self.files += 1;
        }
        self.known.insert(name.clone(), known);
    }
}

impl Known {
    /// None if nothing is known.
    fn due(&self) -> Option<Instant> {
        let copy = self.copy.as_ref().map(|copy| match copy.is_fresh {
            true => copy.fresh_until,
            false => copy.gone_at,
        });
        let misses = self.misses.iter().map(|miss| miss.until);
        copy.into_iter().chain(misses).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Case {
        cache: Cache,
        now: Instant,
        name: Arc<str>,
    }

    impl Case {
        fn new() -> Self {
            Self {
                cache: Cache::new(&Settings {
                    lifetime_s: 100,
                    negative_lifetime_s: 60,
                    stale_s: 1000,
                    ..Settings::default()
                }),
                now: Instant::now(),
                name: "ringlist.xml".into(),
            }
        }

        fn store(&mut self, answer: Answer) {
            self.store_as("Ringlist.xml", answer);
        }

        fn store_as(&mut self, spelling: &str, answer: Answer) {
            let spelling = spelling.as_bytes().into();
            self.cache.store(&self.name, &spelling, answer, self.now);
        }

        /// Lets time pass; returns whether anything ended.
        fn after(&mut self, time: Duration) -> bool {
            self.now += time;
            !self.cache.expire(self.now).is_empty()
        }

        fn copy(&self) -> Option<(&[u8], bool)> {
            let copy = self.cache.get(&self.name)?.copy.as_ref()?;
            Some((&copy.bytes, copy.is_fresh))
        }

        fn misses(&self) -> Vec<(&[u8], Missing)> {
            let known = self.cache.get(&self.name).into_iter();
            let misses = known.flat_map(|known| &known.misses);
            misses.map(|miss| (&*miss.spelling, miss.is)).collect()
        }
    }

    fn content(text: &'static str) -> Answer {
        Answer::Content(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_file_is_fresh_for_its_lifetime_and_gone_after_the_grace() {
        let mut case = Case::new();
        case.store(content("rings"));
        assert!(!case.after(99 * SECOND));
        assert_eq!(case.copy(), Some((&b"rings"[..], true)));
        assert!(case.after(SECOND));
        assert_eq!(case.copy(), Some((&b"rings"[..], false)));
        assert!(case.after(1000 * SECOND));
        assert!(case.cache.get(&case.name).is_none());
        assert_eq!(
            (case.cache.bytes(), case.cache.files(), case.cache.due()),
            (0, 0, None)
        );
    }

    #[test]
    fn while_no_server_answers_the_old_version_is_served_but_not_for_ever() {
        let mut case = Case::new();
        case.store(content("rings"));
        case.after(100 * SECOND);
        for answer in [Answer::Unknown, Answer::Doubtful] {
            case.store(answer);
            assert_eq!(case.copy(), Some((&b"rings"[..], true)));
            assert!(case.after(RETRY));
            assert_eq!(case.copy(), Some((&b"rings"[..], false)));
        }
        case.after(975 * SECOND);
        case.store(Answer::Unknown);
        assert!(case.after(5 * SECOND), "the grace is over");
        assert_eq!(case.copy(), None);
    }

    #[test]
    fn what_all_servers_deny_is_dropped_at_once() {
        let mut case = Case::new();
        case.store(content("rings"));
        case.after(100 * SECOND);
        case.store(Answer::Absent);
        assert_eq!(case.copy(), None);
        assert_eq!(case.misses(), [(&b"Ringlist.xml"[..], Missing::Absent)]);
        assert!(case.after(60 * SECOND));
        assert!(case.cache.get(&case.name).is_none());
    }

    #[test]
    fn what_was_not_denied_by_all_is_asked_for_again_soon() {
        for (answer, is) in [
            (Answer::Doubtful, Missing::Doubtful),
            (Answer::Unknown, Missing::Unknown),
        ] {
            let mut case = Case::new();
            case.store(answer);
            assert_eq!(case.misses(), [(&b"Ringlist.xml"[..], is)]);
            assert!(case.after(RETRY));
            assert!(case.misses().is_empty());
        }
    }

    #[test]
    fn a_name_is_absent_in_the_spellings_that_were_asked_for() {
        let mut case = Case::new();
        case.store_as("RINGLIST.XML", Answer::Absent);
        assert_eq!(case.misses(), [(&b"RINGLIST.XML"[..], Missing::Absent)]);
        for number in 0..100 {
            case.store_as(&format!("spelling {number}"), Answer::Absent);
        }
        assert_eq!(case.misses().len(), MAX_SPELLINGS);
        case.store(content("rings"));
        assert!(
            case.misses().is_empty(),
            "a file is found in every spelling"
        );
    }

    #[test]
    fn names_that_are_nowhere_are_bounded() {
        let mut case = Case::new();
        for number in 0..MAX_MISSED + 100 {
            case.name = format!("n{number}").into();
            case.store(Answer::Absent);
        }
        assert_eq!(case.cache.missed(), MAX_MISSED as u64);
        case.name = "ringlist.xml".into();
        case.store(content("rings"));
        assert!(case.copy().is_some(), "files have a bound of their own");
    }

    #[test]
    fn a_new_version_is_as_hot_as_the_one_before() {
        let mut case = Case::new();
        case.store(content("rings"));
        assert!(case.cache.heat(&case.name));
        assert!(!case.cache.heat(&case.name));
        case.store(content("other"));
        assert!(!case.cache.heat(&case.name));
        case.cache.evict(&case.name.clone());
        assert_eq!((case.cache.bytes(), case.cache.files()), (0, 0));
        assert!(!case.cache.heat(&case.name));
    }
    #[test]
    fn how_long_something_holds_is_that_of_the_settings_when_it_came() {
        let mut case = Case::new();
        let live = Live::new(Settings::default());
        case.cache = Cache::new(live.clone());
        live.set(Settings {
            lifetime_s: 7,
            negative_lifetime_s: 3,
            stale_s: 11,
            ..Settings::default()
        });
        case.store(content("rings"));
        assert!(!case.after(6 * SECOND) && case.after(SECOND));
        assert!(!case.after(10 * SECOND) && case.after(SECOND));
        assert_eq!(case.copy(), None);
        case.store(Answer::Absent);
        assert!(!case.after(2 * SECOND) && case.after(SECOND));
    }
}
