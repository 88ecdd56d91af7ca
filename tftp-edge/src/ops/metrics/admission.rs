//! Who may register, and when: storms, who is shut out, who was taken in, and the phones of servers
//! behind this host. Who is registered is told in `registrations`.

use super::family::{Bounds, Family};
use crate::inventory::Protocol;
use crate::ops::sources::Reading;
use crate::register::bans::Offence;
use crate::register::front::Stage;
use crate::register::storm::Told;

/// Waits that phones are told: 1 s to 128 s.
const WAIT: Bounds = Bounds {
    exponents: 0..=7,
    units_per_second: 1.0,
};
/// Messages before they are taken up: 128 µs to 8 s.
const AGE: Bounds = Bounds {
    exponents: 7..=23,
    units_per_second: 1e6,
};

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let mut families = admission(reading);
    families.extend(storms(reading));
    families.extend(blocks(reading));
    families.push(newcomers(reading));
    families.extend(front(reading));
    families
}

fn admission(reading: &Reading) -> Vec<Family> {
    let storm = &reading.register.storm;
    let mut decisions = Family::counter(
        "admission_decisions_total",
        "What phones that want to register were told.",
    );
    let mut ages = Family::histogram(
        "admission_queue_wait_seconds",
        "Time from the arrival of a message to the decision about it; refreshes not included.",
    );
    let mut waits = Family::histogram("retry_after_seconds", "Waits that phones were told.");
    for protocol in Protocol::ALL {
        let tally = storm.tally(protocol);
        let protocol = ("protocol", protocol.as_str());
        for told in Told::ALL {
            decisions.add(
                &[protocol, ("decision", told.as_str())],
                tally.told(told) as f64,
            );
        }
        ages.add_log2(&[protocol], &AGE, &tally.ages_us, Some(tally.ages_us_sum));
        waits.add_log2(&[protocol], &WAIT, &tally.waits_s, Some(tally.waits_s_sum));
    }
    let gauge = |name, help, value: f64| Family::gauge(name, help).with(&[], value);
    let counter = |name, help, value: u64| Family::counter(name, help).with(&[], value as f64);
    vec![
        decisions,
        ages,
        waits,
        gauge(
            "admission_queue_depth",
            "Phones that were told to come again and have a place.",
            storm.waiting as f64,
        ),
        gauge(
            "admission_queue_limit",
            "Most phones that can have a place.",
            storm.waiting_limit as f64,
        ),
        gauge(
            "admission_longest_wait_seconds",
            "Until the last phone that waits has its turn.",
            storm.longest_wait.as_secs_f64(),
        ),
        gauge(
            "admission_in_progress",
            "Phones that were let in and are not registered yet.",
            storm.in_progress as f64,
        ),
        gauge(
            "admission_in_progress_limit",
            "Most phones that are let in before the others are registered.",
            storm.in_progress_limit as f64,
        ),
        gauge(
            "admission_capacity_registrations_per_second",
            "Registrations there can be, measured or set; 0 while no limit is known.",
            storm.capacity_per_second.unwrap_or(0.0),
        ),
        counter(
            "admission_missed_total",
            "Phones that did not come when it was their turn.",
            storm.missed,
        ),
        counter(
            "admission_abandoned_total",
            "Phones that were let in and did not register.",
            storm.abandoned,
        ),
        counter(
            "admission_replanned_total",
            "How often all places were moved, since less could be served than planned.",
            storm.replanned,
        ),
    ]
}

fn storms(reading: &Reading) -> Vec<Family> {
    let storm = &reading.register.storm;
    vec![
        Family::gauge(
            "storm_active",
            "1 while more phones register than can be served, and until those are.",
        )
        .with(&[], f64::from(u8::from(storm.state.is_storm()))),
        Family::counter("storms_total", "Storms of registrations.").with(&[], storm.storms as f64),
    ]
}

/// The kernel program shuts nobody out by itself: it lets each source have so much, which is told by
/// the reasons of `tftp_packets_total`. So there is one layer.
fn blocks(reading: &Reading) -> Vec<Family> {
    let bans = &reading.register.bans;
    let layer = ("layer", "user");
    let mut blocks = Family::gauge(
        "blocks",
        "Sources that are shut out from registration, by what they did.",
    );
    let mut spared = Family::gauge(
        "blocks_spared",
        "Sources that would be shut out if phones of a site were not there.",
    );
    let mut added = Family::counter("blocks_added_total", "Sources that were shut out.");
    for offence in Offence::ALL {
        let labels = [layer, ("reason", offence.as_str())];
        let count = |is_spared| {
            let banned = bans.banned.iter().filter(|it| it.offence == offence);
            banned.filter(|it| it.is_spared == is_spared).count() as f64
        };
        blocks.add(&labels, count(false));
        spared.add(&labels, count(true));
        added.add(&labels, bans.bans[offence as usize] as f64);
    }
    vec![
        blocks,
        Family::gauge("blocks_limit", "Most sources that can be shut out.")
            .with(&[layer], bans.limit as f64),
        spared,
        added,
        Family::counter(
            "blocks_overflowed_total",
            "Sources that were not shut out since too many are.",
        )
        .with(&[layer], bans.overflowed as f64),
        Family::counter(
            "registration_unproved_offences_total",
            "Offences that counted for nothing, since the address may be forged.",
        )
        .with(&[], bans.unproved as f64),
    ]
}

fn newcomers(reading: &Reading) -> Family {
    let counts = reading.register.newcomers;
    let mut family = Family::counter(
        "registration_newcomers_total",
        "Phones that nobody knew and that registered, by what became of them.",
    );
    for (result, count) in [
        ("taken_in", counts.taken_in),
        ("unfit", counts.unfit),
        ("no_number", counts.no_number),
        ("failed", counts.failed),
        ("put_off", counts.put_off),
    ] {
        family.add(&[("result", result)], count as f64);
    }
    family
}

/// Nothing unless phones register at servers behind this host.
fn front(reading: &Reading) -> Vec<Family> {
    let Some(front) = &reading.register.front else {
        return Vec::new();
    };
    let mut phones = Family::gauge(
        "front_phones",
        "Phones of servers behind this host, by what they were last seen doing.",
    );
    for stage in Stage::ALL {
        phones.add(
            &[("stage", stage.as_str())],
            front.stages[stage as usize] as f64,
        );
    }
    vec![
        phones,
        Family::gauge("front_phones_limit", "Most phones that are remembered.")
            .with(&[], front.phones_limit as f64),
        Family::counter(
            "front_phones_forgotten_total",
            "Phones that were too many to be remembered.",
        )
        .with(&[], front.forgotten as f64),
    ]
}
