//! What is kept on disk, store by store.

use std::time::Duration;

use super::family::{Bounds, Family};
use crate::ops::sources::Reading;
use crate::register::store::Dropped;

/// Transactions: 128 µs to 8 s.
const OPERATION: Bounds = Bounds {
    exponents: 7..=23,
    units_per_second: 1e6,
};

/// What a store has to say of itself.
struct Kept {
    name: &'static str,
    flushes: u64,
    failures: u64,
    rows: u64,
    pending: u64,
    oldest_pending: Duration,
}

fn stores(reading: &Reading) -> [Kept; 2] {
    let (registrations, journal) = (&reading.register.store, &reading.journal);
    [
        Kept {
            name: "registrations",
            flushes: registrations.flushes,
            failures: registrations.failures,
            rows: registrations.rows,
            pending: registrations.pending,
            oldest_pending: registrations.oldest_pending,
        },
        Kept {
            name: "journal",
            flushes: journal.flushes,
            failures: journal.failures,
            rows: journal.rows,
            pending: journal.waiting,
            oldest_pending: journal.oldest_waiting,
        },
    ]
}

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let mut operations = Family::counter(
        "store_operations_total",
        "Transactions of a store, and attempts to use it that failed.",
    );
    let mut rows = Family::counter("store_rows_total", "Rows written to a store.");
    let mut pending = Family::gauge(
        "store_pending_writes",
        "Entries that a store has an older state of, or none.",
    );
    let mut oldest = Family::gauge(
        "store_oldest_pending_seconds",
        "The longest that one of them can have waited.",
    );
    for store in stores(reading) {
        let label = ("store", store.name);
        operations.add(&[label, ("result", "ok")], store.flushes as f64);
        operations.add(&[label, ("result", "failed")], store.failures as f64);
        rows.add(&[label], store.rows as f64);
        pending.add(&[label], store.pending as f64);
        oldest.add(&[label], store.oldest_pending.as_secs_f64());
    }
    let mut families = vec![operations, rows, pending, oldest];
    families.extend(of_registrations(reading));
    families
}

/// What only this store tells.
fn of_registrations(reading: &Reading) -> [Family; 2] {
    let store = &reading.register.store;
    let label = ("store", "registrations");
    let mut took = Family::histogram(
        "store_operation_duration_seconds",
        "Time that transactions of a store took.",
    );
    took.add_log2(
        &[label],
        &OPERATION,
        &store.took_us,
        Some(store.took_us_sum),
    );
    let mut dropped = Family::counter(
        "store_dropped_total",
        "Entries of a store left out at the start: over by then, of nobody any more, or damaged.",
    );
    for why in Dropped::ALL {
        let count = store.dropped[why as usize];
        dropped.add(&[label, ("reason", why.as_str())], count as f64);
    }
    let journal = ("store", "journal");
    let reason = ("reason", Dropped::Unreadable.as_str());
    dropped.add(&[journal, reason], reading.journal.unreadable as f64);
    [took, dropped]
}
