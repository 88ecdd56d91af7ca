//! Who was told to come again, and when.

use std::collections::HashMap;

use crate::inventory::DeviceName;

/// The place of one phone in the queue. Times in milliseconds since the daemon started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From here on it is its turn.
    pub due_ms: u64,
    /// It was told to be back by then: before its turn if that is far off, after it if a phone
    /// cannot be told so short a wait.
    pub back_ms: u64,
}

impl Place {
    pub const fn second(self) -> u64 {
        self.due_ms / 1000
    }

    /// From here on nobody waits for it.
    fn over_ms(self, grace_ms: u64) -> u64 {
        self.due_ms.max(self.back_ms) + grace_ms
    }
}

/// One place for each phone, and no more of them than there may be.
#[derive(Debug)]
pub struct Places {
    devices: HashMap<DeviceName, Place>,
    most: usize,
    grace_ms: u64,
}

impl Places {
    pub fn new(most: usize, grace_ms: u64) -> Self {
        Self {
            devices: HashMap::new(),
            most,
            grace_ms,
        }
    }

    /// From now on there may be so many. Those that there are keep theirs.
    pub fn follow(&mut self, most: usize, grace_ms: u64) {
        (self.most, self.grace_ms) = (most, grace_ms);
    }

    pub fn len(&self) -> usize {
        self.devices.len()
    }

    pub const fn most(&self) -> usize {
        self.most
    }

    /// None too if its turn was so long ago that it is not kept for it.
    pub fn get(&self, device: &DeviceName, now_ms: u64) -> Option<Place> {
        let place = self.devices.get(device).copied();
        place.filter(|it| now_ms <= it.over_ms(self.grace_ms))
    }

    /// How many have their turn earlier.
    pub fn before(&self, place: Place) -> usize {
        let places = self.devices.values();
        places.filter(|it| it.due_ms < place.due_ms).count()
    }

    pub fn has_space(&self) -> bool {
        self.devices.len() < self.most
    }

    pub fn put(&mut self, device: DeviceName, place: Place) {
        self.devices.insert(device, place);
    }

    pub fn remove(&mut self, device: &DeviceName) -> Option<Place> {
        self.devices.remove(device)
    }

    /// Gives up the places of phones that did not come; calls `lost` with each.
    pub fn expire(&mut self, now_ms: u64, mut lost: impl FnMut(Place)) {
        let grace_ms = self.grace_ms;
        self.devices.retain(|_, place| {
            let is_kept = now_ms <= place.over_ms(grace_ms);
            if !is_kept {
                lost(*place);
            }
            is_kept
        });
    }

    /// Moves the turns to come `times` as far away as they are, in the same order, but not further
    /// than `most_ms` from now; calls `moved` with each. When the phones come back they are told.
    pub fn stretch(&mut self, now_ms: u64, times: f64, most_ms: u64, mut moved: impl FnMut(Place)) {
        for place in self.devices.values_mut() {
            let ahead_ms = place.due_ms.saturating_sub(now_ms);
            if ahead_ms > 0 {
                let ahead_ms = (ahead_ms as f64 * times) as u64;
                place.due_ms = now_ms + ahead_ms.min(most_ms);
                moved(*place);
            }
        }
    }

    /// The last turn that was given.
    pub fn last_due_ms(&self) -> Option<u64> {
        self.devices.values().map(|it| it.due_ms).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_do_not_move_away_without_end() {
        let device: DeviceName = "SEP000000000001".parse().unwrap();
        let mut places = Places::new(10, 1000);
        let place = Place {
            due_ms: 60_000,
            back_ms: 60_000,
        };
        places.put(device, place);
        let mut moved = Vec::new();
        for _ in 0..3 {
            places.stretch(10_000, 10.0, 3_600_000, |it| moved.push(it.due_ms));
        }
        assert_eq!(moved, [510_000, 3_610_000, 3_610_000]);
    }
}
