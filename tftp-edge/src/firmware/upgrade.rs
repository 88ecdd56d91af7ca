//! The step that old firmware cannot skip.
//!
//! A 79x1, 79x2, 79x5, 7906, 7911 or 7931 phone with firmware older than 8.3.3 takes nothing newer
//! than 8.5.2: given 9.x it fetches it, refuses it, reboots and fetches it again. It must run 8.5.2
//! first. Which firmware a phone runs now nobody but the phone knows; what can be told is told from
//! the names of the loads.

use std::collections::BTreeSet;

type Version = (u16, u16, u16);

const OLDEST_THAT_JUMPS: Version = (8, 3, 3);
const STEP: Version = (8, 5, 2);

/// Of the families `SCCP41` or `SIP41`, whose loads are called `SCCP41.9-4-2SR3-1S`.
const FAMILIES: [&str; 7] = ["11", "31", "41", "42", "45", "70", "75"];

/// What the name of a load says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Load<'n> {
    family: &'n str,
    version: Version,
}

impl<'n> Load<'n> {
    fn of_name(name: &'n str) -> Option<Self> {
        let (prefix, version) = name.split_once('.')?;
        let upper = prefix.to_ascii_uppercase();
        let family = upper.strip_prefix("SCCP").or(upper.strip_prefix("SIP"))?;
        let family = FAMILIES.iter().find(|known| **known == family)?;
        let mut numbers = version.split('-').map(|part| {
            let end = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            part[..end].parse().ok()
        });
        let mut next = || numbers.next().flatten();
        Some(Self {
            family,
            version: (next()?, next()?, next()?),
        })
    }
}

/// What is to be said about a load, seen beside all others that are named or on disk.
pub(super) fn advice<'n>(load: &str, others: impl Iterator<Item = &'n str>) -> Option<String> {
    let this = Load::of_name(load)?;
    if this.version < OLDEST_THAT_JUMPS {
        let advice = "it is older than 8.3.3: before anything newer than 8.5.2 these phones must \
                      run 8.5.2, or they reboot again and again";
        return Some(advice.to_owned());
    }
    if this.version <= STEP {
        return None;
    }
    let mut old = BTreeSet::new();
    let mut has_step = false;
    for (name, other) in others.filter_map(|name| Some((name, Load::of_name(name)?))) {
        if other.family == this.family {
            has_step |= other.version == STEP;
            if other.version < OLDEST_THAT_JUMPS {
                old.insert(name);
            }
        }
    }
    if old.is_empty() {
        return None;
    }
    let old: Vec<_> = old.into_iter().collect();
    let step = match has_step {
        true => "an 8.5.2 load is here for that step",
        false => "no 8.5.2 load is here for that step",
    };
    Some(format!(
        "phones that run {} must run 8.5.2 first, or they reboot again and again; {step}",
        old.join(" or ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice_on(load: &str, others: &[&str]) -> Option<String> {
        advice(load, others.iter().copied())
    }

    #[test]
    fn a_load_older_than_8_3_3_is_a_trap_for_the_next_upgrade() {
        for load in ["SCCP41.8-2-2SR1S", "SIP70.8-0-4SR1S", "sccp41.8-3-2S"] {
            let advice = advice_on(load, &[]).unwrap();
            assert!(advice.contains("8.5.2"), "{load}: {advice}");
        }
        for load in ["SCCP41.8-3-3S", "SCCP41.8-5-2S", "SCCP41.9-4-2SR3-1S"] {
            assert_eq!(advice_on(load, &[]), None, "{load}");
        }
    }

    #[test]
    fn a_newer_load_beside_an_older_one_of_the_same_phones_needs_the_step() {
        let newer = "SCCP41.9-4-2SR3-1S";
        let advice = advice_on(newer, &["SIP41.8-2-1S"]).unwrap();
        assert!(advice.contains("no 8.5.2 load is here"), "{advice}");
        let advice = advice_on(newer, &["SIP41.8-2-1S", "SCCP41.8-5-2S"]).unwrap();
        assert!(advice.contains("an 8.5.2 load is here"), "{advice}");
        assert_eq!(advice_on(newer, &["SCCP70.8-2-1S", newer]), None);
    }

    #[test]
    fn a_name_that_says_nothing_gets_no_advice() {
        for load in [
            "P00308000500",
            "sip88xx.12-8-1-0001-455",
            "SCCP41.x-y-z",
            "SCCP41",
            "",
        ] {
            assert_eq!(advice_on(load, &["SCCP41.8-2-1S"]), None, "{load}");
        }
    }
}
