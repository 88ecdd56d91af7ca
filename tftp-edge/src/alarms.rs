//! What needs a person: raised by the part that sees it, cleared by the same part once it is gone.
//!
//! An alarm is a state, not an event. It is raised as often as it is seen and logged once, stands in
//! `tftp-edge status` and counts in `tftp_edge_alarms` until it is cleared.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The most subjects of one kind that are told one by one; the others are counted.
const MAX_SUBJECTS: usize = 1000;

/// What is wrong. The name is a metric label and stands in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A file cannot be generated; its last good version is served. Subject: the file.
    Generation,
    /// A device is told to run firmware that is not here: it will reboot again and again. Subject:
    /// the load.
    Firmware,
    /// A locale, ring or picture that configurations name is not here. Subject: the folder or file.
    Locale,
    /// A source asks for many devices that do not exist. Subject: the source.
    Scan,
    /// An upstream server does not answer. Subject: the server.
    Upstream,
    /// The pool of directory numbers of a site is used up. Subject: the site.
    NumberPool,
    /// The certificate of HTTPS has expired, or soon will. Subject: its file.
    Certificate,
    /// A source is shut out from registration, or would be if it were not a site's. Subject: the
    /// source.
    Ban,
    /// Phones are refused because there are too many. Subject: what is full.
    Registrations,
    /// Registrations are not kept over a restart. Subject: the database.
    RegistrationStore,
    /// Lines of the log are lost. Subject: the log.
    Log,
    /// The journal is not kept over a restart, or its file was set aside. Subject: the file.
    JournalStore,
    /// The inventory cannot be read or kept; phones are served what was read of it last. Subject:
    /// the file.
    Inventory,
    /// The served folder cannot be read; what was read of it last is served. Subject: the folder.
    Content,
    /// The system has no more descriptors or memory for the daemon. Subject: which.
    Resources,
    /// Other settings were refused; those before hold. Subject: the file.
    Configuration,
}

impl AlarmKind {
    pub const ALL: [Self; 16] = [
        Self::Generation,
        Self::Firmware,
        Self::Locale,
        Self::Scan,
        Self::Upstream,
        Self::NumberPool,
        Self::Certificate,
        Self::Ban,
        Self::Registrations,
        Self::RegistrationStore,
        Self::Log,
        Self::JournalStore,
        Self::Inventory,
        Self::Content,
        Self::Resources,
        Self::Configuration,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::Firmware => "firmware",
            Self::Locale => "locale",
            Self::Scan => "scan",
            Self::Upstream => "upstream",
            Self::NumberPool => "number_pool",
            Self::Certificate => "certificate",
            Self::Ban => "ban",
            Self::Registrations => "registrations",
            Self::RegistrationStore => "registration_store",
            Self::Log => "log",
            Self::JournalStore => "journal_store",
            Self::Inventory => "inventory",
            Self::Content => "content",
            Self::Resources => "resources",
            Self::Configuration => "configuration",
        }
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One thing that is wrong at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    pub kind: AlarmKind,
    /// What it is about: a file, a load, an address.
    pub subject: String,
    /// What is wrong and what to do.
    pub problem: String,
    pub since: SystemTime,
}

/// All alarms of the daemon; shared by its parts.
#[derive(Debug, Default)]
pub struct Alarms {
    kinds: Mutex<BTreeMap<AlarmKind, OfKind>>,
}

#[derive(Debug, Default)]
struct OfKind {
    told: BTreeMap<String, (String, SystemTime)>,
    /// Beyond those told, as of the last [`Alarms::set`].
    more: usize,
}

impl Alarms {
    /// Tells what is wrong. Seen again, only the text is renewed.
    pub fn raise(&self, kind: AlarmKind, subject: &str, problem: impl Into<String>) {
        let mut kinds = self.kinds.lock();
        let of_kind = kinds.entry(kind).or_default();
        if of_kind.told.len() >= MAX_SUBJECTS && !of_kind.told.contains_key(subject) {
            return;
        }
        of_kind.put(kind, subject, problem.into());
    }

    pub fn clear(&self, kind: AlarmKind, subject: &str) {
        let mut kinds = self.kinds.lock();
        if let Some(of_kind) = kinds.get_mut(&kind)
            && of_kind.told.remove(subject).is_some()
        {
            tracing::info!(event = "alarm.cleared", %kind, subject, "alarm cleared");
        }
    }

