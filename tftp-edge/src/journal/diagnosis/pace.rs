//! How long phones take at each stage of a boot, learnt from those that got through.
//!
//! A 7940 that fetches 700 kB of firmware over a narrow link takes longer than an 8851 that has
//! nothing to fetch. So what is too long is learnt for each model and stage: three times what 95 of
//! 100 boots took, and never less than a floor. Before anything was learnt, the floor holds.

use std::collections::HashMap;

use crate::journal::view::stage_of;
use crate::journal::{Boot, Settings, Stage};

/// Before so many boots nothing is known of a model.
const ENOUGH: u32 = 20;

/// After so many, older ones count half.
const MANY: u32 = 4_096;

/// A stage that takes three times as long as it does for nearly all others takes too long.
const FACTOR: u64 = 3;

/// Nobody waits longer than this to be told, whatever was learnt.
const LONGEST_MS: u64 = 3_600_000;

/// Models are an operator's, and few; this is the most that are learnt of.
const MODELS: usize = 512;

/// Two for each doubling, from 1 ms to over an hour.
const BUCKETS: usize = 46;

/// How long is too long before anything was learnt, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floors {
    /// At most stages.
    pub stage_ms: u64,
    pub firmware_ms: u64,
    /// For one that nothing was heard of.
    pub silence_ms: u64,
}

impl From<&Settings> for Floors {
    fn from(settings: &Settings) -> Self {
        Self {
            stage_ms: settings.stuck_after_s * 1000,
            firmware_ms: settings.stuck_in_firmware_after_s * 1000,
            silence_ms: settings.silent_after_s * 1000,
        }
    }
}

impl Floors {
    pub fn of(&self, stage: Stage) -> u64 {
        match stage {
            Stage::Dhcp => self.silence_ms,
            Stage::Firmware => self.firmware_ms.max(self.stage_ms),
            _ => self.stage_ms,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Times {
    buckets: [u32; BUCKETS],
    boots: u32,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            boots: 0,
        }
    }
}

/// A bucket ends at the square root of two, raised to its number.
fn bucket(ms: u64) -> usize {
    (0..BUCKETS)
        .position(|at| ms <= end_ms(at))
        .unwrap_or(BUCKETS - 1)
}

fn end_ms(bucket: usize) -> u64 {
    let whole = 1_u64 << (bucket / 2);
    match bucket % 2 {
        0 => whole,
        _ => (whole * 1414).div_ceil(1000),
    }
}

impl Times {
    fn note(&mut self, ms: u64) {
        if self.boots >= MANY {
            self.buckets.iter_mut().for_each(|count| *count /= 2);
            self.boots = self.buckets.iter().sum();
        }
        self.buckets[bucket(ms)] += 1;
        self.boots += 1;
    }

    /// What 95 of 100 did not exceed.
    fn most_ms(&self) -> Option<u64> {
        if self.boots < ENOUGH {
            return None;
        }
        let enough = u64::from(self.boots) * 95;
        let mut below = 0;
        let at = self.buckets.iter().position(|&count| {
            below += u64::from(count);
            below * 100 >= enough
        });
        at.map(end_ms)
    }
}

/// What was learnt.
#[derive(Debug, Default)]
pub struct Pace {
    models: HashMap<Box<str>, [Times; Stage::COUNT]>,
}

impl Pace {
    /// Takes in a boot that ended in a registration.
    pub fn learn(&mut self, model: &str, boot: &Boot) {
        if !boot.has_registered || boot.left_out > 0 {
            return;
        }
        if !self.models.contains_key(model) {
            if self.models.len() >= MODELS {
                return;
            }
            self.models.insert(model.into(), Default::default());
        }
        let Some(times) = self.models.get_mut(model) else {
            return;
        };
        let mut at: Option<(Stage, u32)> = None;
        for entry in &boot.entries {
            let Some(stage) = stage_of(entry) else {
                continue;
            };
            match at {
                Some((before, _)) if before == stage => {}
                Some((before, since)) => {
                    let took = entry.first_ms.saturating_sub(since);
                    times[before as usize].note(u64::from(took));
                    at = Some((stage, entry.first_ms));
                }
                None => at = Some((stage, entry.first_ms)),
            }
            if stage == Stage::Registered {
                return;
            }
        }
    }

    /// From here on a phone of the model takes too long at a stage.
    pub fn patience_ms(&self, model: Option<&str>, stage: Stage, floors: &Floors) -> u64 {
        let floor = floors.of(stage);
        let learnt = model.and_then(|model| self.models.get(model));
        let most = learnt.and_then(|times| times[stage as usize].most_ms());
        match most {
            Some(most) => floor.max((most * FACTOR).min(LONGEST_MS)),
            None => floor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use crate::journal::diagnosis::scene::Scene;

    const FLOORS: Floors = Floors {
        stage_ms: 30_000,
        firmware_ms: 600_000,
        silence_ms: 300_000,
    };

    /// A boot that stays so long with its configuration.
    fn boot(ms: u64) -> Boot {
        let mut scene = Scene::of("SEP000000000001,8851,sip,1001");
        scene.gets("sep000000000001.cnf.xml", Outcome::Complete);
        scene.after(ms).registering().registered();
        scene.phone.boots.pop_back().unwrap()
    }

    #[test]
    fn what_is_too_long_is_learnt_from_boots_that_got_through() {
        let mut pace = Pace::default();
        let slow = boot(40_000);
        for _ in 0..19 {
            pace.learn("7940", &slow);
        }
        let patience = |pace: &Pace, stage| pace.patience_ms(Some("7940"), stage, &FLOORS);
        assert_eq!(
            patience(&pace, Stage::Config),
            30_000,
            "not enough is known"
        );
        pace.learn("7940", &slow);
        let learnt = patience(&pace, Stage::Config);
        assert!((120_000..170_000).contains(&learnt), "{learnt}");
        // Of a stage they did not come through, and of another model, nothing is.
        assert_eq!(patience(&pace, Stage::Firmware), 600_000);
        assert_eq!(
            pace.patience_ms(Some("8851"), Stage::Config, &FLOORS),
            30_000
        );
    }

    #[test]
    fn a_few_slow_ones_and_quick_ones_change_nothing() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.learn("8851", &boot(20));
        }
        for _ in 0..4 {
            pace.learn("8851", &boot(500_000));
        }
        assert_eq!(
            pace.patience_ms(Some("8851"), Stage::Config, &FLOORS),
            30_000
        );
    }

    #[test]
    fn memory_is_bounded_and_what_is_old_is_forgotten() {
        let mut pace = Pace::default();
        let (quick, slow) = (boot(20), boot(100_000));
        for number in 0..2 * MODELS {
            pace.learn(&number.to_string(), &quick);
        }
        assert_eq!(pace.models.len(), MODELS);
        for _ in 0..MANY {
            pace.learn("0", &quick);
        }
        for _ in 0..MANY {
            pace.learn("0", &slow);
        }
        let learnt = pace.patience_ms(Some("0"), Stage::Config, &FLOORS);
        assert!(learnt >= 300_000, "{learnt}");
    }

    #[test]
    fn buckets_hold_what_they_say() {
        for ms in [0, 1, 2, 3, 1_000, 30_000, 4_000_000] {
            let at = bucket(ms);
            assert!(ms <= end_ms(at), "{ms}");
            assert!(at == 0 || ms > end_ms(at - 1), "{ms}");
        }
    }
}
