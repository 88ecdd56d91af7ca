//! Phones that do not get on.

use super::family::Family;
use crate::journal::Cause;
use crate::ops::sources::Reading;

pub(super) fn family(reading: &Reading) -> Family {
    let mut family = Family::gauge(
        "phones_stuck",
        "Phones that do not get on, by the likely cause; `tftp-edge phones --stuck` lists them.",
    );
    for cause in Cause::ALL {
        let count = reading.stuck.get(&cause).copied().unwrap_or_default();
        family.add(&[("cause", cause.as_str())], count as f64);
    }
    family
}
