//! A part of the table, under one lock: its registrations, and when to look at each.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::counts::Tally;
use crate::inventory::DeviceName;
use crate::register::Registration;

/// Seconds since 1970; enough until 2106, at half the room.
pub(super) type Seconds = u32;

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) entries: HashMap<DeviceName, Entry>,
    /// One for each entry, at [`Entry::due`].
    due: BTreeSet<(Seconds, DeviceName)>,
    /// Devices whose state in the store is an older one.
    pub(super) dirt: HashSet<DeviceName>,
    pub(super) tally: Tally,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) registration: Arc<Registration>,
    /// When it is looked at next: never after its deadline, often before, since keepalives move
    /// the deadline alone.
    due: Seconds,
    /// The end of the registration as the store has it, or is about to.
    stored: Seconds,
    /// Restored, and not heard of since.
    pub(super) is_expected: bool,
}

/// Rounded down, so that nothing counts as over before it is.
pub(super) fn seconds(at: SystemTime) -> Seconds {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Seconds::try_from(since).unwrap_or(Seconds::MAX)
}

/// Rounded up: the first whole second at which it is over.
fn seconds_up(at: SystemTime) -> Seconds {
    seconds(at + Duration::from_nanos(999_999_999))
}

/// When the first part of it ends: the whole, or one of its bindings.
fn deadline(registration: &Registration) -> SystemTime {
    let bindings = registration.bindings.iter().map(|it| it.expires);
    bindings.fold(registration.expires, SystemTime::min)
}

/// What the passing of time did to a registration.
pub(super) enum Ended {
    Whole(Entry),
    /// Some bindings are over, others not.
    Part {
        before: Arc<Registration>,
        now: Arc<Registration>,
    },
}

impl Shard {
    /// Puts a registration in the place of the one before, and gives that back.
    pub(super) fn put(
        &mut self,
        registration: Arc<Registration>,
        is_expected: bool,
    ) -> Option<Arc<Registration>> {
        let device = registration.device;
        let due = seconds_up(deadline(&registration));
        let stored = seconds(registration.expires);
        match self.entries.get_mut(&device) {
            None => {
                self.due.insert((due, device));
                let entry = Entry {
                    registration,
                    due,
                    stored,
                    is_expected,
                };
                self.entries.insert(device, entry);
                None
            }
            Some(entry) => {
                if due < entry.due {
                    self.due.remove(&(entry.due, device));
                    self.due.insert((due, device));
                    entry.due = due;
                }
                entry.is_expected = is_expected;
                Some(std::mem::replace(&mut entry.registration, registration))
            }
        }
    }

    pub(super) fn remove(&mut self, device: &DeviceName) -> Option<Entry> {
        let entry = self.entries.remove(device)?;
        self.due.remove(&(entry.due, *device));
        Some(entry)
    }

    /// Moves the end of a registration. Allocates only while somebody else holds this version.
    pub(super) fn prolong(&mut self, device: &DeviceName, expires: SystemTime) {
        let Some(entry) = self.entries.get_mut(device) else {
            return;
        };
        entry.is_expected = false;
        Arc::make_mut(&mut entry.registration).expires = expires;
        let due = seconds_up(deadline(&entry.registration));
        if due < entry.due {
            self.due.remove(&(entry.due, *device));
            self.due.insert((due, *device));
            entry.due = due;
        }
    }

    /// Notes that the store has an older state; of a registration that goes on, only the last.
    pub(super) fn soil(&mut self, device: &DeviceName) {
        if let Some(entry) = self.entries.get_mut(device) {
            entry.stored = seconds(entry.registration.expires);
        }
        self.dirt.insert(*device);
    }

    /// The same of a refresh: the end in the store may lag behind by half a lifetime.
    pub(super) fn soil_by_time(&mut self, device: &DeviceName, now: SystemTime) {
        let Some(entry) = self.entries.get(device) else {
            return;
        };
        let expires = seconds(entry.registration.expires);
        let lifetime = expires.saturating_sub(seconds(now));
        if expires.abs_diff(entry.stored) >= (lifetime / 2).max(1) {
            self.soil(device);
        }
    }

    /// Takes out one registration, or what is over of it. None if nothing is over by then.
    pub(super) fn next_ended(&mut self, now: SystemTime) -> Option<Ended> {
        let now_s = seconds(now);
        loop {
            let &(due, device) = self.due.first()?;
            if due > now_s {
                return None;
            }
            self.due.pop_first();
            let Some(entry) = self.entries.get_mut(&device) else {
                continue;
            };
            let is_over = |at: SystemTime| at <= now;
            let before = Arc::clone(&entry.registration);
            let bindings = &before.bindings;
            if is_over(before.expires)
                || (!bindings.is_empty() && bindings.iter().all(|it| is_over(it.expires)))
            {
                drop(before);
                return self.entries.remove(&device).map(Ended::Whole);
            }
            let part = bindings.iter().any(|it| is_over(it.expires)).then(|| {
                let mut left = Registration::clone(&before);
                left.bindings.retain(|it| !is_over(it.expires));
                let now = Arc::new(left);
                entry.registration = Arc::clone(&now);
                Ended::Part { before, now }
            });
            entry.due = seconds_up(deadline(&entry.registration));
            self.due.insert((entry.due, device));
            if part.is_some() {
                return part;
            }
        }
    }

    /// Whether there is one deadline for each entry, and none is missed.
    #[cfg(test)]
    pub(super) fn is_sound(&self) -> bool {
        let has = |(device, entry): (&DeviceName, &Entry)| {
            self.due.contains(&(entry.due, *device))
                && entry.due <= seconds_up(deadline(&entry.registration))
        };
        self.due.len() == self.entries.len() && self.entries.iter().all(has)
    }
}
