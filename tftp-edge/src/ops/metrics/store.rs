//! What is kept on disk, store by store.

use super::family::{Bounds, Family};
use crate::ops::sources::Reading;
use crate::register::store::Dropped;

/// Transactions: 128 µs to 8 s.
const OPERATION: Bounds = Bounds {
    exponents: 7..=23,
    units_per_second: 1e6,
};

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let store = &reading.register.store;
    let label = ("store", "registrations");
    let operations = Family::counter(
        "store_operations_total",
        "Transactions of a store, and attempts to use it that failed.",
    )
    .with(&[label, ("result", "ok")], store.flushes as f64)
    .with(&[label, ("result", "failed")], store.failures as f64);
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
    let rows = Family::counter("store_rows_total", "Rows written to a store.");
    let pending = Family::gauge(
        "store_pending_writes",
        "Entries that a store has an older state of, or none.",
    );
    let oldest = Family::gauge(
        "store_oldest_pending_seconds",
        "The longest that one of them can have waited.",
    );
    let mut dropped = Family::counter(
        "store_dropped_total",
        "Entries of a store left out at the start: over by then, of nobody any more, or damaged.",
    );
    for why in Dropped::ALL {
        let count = store.dropped[why as usize];
        dropped.add(&[label, ("reason", why.as_str())], count as f64);
    }
    vec![
        operations,
        took,
        rows.with(&[label], store.rows as f64),
        pending.with(&[label], store.pending as f64),
        oldest.with(&[label], store.oldest_pending.as_secs_f64()),
        dropped,
    ]
}
