//! What the kernel program is to let in.

use super::State;
use crate::misses::Rate;

/// Packets a second at any rate.
const LEAST: f64 = 50.0;

/// It is left as it is while it is right within this part.
const SLACK: f64 = 0.1;

/// Follows the registrations there can be, and tells only what is another.
#[derive(Debug)]
pub struct Budget {
    /// Packets for a registration: it takes more than one, and who is let in and has to wait learns
    /// when to come again.
    packets: f64,
    told: Option<f64>,
}

impl Budget {
    pub fn new(percent: u32) -> Self {
        Self {
            packets: f64::from(percent) / 100.0,
            told: None,
        }
    }

    /// From now on by another percentage.
    pub fn follow_percent(&mut self, percent: u32) {
        self.packets = f64::from(percent) / 100.0;
    }

    /// In this state so many registrations a second can be. What the kernel program is to be told,
    /// if it is another than before: none lets in all.
    pub fn follow(&mut self, state: State, rate: f64) -> Option<Option<Rate>> {
        let wanted =
            (state.is_storm() && rate.is_finite()).then(|| (rate * self.packets).max(LEAST));
        let is_same = match (self.told, wanted) {
            (None, None) => true,
            (Some(before), Some(wanted)) => (wanted - before).abs() <= before * SLACK,
            _ => false,
        };
        if is_same {
            return None;
        }
        self.told = wanted;
        // A second's worth at once: what comes is as uneven as phones are.
        Some(self.per_second().map(|packets| Rate::new(packets, packets)))
    }

    /// Packets a second; none for all.
    pub fn per_second(&self) -> Option<u32> {
        self.told.map(|it| it as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_held_back_in_a_storm_alone_and_never_all_of_them() {
        let mut budget = Budget::new(400);
        assert!(budget.follow(State::Calm, 100.0).is_none());
        let told = budget.follow(State::Storm, 100.0).unwrap().unwrap();
        assert_eq!(told.interval_ns, 2_500_000);
        assert_eq!(told.burst_ns / told.interval_ns, 400);
        assert!(budget.follow(State::Storm, 108.0).is_none(), "near enough");
        assert!(budget.follow(State::Draining, 120.0).unwrap().is_some());
        budget.follow(State::Draining, 1.0);
        assert_eq!(budget.per_second(), Some(50));
        assert!(budget.follow(State::Calm, 1.0).unwrap().is_none());
        assert_eq!(budget.per_second(), None);
        // As long as nobody knows how much is too much.
        assert!(budget.follow(State::Storm, f64::INFINITY).is_none());
    }
}