    /// Everything of one kind, anew: what is not named any more is cleared.
    pub fn set(&self, kind: AlarmKind, problems: impl IntoIterator<Item = (String, String)>) {
        let mut kinds = self.kinds.lock();
        let of_kind = kinds.entry(kind).or_default();
        let mut gone = std::mem::take(&mut of_kind.told);
        of_kind.more = 0;
        for (subject, problem) in problems {
            if of_kind.told.len() >= MAX_SUBJECTS {
                of_kind.more += 1;
                continue;
            }
            if let Some(before) = gone.remove(&subject) {
                of_kind.told.insert(subject.clone(), before);
            }
            of_kind.put(kind, &subject, problem);
        }
        for subject in gone.keys() {
            tracing::info!(event = "alarm.cleared", %kind, subject, "alarm cleared");
        }
    }

    /// What is wrong with one subject.
    pub fn problem(&self, kind: AlarmKind, subject: &str) -> Option<String> {
        let kinds = self.kinds.lock();
        let (problem, _) = kinds.get(&kind)?.told.get(subject)?;
        Some(problem.clone())
    }

    pub fn count(&self, kind: AlarmKind) -> usize {
        let kinds = self.kinds.lock();
        kinds
            .get(&kind)
            .map_or(0, |of_kind| of_kind.told.len() + of_kind.more)
    }

    /// By kind and subject.
    pub fn list(&self) -> Vec<Alarm> {
        let kinds = self.kinds.lock();
        let of_kind = |(&kind, of_kind): (&AlarmKind, &OfKind)| {
            let alarm = |(subject, (problem, since)): (&String, &(String, SystemTime))| Alarm {
                kind,
                subject: subject.clone(),
                problem: problem.clone(),
                since: *since,
            };
            of_kind.told.iter().map(alarm).collect::<Vec<_>>()
        };
        kinds.iter().flat_map(of_kind).collect()
    }
}

impl OfKind {
    fn put(&mut self, kind: AlarmKind, subject: &str, problem: String) {
        match self.told.entry(subject.to_owned()) {
            Entry::Occupied(mut known) => known.get_mut().0 = problem,
            Entry::Vacant(new) => {
                tracing::warn!(event = "alarm.raised", %kind, subject, problem, "alarm");
                new.insert((problem, SystemTime::now()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(alarms: &Alarms) -> Vec<String> {
        alarms.list().into_iter().map(|it| it.subject).collect()
    }

    #[test]
    fn an_alarm_stands_from_the_first_time_it_is_seen_until_it_is_cleared() {
        let alarms = Alarms::default();
        alarms.raise(AlarmKind::Scan, "10.0.0.9", "100 names");
        let since = alarms.list()[0].since;
        alarms.raise(AlarmKind::Scan, "10.0.0.9", "200 names");
        let [alarm] = &alarms.list()[..] else {
            panic!("one subject is one alarm")
        };
        assert_eq!((alarm.problem.as_str(), alarm.since), ("200 names", since));
        let problem = alarms.problem(AlarmKind::Scan, "10.0.0.9");
        assert_eq!(problem.as_deref(), Some("200 names"));
        alarms.clear(AlarmKind::Upstream, "10.0.0.9");
        assert_eq!(alarms.count(AlarmKind::Scan), 1);
        alarms.clear(AlarmKind::Scan, "10.0.0.9");
        assert!(alarms.list().is_empty());
    }

    #[test]
    fn setting_a_kind_clears_what_is_not_named_and_leaves_other_kinds() {
        let alarms = Alarms::default();
        let problems = |names: &[&str]| -> Vec<_> {
            let problem = |name: &&str| ((*name).to_owned(), "missing".to_owned());
            names.iter().map(problem).collect()
        };
        alarms.raise(AlarmKind::Scan, "10.0.0.9", "100 names");
        alarms.set(AlarmKind::Firmware, problems(&["a", "b"]));
        let since = alarms.list()[1].since;
        alarms.set(AlarmKind::Firmware, problems(&["b", "c"]));
        assert_eq!(subjects(&alarms), ["b", "c", "10.0.0.9"]);
        assert_eq!(alarms.list()[0].since.max(since), alarms.list()[0].since);
    }

    #[test]
    fn subjects_are_bounded_and_the_rest_is_counted() {
        let alarms = Alarms::default();
        let many = (0..MAX_SUBJECTS + 7).map(|at| (format!("{at:05}"), String::new()));
        alarms.set(AlarmKind::Firmware, many);
        assert_eq!(alarms.list().len(), MAX_SUBJECTS);
        assert_eq!(alarms.count(AlarmKind::Firmware), MAX_SUBJECTS + 7);
        alarms.raise(AlarmKind::Firmware, "one more", "");
        assert_eq!(alarms.list().len(), MAX_SUBJECTS);
    }
}
