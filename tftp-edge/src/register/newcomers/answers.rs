//! What newcomers were told, so that one that asks over and over is told the same and costs nothing.

use std::time::{Duration, Instant};

use hashlink::LinkedHashMap;

use super::Offer;
use crate::inventory::DeviceName;

/// Newcomers remembered; of more, the first to ask are forgotten.
const MOST: usize = 10_000;

/// A device that is being taken in is known after a moment. If not, it may ask anew.
const PENDING_FOR: Duration = Duration::from_secs(30);

/// What was wrong may have been put right: a number added, or a model.
const REFUSED_FOR: Duration = Duration::from_secs(15);

/// By device, the last to be told last.
#[derive(Debug, Default)]
pub(super) struct Answers {
    devices: LinkedHashMap<DeviceName, (Offer, Instant)>,
}

impl Answers {
    pub(super) fn get(&self, device: &DeviceName, now: Instant) -> Option<Offer> {
        let &(offer, told) = self.devices.get(device)?;
        let lasts = match offer {
            Offer::Pending => PENDING_FOR,
            Offer::Refused(_) => REFUSED_FOR,
        };
        (now.saturating_duration_since(told) < lasts).then_some(offer)
    }

    pub(super) fn put(&mut self, device: DeviceName, offer: Offer, now: Instant) {
        self.devices.remove(&device);
        if self.devices.len() >= MOST {
            self.devices.pop_front();
        }
        self.devices.insert(device, (offer, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::Refusal;

    fn device(number: u32) -> DeviceName {
        format!("SEP{number:012X}").parse().unwrap()
    }

    #[test]
    fn an_answer_holds_for_a_while() {
        let now = Instant::now();
        let refused = Offer::Refused(Refusal::AutoRegistration);
        let mut answers = Answers::default();
        answers.put(device(1), Offer::Pending, now);
        answers.put(device(2), refused, now);
        let later = now + REFUSED_FOR;
        assert_eq!(answers.get(&device(2), now), Some(refused));
        assert_eq!(answers.get(&device(2), later), None);
        assert_eq!(answers.get(&device(1), later), Some(Offer::Pending));
        assert_eq!(answers.get(&device(1), now + PENDING_FOR), None);
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut answers = Answers::default();
        for number in 0..MOST as u32 + 10 {
            answers.put(device(number), Offer::Pending, now);
        }
        assert_eq!(answers.devices.len(), MOST);
        assert_eq!(answers.get(&device(9), now), None);
    }
}
