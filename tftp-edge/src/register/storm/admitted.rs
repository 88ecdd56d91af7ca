//! Who was let in: what is under way, and who may go on with what it began.

use std::time::{Duration, Instant};

use hashlink::LinkedHashMap;

use crate::inventory::DeviceName;

/// Let in once, a phone may go on for so long without asking for another place: it answers the
/// challenge, repeats what got lost, and registers its other lines. As long as it repeats a REGISTER
/// itself (timer F, RFC 3261 17.1.2.2).
const ADMITTED_FOR: Duration = Duration::from_secs(32);

/// A phone that is not registered after so long has gone away, and does not hold up others.
const IN_PROGRESS_FOR: Duration = Duration::from_secs(10);

/// Phones remembered. Of more, those let in first ask for another place if they come again.
const MOST: usize = 65_536;

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    is_in_progress: bool,
}

/// In the order they were let in.
#[derive(Debug, Default)]
pub struct Admitted {
    devices: LinkedHashMap<DeviceName, Entry>,
    in_progress: usize,
    abandoned: u64,
}

impl Admitted {
    pub fn put(&mut self, device: DeviceName, now: Instant) {
        self.forget(&device);
        if self.devices.len() >= MOST
            && let Some((_, oldest)) = self.devices.pop_front()
        {
            self.in_progress -= usize::from(oldest.is_in_progress);
        }
        let entry = Entry {
            at: now,
            is_in_progress: true,
        };
        self.devices.insert(device, entry);
        self.in_progress += 1;
    }

    pub fn holds(&self, device: &DeviceName, now: Instant) -> bool {
        let entry = self.devices.get(device);
        entry.is_some_and(|it| now.saturating_duration_since(it.at) < ADMITTED_FOR)
    }

    /// It is registered. How long that took, if this is the first that is heard of it.
    pub fn served(&mut self, device: &DeviceName, now: Instant) -> Option<Duration> {
        let entry = self.devices.get_mut(device)?;
        if !std::mem::take(&mut entry.is_in_progress) {
            return None;
        }
        self.in_progress -= 1;
        Some(now.saturating_duration_since(entry.at))
    }

    /// Let in and not registered yet.
    pub const fn in_progress(&self) -> usize {
        self.in_progress
    }

    /// Phones that were let in and never registered.
    pub const fn abandoned(&self) -> u64 {
        self.abandoned
    }

    pub fn expire(&mut self, now: Instant) {
        let age = |entry: &Entry| now.saturating_duration_since(entry.at);
        while let Some((_, oldest)) = self.devices.front()
            && age(oldest) >= ADMITTED_FOR
        {
            if let Some((_, gone)) = self.devices.pop_front() {
                self.abandon(gone.is_in_progress);
            }
        }
        let mut given_up = 0;
        for (_, entry) in &mut self.devices {
            if now.saturating_duration_since(entry.at) < IN_PROGRESS_FOR {
                break;
            }
            given_up += usize::from(std::mem::take(&mut entry.is_in_progress));
        }
        self.in_progress -= given_up;
        self.abandoned += given_up as u64;
    }

    fn forget(&mut self, device: &DeviceName) {
        if let Some(before) = self.devices.remove(device) {
            self.abandon(before.is_in_progress);
        }
    }

    fn abandon(&mut self, is_in_progress: bool) {
        self.in_progress -= usize::from(is_in_progress);
        self.abandoned += u64::from(is_in_progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u32) -> DeviceName {
        format!("SEP{number:012X}").parse().unwrap()
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_is_done_or_given_up() {
        let start = Instant::now();
        let mut admitted = Admitted::default();
        for number in 0..3 {
            admitted.put(device(number), start);
        }
        assert_eq!(admitted.in_progress(), 3);
        let took = Duration::from_millis(300);
        assert_eq!(admitted.served(&device(0), start + took), Some(took));
        assert_eq!(admitted.served(&device(0), start + took), None);
        assert_eq!(admitted.served(&device(9), start), None);
        assert_eq!(admitted.in_progress(), 2);
        // The same one again.
        admitted.put(device(1), start + took);
        assert_eq!((admitted.in_progress(), admitted.abandoned()), (2, 1));
        admitted.expire(start + IN_PROGRESS_FOR);
        assert_eq!((admitted.in_progress(), admitted.abandoned()), (1, 2));
    }

    #[test]
    fn whoever_was_let_in_may_go_on_for_a_while() {
        let start = Instant::now();
        let mut admitted = Admitted::default();
        admitted.put(device(1), start);
        admitted.served(&device(1), start);
        assert!(admitted.holds(&device(1), start + Duration::from_secs(31)));
        assert!(!admitted.holds(&device(1), start + ADMITTED_FOR));
        admitted.expire(start + ADMITTED_FOR);
        assert!(admitted.devices.is_empty());
        assert_eq!(admitted.abandoned(), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut admitted = Admitted::default();
        for number in 0..MOST as u32 + 100 {
            admitted.put(device(number), start);
        }
        assert_eq!(admitted.devices.len(), MOST);
        assert_eq!(admitted.in_progress(), MOST);
    }
}
