//! What each phone was seen doing last.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hashlink::LinkedHashMap;
use serde::{Deserialize, Serialize};

use crate::inventory::{DeviceName, Protocol};

/// How far a phone has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It asks, and no answer was seen.
    Asks,
    /// The kernel program held it back.
    HeldBack,
    /// The server told it to come again later.
    Waits,
    Refused,
    Registered,
    Left,
}

impl Stage {
    pub const ALL: [Self; 6] = [
        Self::Asks,
        Self::HeldBack,
        Self::Waits,
        Self::Refused,
        Self::Registered,
        Self::Left,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asks => "asks",
            Self::HeldBack => "held_back",
            Self::Waits => "waits",
            Self::Refused => "refused",
            Self::Registered => "registered",
            Self::Left => "left",
        }
    }
}

/// One packet that says something of a phone.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The phone's address, whichever way the packet went.
    pub phone: SocketAddr,
    pub protocol: Protocol,
    /// If the packet says it.
    pub device: Option<DeviceName>,
    pub stage: Stage,
}

/// A phone as status tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub device: Option<DeviceName>,
    pub address: SocketAddr,
    pub protocol: Protocol,
    pub stage: Stage,
    /// How often it was seen asking since it was last registered.
    pub asks: u32,
    pub seconds_ago: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Device(DeviceName),
    /// As long as no packet has told its name.
    Address(SocketAddr),
}

#[derive(Clone, Copy, Debug)]
struct Phone {
    address: SocketAddr,
    protocol: Protocol,
    stage: Stage,
    asks: u32,
    at: Instant,
}

/// Bounded: who was not seen for longest is forgotten.
#[derive(Debug)]
pub struct Phones {
    phones: LinkedHashMap<Key, Phone>,
    /// Whose an address is: answers do not name the device.
    names: LinkedHashMap<SocketAddr, DeviceName>,
    most: usize,
    forgotten: u64,
}

impl Phones {
    pub fn new(most: usize) -> Self {
        Self {
            phones: LinkedHashMap::new(),
            names: LinkedHashMap::new(),
            most,
            forgotten: 0,
        }
    }

    pub fn saw(&mut self, step: &Step, now: Instant) {
        let Step {
            phone: address,
            protocol,
            stage,
            ..
        } = *step;
        if let Some(device) = step.device {
            self.name(address, device);
        }
        let key = match self.names.get(&address) {
            Some(&device) => Key::Device(device),
            None => Key::Address(address),
        };
        let before = self.phones.remove(&key);
        let asks = match (before, stage) {
            (_, Stage::Registered | Stage::Left) => 0,
            (before, Stage::Asks) => before.map_or(0, |it| it.asks).saturating_add(1),
            (before, _) => before.map_or(0, |it| it.asks),
        };
        if self.phones.len() >= self.most {
            self.phones.pop_front();
            self.forgotten += 1;
        }
        let phone = Phone {
            address,
            protocol,
            stage,
            asks,
            at: now,
        };
        self.phones.insert(key, phone);
    }

    fn name(&mut self, address: SocketAddr, device: DeviceName) {
        if self.names.remove(&address).is_none() {
            self.phones.remove(&Key::Address(address));
            if self.names.len() >= self.most {
                self.names.pop_front();
            }
        }
        self.names.insert(address, device);
    }

    /// How many were last seen so, by [`Stage`].
    pub fn counts(&self) -> [u64; Stage::ALL.len()] {
        let mut counts = [0; Stage::ALL.len()];
        for phone in self.phones.values() {
            counts[phone.stage as usize] += 1;
        }
        counts
    }

    pub const fn most(&self) -> usize {
        self.most
    }

    /// Phones that were too many to be remembered.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Those that are not registered, the last seen first, so many at most.
    pub fn missing(&self, most: usize, now: Instant) -> Vec<Seen> {
        let missing = self.phones.iter().rev();
        let missing = missing.filter(|(_, it)| it.stage != Stage::Registered);
        let tell = |(key, phone): (&Key, &Phone)| {
            let ago: Duration = now.saturating_duration_since(phone.at);
            Seen {
                device: match key {
                    Key::Device(device) => Some(*device),
                    Key::Address(_) => None,
                },
                address: phone.address,
                protocol: phone.protocol,
                stage: phone.stage,
                asks: phone.asks,
                seconds_ago: ago.as_secs(),
            }
        };
        missing.take(most).map(tell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(port: u16, device: Option<&str>, stage: Stage) -> Step {
        Step {
            phone: ([10, 1, 0, 9], port).into(),
            protocol: Protocol::Sccp,
            device: device.map(|it| it.parse().unwrap()),
            stage,
        }
    }

    #[test]
    fn an_answer_is_for_the_phone_that_asked_from_there() {
        let now = Instant::now();
        let mut phones = Phones::new(10);
        phones.saw(&step(1, None, Stage::HeldBack), now);
        phones.saw(&step(1, Some("SEP000000000001"), Stage::Asks), now);
        phones.saw(&step(2, Some("SEP000000000002"), Stage::Asks), now);
        phones.saw(&step(2, None, Stage::Waits), now);
        // Over a new connection.
        phones.saw(&step(3, Some("SEP000000000002"), Stage::Asks), now);
        phones.saw(&step(1, None, Stage::Registered), now);
        let counts = phones.counts();
        assert_eq!(counts[Stage::Registered as usize], 1);
        assert_eq!(counts.iter().sum::<u64>(), 2);
        let [missing] = &phones.missing(10, now)[..] else {
            panic!("one is missing")
        };
        assert_eq!((missing.stage, missing.asks), (Stage::Asks, 2));
        assert_eq!(missing.device, "SEP000000000002".parse().ok());
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut phones = Phones::new(10);
        for port in 1..=100 {
            let name = format!("SEP{port:012X}");
            phones.saw(&step(port, Some(&name), Stage::Asks), now);
            phones.saw(&step(port + 1000, None, Stage::HeldBack), now);
        }
        assert!(phones.phones.len() <= 10 && phones.names.len() <= 10);
        assert!(phones.forgotten() >= 180);
    }
}
