//! The seconds to come, and how many phones each of them can serve.
//!
//! A second is the grain because both protocols tell waits in whole seconds (`Retry-After`, RFC 3261
//! 20.33; the token's wait of SCCP): a phone that is told one comes back at the same fraction of a
//! second as it asked at. So the phones of one second are as spread as their asking was, and no
//! jitter of ours could be smaller than the second they are counted in.
//!
//! What a second can serve and did not, the next one may: that is room for who comes a little late,
//! or instead of one who never comes. It is never more than one second's worth, so that a quiet
//! minute is no licence for a burst.

use std::collections::VecDeque;

/// Places are given for the next hour. Who does not fit into it gets none.
pub const HORIZON_S: u64 = 3600;

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Phones that were given this second and have not come yet.
    reserved: u32,
    /// Phones that were let in.
    used: u32,
}

/// Seconds count from when the daemon started.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Registrations a second; infinite while no limit is known.
    rate: f64,
    /// The second before the one that is now.
    first: u64,
    seconds: VecDeque<Second>,
    /// What the second before left unused.
    carried: u64,
}

impl Calendar {
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            first: 0,
            seconds: VecDeque::from([Second::default(); 2]),
            carried: 0,
        }
    }

    /// For the seconds from now on; places that were given stay.
    pub fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    /// Goes on to the second that is now.
    pub fn advance(&mut self, now: u64) {
        while self.now() < now {
            let present = self.second(self.now());
            let share = self.share(self.now());
            let room = share.saturating_add(self.carried);
            self.carried = room.saturating_sub(present.used.into()).min(share);
            self.first += 1;
            self.seconds.pop_front();
            if self.seconds.len() < 2 {
                self.seconds.push_back(Second::default());
            }
            if self.seconds.iter().all(|it| it.reserved == 0) && self.now() + 2 < now {
                // A long quiet time is passed over at once.
                self.first = now - 2;
                self.seconds.clear();
                self.seconds.resize(2, Second::default());
            }
        }
    }

    /// Whether one more can be served now without taking the place of who has one. With a place of
    /// its own a phone needs only that the second is not over full.
    pub fn has_room(&self, has_place: bool) -> bool {
        let (before, present) = (self.second(self.first), self.second(self.now()));
        let spoken_for = match has_place {
            true => 0,
            false => u64::from(before.reserved) + u64::from(present.reserved),
        };
        let room = self.share(self.now()).saturating_add(self.carried);
        u64::from(present.used) + spoken_for < room
    }

    /// One is let in now.
    pub fn admit(&mut self) {
        self.seconds[1].used += 1;
    }

    /// Gives a place in the first second that has one, not before `earliest`. None if an hour is
    /// full.
    pub fn reserve(&mut self, earliest: u64) -> Option<u64> {
        let second = self.first_free(earliest)?;
        self.put(second);
        Some(second)
    }

    /// The second [`Self::reserve`] would give.
    pub fn first_free(&self, earliest: u64) -> Option<u64> {
        let earliest = earliest.max(self.now() + 1);
        (earliest..self.now() + HORIZON_S).find(|&at| {
            let second = self.second(at);
            u64::from(second.reserved) < self.share(at)
        })
    }

    /// Takes a place back: its phone came, or will not come any more.
    pub fn release(&mut self, at: u64) {
        let place = at
            .checked_sub(self.first)
            .and_then(|it| self.seconds.get_mut(it as usize));
        if let Some(second) = place {
            second.reserved = second.reserved.saturating_sub(1);
        }
    }

    /// Notes a place in a certain second, full or not.
    pub fn put(&mut self, at: u64) {
        let Some(ahead) = at.checked_sub(self.first) else {
            return;
        };
        let len = self.seconds.len().max(ahead as usize + 1);
        self.seconds.resize(len, Second::default());
        self.seconds[ahead as usize].reserved += 1;
    }

    /// Forgets all places from now on, to have them given anew.
    pub fn clear_places(&mut self) {
        for second in self.seconds.iter_mut().skip(1) {
            second.reserved = 0;
        }
    }

    fn now(&self) -> u64 {
        self.first + 1
    }

    fn second(&self, at: u64) -> Second {
        let ahead = at.checked_sub(self.first);
        let second = ahead.and_then(|it| self.seconds.get(it as usize));
        second.copied().unwrap_or_default()
    }

    /// How many a second can serve: whole phones, so that over many seconds it is the rate.
    fn share(&self, at: u64) -> u64 {
        if self.rate.is_infinite() {
            return u64::MAX;
        }
        let until = |second: u64| (self.rate * second as f64) as u64;
        until(at + 1) - until(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_second_by_second_at_the_rate() {
        let mut calendar = Calendar::new(2.5);
        calendar.advance(1);
        let places: Vec<_> = (0..10).filter_map(|_| calendar.reserve(2)).collect();
        assert_eq!(places, [2, 2, 3, 3, 3, 4, 4, 5, 5, 5]);
        assert_eq!(calendar.reserve(30), Some(30));
        calendar.release(3);
        assert_eq!(calendar.reserve(2), Some(3));
    }

    #[test]
    fn who_has_no_place_gets_what_nobody_has_a_place_for() {
        let mut calendar = Calendar::new(3.0);
        calendar.advance(1);
        calendar.put(2);
        calendar.put(2);
        for _ in 0..3 {
            assert!(calendar.has_room(false));
            calendar.admit();
        }
        assert!(!calendar.has_room(true));
        calendar.advance(2);
        assert!(calendar.has_room(false));
        calendar.admit();
        assert!(!calendar.has_room(false), "two are still to come");
        for _ in 0..2 {
            assert!(calendar.has_room(true));
            calendar.release(2);
            calendar.admit();
        }
        assert!(!calendar.has_room(true));
    }

    #[test]
    fn what_was_left_unused_serves_the_next_second_and_no_more() {
        let mut calendar = Calendar::new(2.0);
        calendar.advance(100);
        let mut admitted = 0;
        while calendar.has_room(false) {
            calendar.admit();
            admitted += 1;
        }
        assert_eq!(admitted, 4);
        calendar.advance(101);
        assert!(calendar.has_room(false));
        calendar.admit();
        calendar.admit();
        assert!(!calendar.has_room(false));
    }

    #[test]
    fn without_a_known_limit_there_is_always_room() {
        let mut calendar = Calendar::new(f64::INFINITY);
        calendar.advance(1_000_000);
        for _ in 0..1000 {
            assert!(calendar.has_room(false));
            calendar.admit();
        }
        assert_eq!(calendar.reserve(1_000_007), Some(1_000_007));
    }

    #[test]
    fn beyond_an_hour_there_are_no_places() {
        let mut calendar = Calendar::new(1.0);
        calendar.advance(1);
        let given = (0..10_000).filter_map(|_| calendar.reserve(0)).count();
        assert_eq!(given, HORIZON_S as usize - 1);
    }
}
