//! Which devices are shut out at the moment.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::inventory::{DeviceName, Snapshot};

/// Follows the windows of all devices. Knows no clock: time comes in as Unix seconds. Without
/// windows it holds nothing, and everything is open.
#[derive(Debug, Default)]
pub struct Gate {
    has_windows: bool,
    /// Devices of the inventory whose window is not open.
    closed: HashSet<DeviceName>,
    /// The others, the first to be closed first.
    open: BTreeSet<(u64, DeviceName)>,
}

impl Gate {
    pub fn new(has_windows: bool) -> Self {
        Self {
            has_windows,
            ..Self::default()
        }
    }

    pub const fn has_windows(&self) -> bool {
        self.has_windows
    }

    /// From now on with windows, or without; gives back the devices that are open now and were not,
    /// or the other way round.
    pub fn switch(
        &mut self,
        has_windows: bool,
        snapshot: Option<&Snapshot>,
        now: u64,
    ) -> Vec<DeviceName> {
        self.has_windows = has_windows;
        match snapshot.filter(|_| has_windows) {
            Some(snapshot) => self.update(snapshot, now),
            None => {
                self.open.clear();
                self.closed.drain().collect()
            }
        }
    }

    /// Takes over a new state of the inventory; gives back the devices that are open now and were
    /// not, or the other way round. New devices without a window count as shut before.
    pub fn update(&mut self, snapshot: &Snapshot, now: u64) -> Vec<DeviceName> {
        match self.has_windows {
            true => self.follow(snapshot.devices.keys(), &snapshot.windows, now),
            false => Vec::new(),
        }
    }

    fn follow<'d>(
        &mut self,
        devices: impl Iterator<Item = &'d DeviceName>,
        windows: &BTreeMap<DeviceName, u64>,
        now: u64,
    ) -> Vec<DeviceName> {
        let before = std::mem::take(&mut self.closed);
        let open_before: HashSet<_> = self.open_devices().copied().collect();
        self.open.clear();
        for &device in devices {
            match windows.get(&device) {
                Some(&until) if now < until => {
                    self.open.insert((until, device));
                }
                _ => {
                    self.closed.insert(device);
                }
            }
        }
        let opened = self
            .open_devices()
            .filter(|name| !open_before.contains(name));
        // A device that is new may have files on disk, which were served while nobody knew it; one
        // that was removed has them served again.
        let closed = self.closed.symmetric_difference(&before);
        let moved: HashSet<_> = opened.chain(closed).copied().collect();
        moved.into_iter().collect()
    }

    /// Shuts the windows whose time is over; gives back their devices.
    pub fn expire(&mut self, now: u64) -> Vec<DeviceName> {
        let mut over = Vec::new();
        while let Some(&(until, device)) = self.open.first()
            && until <= now
        {
            self.open.pop_first();
            self.closed.insert(device);
            over.push(device);
        }
        over
    }

    /// When the next window is shut, in Unix seconds.
    pub fn next_close(&self) -> Option<u64> {
        self.open.first().map(|&(until, _)| until)
    }

    /// Whether a file must look as if it did not exist. Its name is normalised.
    pub fn hides(&self, file: &str) -> bool {
        !self.closed.is_empty()
            && DeviceName::of_file(file).is_some_and(|device| self.closed.contains(&device))
    }

    /// How many windows are open; none if there are no windows.
    pub fn windows_open(&self) -> Option<u64> {
        self.has_windows.then_some(self.open.len() as u64)
    }

    fn open_devices(&self) -> impl Iterator<Item = &DeviceName> {
        self.open.iter().map(|(_, device)| device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Contents, Site};

    fn name(number: u8) -> DeviceName {
        format!("SEP0000000000{number:02X}").parse().unwrap()
    }

    /// The devices 1 to 3, the first two with windows until 100 and 200.
    fn gate_at(now: u64) -> (Gate, Vec<DeviceName>) {
        let mut gate = Gate::new(true);
        let moved = follow(&mut gate, &[1, 2, 3], &[(1, 100), (2, 200)], now);
        (gate, moved)
    }

    fn follow(gate: &mut Gate, devices: &[u8], windows: &[(u8, u64)], now: u64) -> Vec<DeviceName> {
        let devices: Vec<_> = devices.iter().map(|&number| name(number)).collect();
        let windows = windows.iter().map(|&(number, until)| (name(number), until));
        let mut moved = gate.follow(devices.iter(), &windows.collect(), now);
        moved.sort_unstable();
        moved
    }

    fn hidden(gate: &Gate) -> Vec<u8> {
        let hides = |number: &u8| gate.hides(&name(*number).config_file());
        (1..=4).filter(hides).collect()
    }

    #[test]
    fn a_device_without_a_window_that_is_open_is_hidden() {
        let (gate, _) = gate_at(99);
        assert_eq!(hidden(&gate), [3]);
        let (gate, _) = gate_at(100);
        assert_eq!(hidden(&gate), [1, 3]);
        assert_eq!(
            (gate.windows_open(), gate.next_close()),
            (Some(1), Some(200))
        );
    }

    #[test]
    fn windows_are_shut_when_their_time_comes_and_not_before() {
        let (mut gate, _) = gate_at(0);
        assert_eq!(gate.next_close(), Some(100));
        assert!(gate.expire(99).is_empty());
        assert_eq!(gate.expire(100), [name(1)]);
        assert_eq!(hidden(&gate), [1, 3]);
        // A clock that was set ahead shuts all that are over.
        assert_eq!(gate.expire(u64::MAX), [name(2)]);
        assert_eq!((gate.next_close(), gate.windows_open()), (None, Some(0)));
    }

    #[test]
    fn a_change_tells_the_devices_that_moved_and_no_others() {
        let (mut gate, _) = gate_at(0);
        // 1 is shut by command, 3 is opened, 2 goes on for longer.
        let moved = follow(&mut gate, &[1, 2, 3], &[(2, 900), (3, 50)], 10);
        assert_eq!(moved, [name(1), name(3)]);
        assert_eq!(hidden(&gate), [1]);
        assert!(follow(&mut gate, &[1, 2, 3], &[(2, 900), (3, 50)], 11).is_empty());
        // 1 was removed, 4 is new.
        let moved = follow(&mut gate, &[2, 3, 4], &[(2, 900), (3, 50)], 12);
        assert_eq!(moved, [name(1), name(4)]);
        assert_eq!(hidden(&gate), [4]);
    }

    #[test]
    fn everything_of_a_device_is_hidden_and_nothing_that_is_shared() {
        let (gate, _) = gate_at(0);
        for file in name(3).own_files() {
            assert!(gate.hides(&file), "{file}");
        }
        for file in [
            "xmldefault.cnf.xml",
            "itlfile.tlv",
            "ringlist.xml",
            "sip88xx.loads",
        ] {
            assert!(!gate.hides(file), "{file}");
        }
        assert!(!gate.hides(&name(9).config_file()), "nobody knows it");
    }

    #[test]
    fn without_windows_nothing_is_hidden_or_kept() {
        let mut gate = Gate::new(false);
        let snapshot = Snapshot::new(Contents::default(), &Site::default());
        assert!(gate.update(&snapshot, 0).is_empty());
        assert_eq!((gate.windows_open(), gate.next_close()), (None, None));
    }
}
