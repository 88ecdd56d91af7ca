//! For how long a binding holds.

use crate::register::sip::settings::ExpiresSettings;

/// What a phone that names no time asks for (RFC 3261 10.2.1.1 leaves it to the registrar).
const DEFAULT_S: u32 = 3600;

/// An answer to a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It is removed.
    Remove,
    Seconds(u32),
    /// 423, with Min-Expires.
    TooBrief,
}

/// Answers a wish. `seed` decides how much is cut off: the same for a request that comes again.
pub fn grant(settings: &ExpiresSettings, wish_s: Option<u32>, seed: u64) -> Grant {
    let wish_s = wish_s.unwrap_or(DEFAULT_S);
    if wish_s == 0 {
        return Grant::Remove;
    }
    if wish_s < settings.min_s {
        return Grant::TooBrief;
    }
    let most = wish_s.min(settings.max_s);
    let cut = u64::from(most) * u64::from(settings.cut_percent) / 100;
    // A part of what it was, so it fits.
    let least = (most - cut as u32).max(settings.min_s);
    let span = u64::from(most - least) + 1;
    Grant::Seconds(least + (seed % span) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_held_between_floor_and_ceiling() {
        let settings = ExpiresSettings {
            min_s: 65,
            max_s: 120,
            cut_percent: 0,
        };
        let of = |wish| grant(&settings, wish, 7);
        assert_eq!(of(Some(0)), Grant::Remove);
        assert_eq!(of(Some(64)), Grant::TooBrief);
        assert_eq!(of(Some(65)), Grant::Seconds(65));
        assert_eq!(of(Some(3600)), Grant::Seconds(120));
        assert_eq!(of(Some(u32::MAX)), Grant::Seconds(120));
        assert_eq!(of(None), Grant::Seconds(120));
    }

    #[test]
    fn the_cut_is_spread_evenly_within_its_bounds() {
        let settings = ExpiresSettings::default();
        let mut granted = [0_u32; 121];
        for seed in 0..37_000_u64 {
            // As a hash would have it.
            let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
            let Grant::Seconds(seconds) = grant(&settings, Some(3600), seed) else {
                panic!("granted")
            };
            granted[seconds as usize] += 1;
        }
        assert!(granted[..84].iter().all(|&it| it == 0));
        assert!(
            granted[84..].iter().all(|it| (700..=1300).contains(it)),
            "{granted:?}"
        );
    }

    #[test]
    fn no_cut_makes_a_phone_leave() {
        let settings = ExpiresSettings {
            cut_percent: 90,
            ..ExpiresSettings::default()
        };
        for seed in 0..1000 {
            for wish in 65..200 {
                match grant(&settings, Some(wish), seed) {
                    Grant::Seconds(seconds) => assert!(seconds - 5 >= 60 && seconds <= wish),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
