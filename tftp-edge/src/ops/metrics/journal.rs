//! Phones by how far they have come, and the journal that knows it.

use super::family::Family;
use crate::journal::Stage;
use crate::ops::sources::Reading;

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let mut families = phones(reading);
    families.extend(events(reading));
    families.extend(file(reading));
    families
}

fn phones(reading: &Reading) -> Vec<Family> {
    let overview = &reading.overview;
    let mut phones = Family::gauge(
        "phones",
        "Phones of the inventory, by the last stage of a boot they were seen at.",
    );
    for stage in Stage::ALL {
        let count = overview.stages.get(&stage).copied().unwrap_or_default();
        phones.add(&[("stage", stage.as_str())], count as f64);
    }
    let expected = Family::gauge("phones_expected", "Phones of the inventory.");
    vec![phones, expected.with(&[], overview.expected as f64)]
}

fn events(reading: &Reading) -> Vec<Family> {
    let counts = &reading.overview.journal;
    let phones = Family::gauge(
        "journal_phones",
        "Phones that the journal has something of: of the inventory, or of nobody.",
    );
    let events = Family::counter(
        "journal_events_total",
        "What the journal was told: attributed to a phone or not, or lost before it was told.",
    );
    let attributed = counts.events.saturating_sub(counts.unattributed);
    vec![
        phones
            .with(&[("inventory", "known")], counts.phones as f64)
            .with(&[("inventory", "unknown")], counts.strangers as f64),
        events
            .with(&[("result", "attributed")], attributed as f64)
            .with(&[("result", "unattributed")], counts.unattributed as f64)
            .with(&[("result", "lost")], counts.lost as f64),
        Family::gauge("journal_memory_bytes", "Memory of the journal.")
            .with(&[], counts.bytes as f64),
        Family::gauge(
            "journal_memory_limit_bytes",
            "The most that it may take: then the oldest boots are forgotten.",
        )
        .with(&[], counts.bytes_limit as f64),
        Family::counter(
            "journal_boots_forgotten_total",
            "Boots of phones that were forgotten before their time, to make room.",
        )
        .with(&[], counts.forgotten as f64),
    ]
}

fn file(reading: &Reading) -> Vec<Family> {
    let store = &reading.journal;
    vec![
        Family::gauge("journal_saved_phones", "Phones in the journal's file.")
            .with(&[], store.saved as f64),
        Family::gauge("journal_file_bytes", "Size of the journal's file.")
            .with(&[], store.size_bytes as f64),
    ]
}
